"""The real world with real processes: each promise of `ha.world.World` and `ha.world.Host`."""

# ruff: noqa: ASYNC240, PT012  (reading /proc does not block; what raises is a context with a body)

import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import orjson
import pytest
import trio

from ha.world import Address, Host, NotAttestedError, ProcessInfo, Stream
from ha.world.real import RealWorld, WorldLostError, open_world, supervisor

HERE = str(Path(__file__).parent)
NODES = ["alpha", "beta"]


def program(name: str) -> str:
    return f"world_programs:{name}"


def opened(directory: Path, **options: object) -> AbstractAsyncContextManager[RealWorld]:
    return open_world(
        **{"nodes": NODES, "directory": directory, "preload": ["world_programs"], "path": [HERE], "seed": 7} | options
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RealWorld]:
    async with opened(tmp_path) as world:
        yield world


@asynccontextmanager
async def reports(world: RealWorld) -> AsyncIterator[tuple[str, trio.MemoryReceiveChannel[dict]]]:
    """A place for `keeper` to report to, and the lines that arrive there."""
    send, receive = trio.open_memory_channel[dict](100)

    async def take(stream: trio.SocketStream) -> None:
        buffer = b""
        async with stream:
            async for data in stream:
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    await send.send(orjson.loads(line))

    async with world.client("reports") as host, trio.open_nursery() as nursery, send, receive:
        listener = await host.net.listen(7000)
        nursery.start_soon(trio.serve_listeners, take, [listener])
        yield f"{host.address}:7000", receive
        nursery.cancel_scope.cancel()


async def wait_exit(world: RealWorld, name: str, exits: AsyncIterator) -> tuple[int | None, int | None]:
    with trio.fail_after(5):
        async for _, exited in exits:
            if exited.name == name:
                return exited.code, exited.signal
    raise AssertionError("the world ended")


async def wait_running(world: RealWorld, count: int) -> None:
    while len(await world.processes("alpha")) < count:
        await trio.sleep(0.001)


def descriptors(process: int | str) -> list[str]:
    """What a process has open."""
    return [str(held.readlink()) for held in Path(f"/proc/{process}/fd").iterdir() if held.is_symlink()]


def read_log(directory: Path, node: str, process: str) -> str:
    return (directory / "logs" / node / f"{process}.log").read_text()


async def test_a_program_that_returns_exits_0_and_its_output_is_in_its_log(world: RealWorld, tmp_path: Path) -> None:
    exits = world.exits()
    await world.boot("alpha", "it", program("done"), b"{}")
    assert await wait_exit(world, "it", exits) == (0, None)
    assert "a line on stdout" in read_log(tmp_path, "alpha", "it")


async def test_a_program_that_raises_exits_1_with_its_traceback_in_the_log(world: RealWorld, tmp_path: Path) -> None:
    exits = world.exits()
    await world.boot("alpha", "it", program("crash"), b"{}")
    assert await wait_exit(world, "it", exits) == (1, None)
    log = read_log(tmp_path, "alpha", "it")
    assert "RuntimeError: the reason of the crash" in log
    assert "in _raise" in log


async def test_terminate_cancels_the_program_even_while_it_starts(world: RealWorld, tmp_path: Path) -> None:
    for _ in range(5):
        exits = world.exits()
        info = await world.boot("alpha", "it", program("idle"), b"{}")
        evidence = await world.signal("alpha", "terminate", process="it")
        assert evidence == {"signal": "SIGTERM", "exited": {"it": info.pid}}
        assert await wait_exit(world, "it", exits) == (0, None)
    assert "process ended code=0 terminated=True" in read_log(tmp_path, "alpha", "it")


async def test_killing_a_node_ends_all_of_it_and_says_so(world: RealWorld) -> None:
    pids = {name: (await world.boot("alpha", name, program("idle"), b"{}")).pid for name in ("one", "three", "two")}
    other = await world.boot("beta", "other", program("idle"), b"{}")
    evidence = await world.signal("alpha", "kill")
    assert evidence == {"signal": "SIGKILL", "exited": pids, "process_group": pids["one"]}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert await world.processes("alpha") == []
    assert await world.processes("beta") == [other]


