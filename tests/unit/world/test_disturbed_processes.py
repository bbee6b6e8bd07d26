"""Disturbances reach the processes of the real world: those that run, those that are paused, those that start later."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import trio

from ha.world import (
    Address,
    Bandwidth,
    BitFlip,
    ClockOffset,
    Cut,
    Delay,
    DiskError,
    Host,
    NotAttestedError,
    Stream,
    TornWrite,
)
from ha.world.real import RealWorld, open_world

HERE = str(Path(__file__).parent)
LINKS = (("alpha", "beta"), ("beta", "alpha"))
CUT = Cut(LINKS)
ECHO, BRIDGE = 6443, 7100
HELD_S = 0.2


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RealWorld]:
    nodes = ["alpha", "beta", "gamma"]
    async with open_world(nodes=nodes, directory=tmp_path, preload=["world_programs"], path=[HERE], seed=7) as world:
        await world.boot("alpha", "echo", "world_programs:echo", orjson.dumps({"port": ECHO}))
        yield world


@pytest.fixture
async def client(world: RealWorld) -> AsyncIterator[Host]:
    async with world.client("test") as host:
        async with dialled(host, Address(world.address("alpha"), ECHO)) as stream:
            assert await greeting(stream)  # the bridges need it
        yield host


async def boot_bridge(world: RealWorld, name: str = "bridge", port: int = BRIDGE) -> None:
    config = {"port": port, "to": str(Address(world.address("alpha"), ECHO))}
    await world.boot("beta", name, "world_programs:bridge", orjson.dumps(config))


@asynccontextmanager
async def dialled(client: Host, address: Address) -> AsyncIterator[Stream]:
    with trio.fail_after(5):
        while True:
            try:
                stream = await client.net.dial(address)
            except ConnectionRefusedError:
                await trio.sleep(0.005)
            else:
                break
    async with stream:
        yield stream


@asynccontextmanager
async def over_the_bridge(world: RealWorld, client: Host, port: int = BRIDGE) -> AsyncIterator[Stream]:
    """A connection from the test over beta to the echo of alpha, which greets first."""
    async with dialled(client, Address(world.address("beta"), port)) as stream:
        yield stream


async def greeting(stream: Stream) -> bytes:
    with trio.fail_after(5):
        return await stream.receive_some()


async def asked(stream: Stream, what: bytes = b"ping") -> bytes:
    await stream.send_all(what)
    data = b""
    with trio.fail_after(5):
        while len(data) < len(what):
            data += await stream.receive_some()
    return data


async def heard(stream: Stream) -> bytes | None:
    """What comes soon; None when nothing does."""
    with trio.move_on_after(HELD_S):
        return await stream.receive_some()
    return None


async def test_a_cut_holds_what_passes_between_two_nodes_and_hits_no_client(world: RealWorld, client: Host) -> None:
    await boot_bridge(world)
    async with over_the_bridge(world, client) as stream:
        await greeting(stream)
        assert await asked(stream) == b"ping"
        evidence = await world.impose(CUT)
        assert (evidence["processes"], evidence["connections"]) == (2, 1)
        await stream.send_all(b"held")
        assert await heard(stream) is None
        async with dialled(client, Address(world.address("alpha"), ECHO)) as direct:
            await greeting(direct)
            assert await asked(direct) == b"ping"
        assert (await world.lift(CUT))["bytes_held"] == 4
        assert await greeting(stream) == b"held"
        assert await asked(stream) == b"ping"


async def test_a_process_that_starts_later_begins_with_what_is_in_force(world: RealWorld, client: Host) -> None:
    assert (await world.impose(CUT))["processes"] == 1
    await boot_bridge(world)
    async with over_the_bridge(world, client) as stream:
        assert await heard(stream) is None
        assert (await world.lift(CUT))["connections_held"] == 2  # one dial, which both directions hold
        assert await greeting(stream) == f"{world.address('beta')}\n".encode()


async def test_a_paused_process_is_not_waited_for_and_obeys_when_it_goes_on(world: RealWorld, client: Host) -> None:
    await boot_bridge(world)
    async with over_the_bridge(world, client) as stream:
        await greeting(stream)
        await world.signal("beta", "pause")
        assert (await world.impose(CUT))["processes"] == 1
        await world.signal("beta", "resume")
        await world.impose(Delay(LINKS, 0.0))  # when it obeyed this, it had obeyed that
        await stream.send_all(b"held")
        assert await heard(stream) is None
        await world.lift(CUT)
        assert await greeting(stream) == b"held"


async def test_what_nothing_met_is_lifted_and_not_attested(world: RealWorld, client: Host) -> None:
    await boot_bridge(world)
    async with over_the_bridge(world, client) as stream:
        await greeting(stream)
        await world.impose(CUT)
        with pytest.raises(NotAttestedError, match="nothing had met it"):
            await world.lift(CUT)
        assert await asked(stream) == b"ping"
        with pytest.raises(LookupError, match="not in force"):
            await world.lift(CUT)


async def test_processes_that_end_meanwhile_are_not_waited_for(world: RealWorld, client: Host) -> None:
    await boot_bridge(world)
    async with over_the_bridge(world, client) as stream:
        await greeting(stream)
        await world.impose(CUT)
        await stream.send_all(b"held")
        assert await heard(stream) is None
        await world.signal("alpha", "kill")
        assert await heard(stream) is None  # its end is held up as well
        assert (await world.lift(CUT))["bytes_held"] == 4
        assert await greeting(stream) == b""


async def test_a_process_that_does_not_obey_is_not_attested(world: RealWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ha.world.real.imposed._OBEY_S", HELD_S)
    await world.boot("gamma", "it", "world_programs:stuck", b"{}")
    await trio.sleep(0.05)
    with pytest.raises(NotAttestedError, match="not all processes of alpha, gamma obeyed"):
        await world.impose(Cut((("gamma", "alpha"),)))
    await world.signal("gamma", "kill")
    await world.impose(CUT)  # and nothing is out of step


async def test_bandwidth_is_shared_by_the_processes_of_a_node(world: RealWorld, client: Host) -> None:
    limit = Bandwidth((("beta", "alpha"),), bytes_per_s=5000)
    for i in range(2):
        await boot_bridge(world, f"bridge-{i}", BRIDGE + i)
    async with over_the_bridge(world, client) as one, over_the_bridge(world, client, BRIDGE + 1) as two:
        await greeting(one)
        await greeting(two)
        await world.impose(limit)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for stream in (one, two):
                nursery.start_soon(asked, stream, bytes(1000))
        assert 0.4 <= trio.current_time() - began < 0.8
        assert (await world.lift(limit))["bytes_held"] == 2000


async def test_a_reset_breaks_connections_of_processes(world: RealWorld, client: Host) -> None:
    await boot_bridge(world)
    async with over_the_bridge(world, client) as stream:
        await greeting(stream)
        with pytest.raises(NotAttestedError):
            await world.reset([("alpha", "beta")])
        assert await world.reset([("beta", "alpha")]) == {"connections_reset": 1}
        assert await greeting(stream) == b""


async def test_a_process_that_its_disk_ends_leaves_the_evidence_behind(world: RealWorld) -> None:
    exits = world.exits()
    await world.boot("gamma", "it", "world_programs:journalist", b"{}")
    failing = DiskError("gamma", "it")
    assert (await world.impose(failing))["processes"] == 1
    with trio.fail_after(5):
        assert (await anext(exits))[1].code == 1
    assert (await world.lift(failing))["refused"] == 1


async def test_a_process_dies_within_its_write_and_leaves_a_part_of_it(world: RealWorld, tmp_path: Path) -> None:
    tearing = TornWrite("gamma", "it")
    await world.impose(tearing)
    exits = world.exits()
    await world.boot("gamma", "it", "world_programs:journalist", b"{}")
    with trio.fail_after(5):
        node, gone = await anext(exits)
    assert (node, gone.name, gone.signal) == ("gamma", "it", signal.SIGKILL)
    assert len((tmp_path / "disks" / "gamma" / "it" / "journal").read_bytes()) < len(b"news")
    assert (await world.lift(tearing))["torn"] == 1


async def test_a_bit_flips_in_a_file_of_a_process(world: RealWorld, tmp_path: Path) -> None:
    with pytest.raises(NotAttestedError, match="nothing durable"):
        await world.impose(BitFlip("gamma", "it"))
    await world.boot("gamma", "it", "world_programs:journalist", b"{}")
    journal = tmp_path / "disks" / "gamma" / "it" / "journal"
    with trio.fail_after(5):
        while not (journal.exists() and journal.read_bytes().startswith(b"newsnewsnews")):
            await trio.sleep(0.005)
    evidence = await world.impose(BitFlip("gamma", "it"))
    assert evidence["file"] == "it/journal"
    rotten = journal.read_bytes()
    assert rotten[evidence["byte"]] ^ 1 << evidence["bit"] == b"news"[evidence["byte"] % 4]
    assert (await world.lift(BitFlip("gamma", "it")))["bit"] == "put right"
    assert set(journal.read_bytes().rstrip(b"\0").split(b"news")) == {b""}


async def test_a_clock_jumps_for_all_processes_of_its_node_also_later_ones(world: RealWorld, client: Host) -> None:
    async def shown(node: str, port: int) -> float:
        async with dialled(client, Address(world.address(node), port)) as stream:
            return float(await greeting(stream)) - time.time()

    with pytest.raises(NotAttestedError, match="nobody on gamma reads its clock"):
        await world.impose(ClockOffset("gamma", 60.0))
    await world.lift(ClockOffset("gamma", 60.0))
    await world.boot("gamma", "one", "world_programs:clock", orjson.dumps({"port": 7001}))
    await world.boot("beta", "other", "world_programs:clock", orjson.dumps({"port": 7001}))
    evidence = await world.impose(ClockOffset("gamma", -3600.0))
    assert evidence["clock_after"] - evidence["clock_before"] == pytest.approx(-3600, abs=1)
    await world.boot("gamma", "two", "world_programs:clock", orjson.dumps({"port": 7002}))
    assert await shown("gamma", 7001) == pytest.approx(-3600, abs=1)
    assert await shown("gamma", 7002) == pytest.approx(-3600, abs=1)
    assert await shown("beta", 7001) == pytest.approx(0, abs=1)
    await world.lift(ClockOffset("gamma", -3600.0))
    assert await shown("gamma", 7001) == pytest.approx(0, abs=1)


async def test_unknown_nodes_are_refused(world: RealWorld) -> None:
    with pytest.raises(LookupError, match="no node 'zeta'"):
        await world.impose(Cut((("alpha", "zeta"),)))
    with pytest.raises(LookupError, match="no node 'zeta'"):
        await world.reset([("alpha", "zeta")])