async def test_a_paused_node_is_stopped_and_resumes(world: RealWorld) -> None:
    infos = [await world.boot("alpha", name, program("idle"), b"{}") for name in ("one", "two")]
    pids = {info.name: info.pid for info in infos}
    evidence = await world.signal("alpha", "pause")
    assert evidence["stopped"] == pids
    assert all(" T " in Path(f"/proc/{pid}/stat").read_text() for pid in pids.values())
    assert await world.processes("alpha") == infos
    assert (await world.signal("alpha", "pause"))["stopped"] == pids
    assert (await world.signal("alpha", "resume"))["running"] == pids
    assert not any(" T " in Path(f"/proc/{pid}/stat").read_text() for pid in pids.values())
    assert (await world.signal("alpha", "resume"))["running"] == pids


async def test_a_paused_process_dies_when_killed(world: RealWorld) -> None:
    info = await world.boot("alpha", "it", program("idle"), b"{}")
    await world.signal("alpha", "pause", process="it")
    assert (await world.signal("alpha", "kill"))["exited"] == {"it": info.pid}


async def test_a_signal_without_effect_is_not_attested(
    world: RealWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_TERMINATE_S", 0.5)
    await world.boot("alpha", "it", program("deaf"), b"{}")
    with pytest.raises(NotAttestedError, match="terminate of it on alpha"):
        await world.signal("alpha", "terminate", process="it")
    assert [process.name for process in await world.processes("alpha")] == ["it"]


async def test_what_does_not_run_cannot_be_signalled(world: RealWorld) -> None:
    with pytest.raises(LookupError, match="nothing runs on node alpha"):
        await world.signal("alpha", "kill")
    with pytest.raises(LookupError, match="no node 'gamma'"):
        await world.signal("gamma", "kill")
    await world.boot("alpha", "it", program("idle"), b"{}")
    with pytest.raises(LookupError, match="no process 'that'"):
        await world.signal("alpha", "pause", process="that")


async def test_a_start_that_cannot_work_is_refused_with_the_reason(world: RealWorld) -> None:
    await world.boot("alpha", "it", program("idle"), b"{}")
    for name, what, config, reason in [
        ("it", program("idle"), b"{}", "'it' runs on node alpha already"),
        ("a/b", program("idle"), b"{}", "not a process name"),
        ("x", "nonsense", b"{}", "not a program"),
        ("x", "no.such.module:serve", b"{}", "cannot import no.such.module"),
        ("x", program("missing"), b"{}", "no async function missing"),
        ("x", program("HERE"), b"{}", "no async function"),
        ("x", program("idle"), b'{"unknown": 1}', "unknown field `unknown`"),
        ("x", program("echo"), b"{", "truncated"),
    ]:
        with pytest.raises(ValueError, match=reason):
            await world.boot("alpha", name, what, config)
    with pytest.raises(LookupError, match="no node"):
        await world.boot("gamma", "x", program("idle"), b"{}")


async def test_a_keeper_sees_the_exits_of_its_node_and_only_those(world: RealWorld) -> None:
    config = {"start": {"child": program("idle")}}
    async with reports(world) as (place, lines):
        await world.boot("alpha", "keeper", program("keeper"), orjson.dumps(config | {"report": place}))
        with trio.fail_after(5):
            first = await lines.receive()
        assert first["adopted"] == []
        assert [(p["name"], p["labels"]) for p in first["listing"]] == [
            ("child", {"keeper": "keeper"}),
            ("keeper", {}),
        ]
        await world.boot("beta", "child", program("idle"), b"{}")
        await world.signal("beta", "kill")
        evidence = await world.signal("alpha", "kill", process="child")
        with trio.fail_after(5):
            seen = await lines.receive()
        assert seen == {"name": "child", "pid": evidence["exited"]["child"], "code": None, "signal": signal.SIGKILL}


async def test_the_table_outlives_the_keeper_and_its_group_too(world: RealWorld) -> None:
    async with reports(world) as (place, lines):
        config = orjson.dumps({"start": {"child": program("idle")}, "report": place})
        first = await world.boot("alpha", "keeper", program("keeper"), config)
        with trio.fail_after(5):
            await lines.receive()
        await world.signal("alpha", "kill", process="keeper")
        (child,) = await world.processes("alpha")
        assert os.getpgid(child.pid) == first.pid

        second = await world.boot("alpha", "keeper", program("keeper"), config)
        with trio.fail_after(5):
            report = await lines.receive()
        assert report["adopted"] == ["child"]
        assert report["listing"][0] == msgspec.to_builtins(child)
        assert os.getpgid(second.pid) == first.pid
        evidence = await world.signal("alpha", "kill")
        assert evidence["exited"] == {"child": child.pid, "keeper": second.pid}


async def test_a_process_has_no_authority_over_another_node(world: RealWorld, tmp_path: Path) -> None:
    exits = world.exits()
    victim = await world.boot("beta", "victim", program("idle"), b"{}")
    await world.boot("alpha", "it", program("trespass"), b"{}")
    assert await wait_exit(world, "it", exits) == (0, None)
    assert "runs on node alpha" in (tmp_path / "disks/alpha/it/refused").read_text()
    assert await world.processes("beta") == [victim]


@pytest.mark.parametrize("name", ["babbler", "usurper"])
async def test_a_process_that_breaks_the_protocol_ends_and_nothing_else_does(world: RealWorld, name: str) -> None:
    exits = world.exits()
    other = await world.boot("alpha", "other", program("idle"), b"{}")
    await world.boot("alpha", "it", program(name), b"{}")
    assert await wait_exit(world, "it", exits) == (1, None)
    assert await world.processes("alpha") == [other]


@pytest.mark.parametrize("delay_s", [0.005, 0.02, 0.05])
async def test_a_kill_also_catches_what_is_being_started(world: RealWorld, delay_s: float) -> None:
    info = await world.boot("alpha", "spawner", program("spawner"), b"{}")
    await wait_running(world, 2)
    await trio.sleep(delay_s)
    evidence = await world.signal("alpha", "kill")
    assert len(evidence["exited"]) > 1
    with pytest.raises(ProcessLookupError):
        os.killpg(info.pid, 0)
    assert await world.processes("alpha") == []


async def test_a_paused_node_starts_nothing(world: RealWorld) -> None:
    await world.boot("alpha", "spawner", program("spawner"), b"{}")
    await wait_running(world, 2)
    evidence = await world.signal("alpha", "pause")
    await trio.sleep(0.05)
    assert {process.name for process in await world.processes("alpha")} == set(evidence["stopped"])
    await world.signal("alpha", "resume", process="spawner")
    with trio.fail_after(2):
        await wait_running(world, len(evidence["stopped"]) + 1)


async def test_a_killed_node_boots_again_with_its_disk_and_log(world: RealWorld, tmp_path: Path) -> None:
    exits = world.exits()
    for _ in range(2):
        await world.boot("alpha", "it", program("reveal"), b"{}")
        assert await wait_exit(world, "it", exits) == (0, None)
        await world.boot("alpha", "idle", program("idle"), b"{}")
        await world.signal("alpha", "kill")
    assert len(list((tmp_path / "disks/alpha/it").iterdir())) == 2
    assert read_log(tmp_path, "alpha", "it").count("process started") == 2


async def revealed(world: RealWorld, directory: Path, node: str, name: str) -> dict:
    exits = world.exits()
    info = await world.boot(node, name, program("reveal"), b"{}")
    assert await wait_exit(world, name, exits) == (0, None)
    return orjson.loads((directory / f"disks/{node}/{name}/facts-{info.pid}").read_bytes()) | {"pid": info.pid}


async def test_a_process_shares_nothing_with_its_zygote(world: RealWorld, tmp_path: Path) -> None:
    await world.boot("beta", "other", program("idle"), b"{}")
    facts = await revealed(world, tmp_path, "alpha", "it")
    sockets = {name for name in facts["descriptors"] if name.startswith("socket:")}
    assert not sockets & set(descriptors(world._zygote.pid))
    assert len(facts["descriptors"]) <= 6, facts["descriptors"]  # the link, and trio's own
    assert facts["group"] == facts["pid"]
    assert facts["address"] == world.address("alpha")


async def test_randomness_follows_from_seed_node_process_and_incarnation(tmp_path: Path) -> None:
    runs = []
    for number in range(2):
        directory = tmp_path / str(number)
        async with opened(directory) as world:
            runs.append(
                [
                    await revealed(world, directory, "alpha", "x"),
                    await revealed(world, directory, "alpha", "x"),
                    await revealed(world, directory, "alpha", "y"),
                    await revealed(world, directory, "beta", "x"),
                ]
            )
    for key in ("random", "module_random"):
        first, second = ([facts[key] for facts in run] for run in runs)
        assert first == second
        assert len(set(first)) == 4
    assert len({facts["uuid"] for run in runs for facts in run}) == 8


async def test_every_node_has_an_address_that_its_peers_see(world: RealWorld) -> None:
    assert world.address("alpha") != world.address("beta")
    await world.boot("alpha", "echo", program("echo"), b'{"port": 6443}')
    await world.boot("beta", "echo", program("echo"), b'{"port": 6443}')
    async with world.client("c") as client:
        for node in NODES:
            async with await dial(client, Address(world.address(node), 6443)) as stream:
                assert await stream.receive_some(100) == f"{client.address}\n".encode()
                await stream.send_all(b"ping")
                assert await stream.receive_some(100) == b"ping"


async def dial(client, address: Address) -> trio.abc.HalfCloseableStream:
    with trio.fail_after(5):
        while True:
            try:
                return await client.net.dial(address)
            except ConnectionRefusedError:
                await trio.sleep(0.005)


async def test_clients_have_addresses_of_their_own(world: RealWorld) -> None:
    async with world.client("a") as a, world.client("b") as b:
        assert len({a.address, b.address, *map(world.address, NODES)}) == 4
        assert a.random.random() != b.random.random()
        listener = await a.net.listen(7001)
        stream = await b.net.dial(Address(a.address, 7001))
        accepted = await listener.accept()
        assert accepted.socket.getpeername()[0] == b.address
        for end in (stream, accepted, listener):
            await end.aclose()
        with pytest.raises(ConnectionRefusedError):
            await b.net.dial(Address(a.address, 7001))
        assert await a.processes.list() == []
        with pytest.raises(ValueError, match="a client is no node"):
            await a.processes.start("x", program("idle"), b"{}")
        with pytest.raises(OSError, match="a client is no node"):
            a.processes.execute(["/bin/true"])


async def test_a_taken_port_is_an_oserror(world: RealWorld) -> None:
    async with world.client("a") as a:
        listener = await a.net.listen(7002)
        with pytest.raises(OSError, match="in use"):
            await a.net.listen(7002)
        await listener.aclose()


async def test_concurrent_worlds_do_not_share_a_subnet(tmp_path: Path) -> None:
    async with opened(tmp_path / "1") as one, opened(tmp_path / "2") as two:
        assert one.address("alpha").rpartition(".")[0] != two.address("alpha").rpartition(".")[0]
        for world in (one, two):
            await world.boot("alpha", "echo", program("echo"), b'{"port": 6443}')
        assert await one.processes("alpha") != await two.processes("alpha")


async def test_processes_can_have_addresses_of_their_nodes_subnet(world: RealWorld, tmp_path: Path) -> None:
    exits = world.exits()
    await world.boot("beta", "landlord", program("landlord"), b"{}")
    assert await wait_exit(world, "landlord", exits) == (0, None)
    network = world.address("beta").split(".")[1]
    async with world.client("caller") as host:
        for last in (1, 2):
            stream = await dial_soon(host, Address(f"127.{network}.2.{last}", 7000))
            assert await stream.receive_some() == f"{host.address}\n".encode()
            await stream.aclose()
    refused = (tmp_path / "disks" / "beta" / "landlord" / "refused").read_text()
    assert refused == f"{world.address('beta')} is not of 127.{network}.2.0/24, the subnet of beta"


async def dial_soon(host: Host, address: Address) -> Stream:
    """Connect to what is about to listen."""
    with trio.fail_after(5):
        while True:
            try:
                return await host.net.dial(address)
            except ConnectionRefusedError:
                await trio.sleep(0.005)


async def another_program(world: RealWorld, directory: Path, node: str = "alpha") -> tuple[ProcessInfo, dict]:
    info = await world.boot(node, "it", program("becomes"), b"{}")
    facts = directory / "disks" / node / "it" / "facts"
    with trio.fail_after(5):
        while not facts.exists():
            await trio.sleep(0.005)
    return info, orjson.loads(facts.read_bytes())


async def test_a_process_that_becomes_another_program_stays_what_it_is(world: RealWorld, tmp_path: Path) -> None:
    info, facts = await another_program(world, tmp_path)
    assert facts["pid"] == info.pid
    assert facts["cwd"] == str(tmp_path / "disks" / "alpha" / "it")
    assert (facts["environment"], set(facts["descriptors"])) == ([], {0, 1, 2})
    assert await world.processes("alpha") == [info]
    with trio.fail_after(5):
        while "the other one speaks" not in read_log(tmp_path, "alpha", "it"):
            await trio.sleep(0.005)
    assert "process started" in read_log(tmp_path, "alpha", "it")


async def test_another_program_begins_without_pending_blocked_or_ignored_signals(
    world: RealWorld, tmp_path: Path
) -> None:
    exits = world.exits()
    await world.boot("alpha", "it", program("becomes_grep"), b"{}")
    assert await wait_exit(world, "it", exits) == (0, None)
    lines = dict(re.findall(r"^(Sig\w+):\s(\w+)$", read_log(tmp_path, "alpha", "it"), re.MULTILINE))
    assert [int(lines[name], 16) for name in ("SigPnd", "SigBlk", "SigIgn")] == [0, 0, 0]


async def test_another_program_takes_every_signal_with_evidence(world: RealWorld, tmp_path: Path) -> None:
    info, _ = await another_program(world, tmp_path)
    mate = await world.boot("alpha", "mate", program("idle"), b"{}")
    assert (await world.signal("alpha", "pause", process="it"))["stopped"] == {"it": info.pid}
    assert (await world.signal("alpha", "resume", process="it"))["running"] == {"it": info.pid}
    assert (await world.signal("alpha", "terminate", process="it"))["exited"] == {"it": info.pid}
    (tmp_path / "disks" / "alpha" / "it" / "facts").unlink()
    again, _ = await another_program(world, tmp_path)
    assert (await world.signal("alpha", "kill"))["exited"] == {"it": again.pid, "mate": mate.pid}


async def test_a_process_is_in_its_group_before_it_can_become_another_program(tmp_path: Path) -> None:
    """execve(2) ends the parent's right to move it."""
    async with opened(tmp_path, preload=["world_programs", "slow_zygote"]) as world:
        info, _ = await another_program(world, tmp_path)
        assert os.getpgid(info.pid) == info.pid
        assert (await world.signal("alpha", "kill"))["exited"] == {"it": info.pid}


async def test_another_program_dies_with_the_zygote(tmp_path: Path) -> None:
    with pytest.raises(WorldLostError):
        async with opened(tmp_path) as world:
            info, _ = await another_program(world, tmp_path)
            os.kill(world._zygote.pid, signal.SIGKILL)
            with trio.fail_after(5):
                await trio.sleep_forever()
    with trio.fail_after(2):
        while Path(f"/proc/{info.pid}").exists():
            await trio.sleep(0.005)


async def test_a_program_that_cannot_be_executed_says_so_in_the_log(world: RealWorld, tmp_path: Path) -> None:
    exits = world.exits()
    await world.boot("alpha", "it", program("cannot_become"), b"{}")
    assert await wait_exit(world, "it", exits) == (1, None)
    assert "/nowhere/to-be-found" in read_log(tmp_path, "alpha", "it")


async def test_memory_is_told_per_process(world: RealWorld) -> None:
    await world.boot("alpha", "it", program("idle"), b"{}")
    sizes = await world.memory_bytes()
    assert sizes.keys() == {"alpha/it", "world/supervisor", "world/zygote"}
    assert 1 << 20 < sizes["alpha/it"] < 100 << 20


async def test_requests_of_many_tasks_are_answered_each_to_its_own(world: RealWorld) -> None:
    names = [f"p{i}" for i in range(12)]
    started = {}

    async def one(name: str, node: str) -> None:
        info = await world.boot(node, name, program("idle"), b"{}")
        assert info.name == name
        started[name] = info.pid
        assert name in {process.name for process in await world.processes(node)}

    async with trio.open_nursery() as nursery:
        for i, name in enumerate(names):
            nursery.start_soon(one, name, NODES[i % 2])
    listed = {process.name: process.pid for node in NODES for process in await world.processes(node)}
    assert listed == started


async def test_a_cancelled_request_does_not_disturb_the_next(world: RealWorld) -> None:
    for _ in range(20):
        with trio.move_on_after(0.0001):
            await world.processes("alpha")
    with trio.CancelScope() as scope:
        scope.cancel()
        await world.boot("alpha", "it", program("idle"), b"{}")
    await world.boot("alpha", "that", program("idle"), b"{}")
    assert "that" in {process.name for process in await world.processes("alpha")}


async def test_an_exit_stream_that_nobody_reads_harms_nothing(world: RealWorld) -> None:
    ignored = world.exits()
    exits = world.exits()
    del ignored
    await world.boot("alpha", "it", program("done"), b"{}")
    assert await wait_exit(world, "it", exits) == (0, None)


def session(world: RealWorld) -> list[int]:
    return world._zygote._remainder()


async def test_leaving_the_world_leaves_nothing_alive(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        exits = world.exits()
        for node in NODES:
            for number in range(3):
                await world.boot(node, f"p{number}", program("idle"), b"{}")
        await world.signal("beta", "pause")
        assert len(session(world)) == 7
    assert session(world) == []
    assert [_ async for _ in exits] == []
    with pytest.raises(WorldLostError, match="closed"):
        await world.processes("alpha")
    await world.aclose()


async def test_an_error_of_the_body_comes_out_as_it_is_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with opened(tmp_path) as world:
            await world.boot("alpha", "it", program("idle"), b"{}")
            raise KeyError("mine")
    assert session(world) == []


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.1, 0.3])
async def test_cancellation_at_any_moment_leaves_nothing_alive(tmp_path: Path, delay_s: float) -> None:
    started = trio.current_time()
    with trio.move_on_after(delay_s):
        async with opened(tmp_path) as world:
            while True:
                for node in NODES:
                    await world.boot(node, "it", program("deaf"), b"{}")
                    await world.signal(node, "kill")
    assert trio.current_time() - started < delay_s + 2
    assert not (tmp_path / "logs/world/zygote.log").read_text()


async def test_when_the_zygote_dies_the_world_says_so_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(WorldLostError, match=r"zygote\.log"), trio.fail_after(5):
        async with opened(tmp_path) as world:
            await world.boot("alpha", "it", program("deaf"), b"{}")
            await world.signal("alpha", "pause")
            os.kill(world._zygote.pid, signal.SIGKILL)
            await trio.sleep_forever()
    assert session(world) == []


async def test_a_request_under_way_when_the_zygote_dies_fails(tmp_path: Path) -> None:
    with pytest.raises(WorldLostError):
        async with opened(tmp_path) as world:
            os.kill(world._zygote.pid, signal.SIGSTOP)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(world.processes, "alpha")
                await trio.testing.wait_all_tasks_blocked()
                os.kill(world._zygote.pid, signal.SIGKILL)


async def test_exit_streams_of_a_lost_world_raise(tmp_path: Path) -> None:
    with pytest.raises(WorldLostError):
        async with opened(tmp_path) as world:
            exits = world.exits()
            with trio.CancelScope(shield=True), trio.fail_after(5):
                os.kill(world._zygote.pid, signal.SIGKILL)
                with pytest.raises(WorldLostError):
                    await anext(exits)


async def test_a_preload_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot import no\.such\.module"):
        async with opened(tmp_path, preload=["no.such.module"]):
            raise AssertionError("never opened")


async def test_a_preload_that_starts_a_thread_is_refused(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    with pytest.raises(ValueError, match="threaded started a thread"):
        async with opened(tmp_path, preload=["threaded"], path=[str(tmp_path)]):
            raise AssertionError("never opened")


async def test_no_descriptor_is_leaked_by_a_world(tmp_path: Path) -> None:
    async def visit() -> None:
        async with opened(tmp_path) as world, world.client("c"):
            await world.boot("alpha", "it", program("idle"), b"{}")
            await world.signal("alpha", "kill")

    await visit()
    before = len(descriptors("self"))
    await visit()
    assert len(descriptors("self")) == before


async def test_the_zygote_keeps_no_descriptor_of_the_dead(world: RealWorld) -> None:
    def held() -> int:
        return len(descriptors(world._zygote.pid))

    await world.processes("alpha")  # it serves now
    before = held()
    for _ in range(3):
        await world.boot("alpha", "it", program("idle"), b"{}")
        await world.signal("alpha", "kill")
    assert held() == before


async def test_too_many_nodes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than"):
        async with opened(tmp_path, nodes=[f"n{i}" for i in range(300)]):
            raise AssertionError("never opened")
