"""Stock PySyncObj as an engine: what it keeps, what it answers, and that nothing of its consensus is ours."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from random import Random

import pytest
import trio
from pysyncobj import SyncObj, syncobj

from ha.raft import MAX_COMMAND_BYTES, NoLeaderError, OutcomeUnknownError, TooLargeError
from ha.raft.engines import ENGINES
from ha.raft.stock import StockReplica, _Waiter
from ha.raft.stock_files import BusError
from ha.raft.stock_seams import STEP_S, Clock, Seams
from ha.world import Address, DiskFull
from tests.fakes.world import FakeWorld, run_virtual
from tests.unit.raft.cluster import Cluster, ListMachine

STOCK = "pysyncobj-stock"


def commands(prefix: str, count: int) -> list[bytes]:
    return [b"%s%d" % (prefix.encode(), number) for number in range(count)]


async def propose_all(cluster: Cluster, name: str, *, batch: list[bytes]) -> list[object]:
    """Propose at the same time: one heartbeat takes them all."""
    answers: list[object] = []

    async def propose(command: bytes) -> None:
        answers.append(await cluster.replicas[name].propose(command))

    async with trio.open_nursery() as nursery:
        for command in batch:
            nursery.start_soon(propose, command)
    return answers


async def test_every_member_proposes_and_all_apply_the_same(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", engine=STOCK)
        await cluster.start()
        await cluster.leader()
        assert [await cluster.replicas[name].propose(name.encode()) for name in "abc"] == [1, 2, 3]
        await cluster.settle()
        assert {tuple(cluster.machines[name].commands) for name in "abc"} == {(b"a", b"b", b"c")}


async def test_the_class_that_consents_is_the_library_s_own(autojump_clock) -> None:
    """Not even a subclass, and no attribute of an instance hides a method of it."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "a", engine=STOCK)
        await cluster.start()
        core = cluster.replicas["a"]._core
        assert type(core) is SyncObj
        assert SyncObj.__module__ == "pysyncobj.syncobj"
        methods = {name for name, value in vars(SyncObj).items() if callable(value)}
        assert not methods & set(vars(core))
        assert {vars(SyncObj)[name].__code__.co_filename for name in methods} == {syncobj.__file__}


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_killed_member_comes_back_with_what_it_wrote(autojump_clock, engine: str) -> None:
    """Log, term, vote and dump survive its process, over several compactions."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", engine=engine, snapshot_every=20)
        await cluster.start()
        leader = await cluster.leader()
        for number in range(5):
            await propose_all(cluster, leader, batch=commands(f"{number}-", 15))
        await cluster.settle()
        before, term = cluster.machines[leader].commands, cluster.status(leader).term
        for name in "abc":
            await world.kill(name)
        await cluster.start()
        await cluster.leader()
        await cluster.settle()
        assert all(cluster.machines[name].commands == before for name in "abc")
        assert cluster.status("a").term > term


async def test_nothing_is_ever_synced_so_loss_of_power_takes_acknowledged_writes(autojump_clock) -> None:
    async with FakeWorld(seed=1) as world:
        cluster = Cluster(world, "abc", engine=STOCK)
        await cluster.start()
        leader = await cluster.leader()
        assert await propose_all(cluster, leader, batch=commands("x", 100))
        await cluster.settle()
        assert [world.device(name, "main").syncs for name in "abc"] == [0, 0, 0]
        for name in "abc":
            await world.power_off(name)
        await cluster.start()
        await cluster.leader()
        await trio.sleep(5)
        assert all(len(cluster.machines[name].commands) < 100 for name in "abc")


async def test_a_snapshot_brings_a_member_up_to_date_that_was_away(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", engine=STOCK, snapshot_every=20)
        await cluster.start()
        leader = await cluster.leader()
        away = cluster.followers()[0]
        await world.kill(away)
        for number in range(5):
            await propose_all(cluster, leader, batch=commands(f"{number}-", 15))
        await cluster.start(away)
        await cluster.settle()
        assert cluster.machines[away].commands == cluster.machines[leader].commands
        assert len(cluster.machines[away].commands) == 75


async def test_without_a_leader_nothing_is_proposed(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", engine=STOCK)
        await cluster.start("a")
        for ask in (cluster.replicas["a"].propose(b"x"), cluster.replicas["a"].read_barrier()):
            with pytest.raises(NoLeaderError) as caught:
                await ask
            assert caught.value.definite


async def test_what_is_too_large_is_refused(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "a", engine=STOCK)
        await cluster.start()
        with pytest.raises(TooLargeError):
            await cluster.replicas["a"].propose(bytes(MAX_COMMAND_BYTES + 1))


async def test_who_waits_is_told_when_the_member_stops(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", engine=STOCK)
        await cluster.start()
        leader = await cluster.leader()
        replica = cluster.replicas[leader]
        world.partition([leader], cluster.followers())
        with pytest.RaisesGroup(OutcomeUnknownError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(replica.propose, b"x")
                await trio.sleep(1)
                await world.kill(leader)


@pytest.mark.parametrize("reason", [code for name, code in vars(syncobj.FAIL_REASON).items() if name.isupper()])
def test_each_reason_to_fail_is_told_apart(reason: int) -> None:
    waiter = _Waiter()
    waiter.call_back("answer", reason)
    assert waiter.done.is_set()
    unknown = (syncobj.FAIL_REASON.LEADER_CHANGED, syncobj.FAIL_REASON.UNKNOWN_OUTCOME)
    if reason == syncobj.FAIL_REASON.SUCCESS:
        assert (waiter.answer, waiter.error) == ("answer", None)
    else:
        assert waiter.error is not None
        assert waiter.error.definite == (reason not in unknown)


async def test_reads_of_a_deposed_leader_are_stale(autojump_clock) -> None:
    """It believes to lead for 30 s, and a barrier is no more than that belief."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", engine=STOCK)
        await cluster.start()
        old = await cluster.leader()
        await trio.sleep(6)
        rest = cluster.followers()
        world.partition([old], rest)
        new = await cluster.leader(among="".join(rest))
        await cluster.replicas[new].propose(b"x")
        await cluster.replicas[old].read_barrier()
        assert cluster.machines[new].commands == [b"x"]
        assert cluster.machines[old].commands == []


async def test_a_full_disk_kills_a_leader_that_writes(autojump_clock) -> None:
    async with FakeWorld() as world:
        host = world.host("a")
        replica = StockReplica(
            host,
            name="a",
            peers={"a": Address(host.address, 2380)},
            machine=ListMachine(),
            heartbeat_s=0.1,
            election_s=1,
            cluster_token="t",
        )
        with pytest.RaisesGroup(BusError, OutcomeUnknownError, flatten_subgroups=True), trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                await nursery.start(replica.run)
                await replica.propose(b"x")
                await world.impose(DiskFull("a"))
                await replica.propose(b"y")


async def test_what_a_tick_raises_is_logged_and_the_member_goes_on(autojump_clock) -> None:
    """As PySyncObj's own thread does. A command that the machine cannot apply stays in its way for good."""

    class Picky(ListMachine):
        def apply(self, index: int, command: bytes) -> object:
            if command == b"bad":
                raise ValueError("a bad command")
            return super().apply(index, command)

    async with FakeWorld() as world:
        cluster = Cluster(world, "a", engine=STOCK)
        await cluster.start()
        cluster.replicas["a"]._state._machine = Picky()
        await cluster.leader()
        with trio.move_on_after(2) as limit:
            await cluster.replicas["a"].propose(b"bad")
        assert limit.cancelled_caught
        assert cluster.status("a").role == "leader"
        assert any(line[3] == "failed _onTick" and "a bad command" in str(line[4]) for line in world.logs)


async def test_the_clock_moves_whenever_it_is_read(autojump_clock) -> None:
    """PySyncObj has loops that only the clock ends."""
    clock = Clock()
    readings = [clock() for _ in range(1000)]
    assert readings == sorted(set(readings))
    await trio.sleep(10)
    assert clock() == trio.current_time()


async def test_a_peer_cannot_make_a_member_call_a_function(autojump_clock) -> None:
    with pytest.raises(pickle.UnpicklingError):
        syncobj.pickle.loads(pickle.dumps(os.system, protocol=2))
    assert syncobj.pickle.loads(pickle.dumps((1, (b"\xff", {2}), {}), protocol=2)) == (1, (b"\xff", {2}), {})


async def test_whoever_else_uses_the_library_finds_the_machine_as_it_was(autojump_clock) -> None:
    async with FakeWorld() as world:
        host = world.host("a")
        draws = Random(), Random()
        for draw in draws:
            draw.setstate(host.random.getstate())
        before = syncobj.monotonicTime()
        with Seams(host, Clock()):
            assert syncobj.random.random() == draws[0].random()
            assert syncobj.monotonicTime() == trio.current_time() + STEP_S
            syncobj.logger.warning("%d of %s", 1, "a")
        assert syncobj.monotonicTime() == before
        assert syncobj.random.random() != draws[1].random()
        syncobj.logger.warning("to nobody")
        assert [line[3] for line in world.logs] == ["1 of a"]


def everything(seed: int) -> str:
    """The digest of a schedule that kills, cuts, compacts and restarts."""
    digests: list[str] = []

    async def main() -> None:
        async with FakeWorld(seed=seed) as world:
            cluster = Cluster(world, "abc", engine=STOCK, snapshot_every=20)
            await cluster.start()
            leader = await cluster.leader()
            for number in range(3):
                await propose_all(cluster, leader, batch=commands(f"{number}-", 15))
            world.partition([leader], cluster.followers())
            await trio.sleep(8)
            world.heal()
            await trio.sleep(8)
            await world.power_off(leader)
            await trio.sleep(8)
            await cluster.start(leader)
            await trio.sleep(8)
            digests.append(world.trace.digest())

    run_virtual(main, seed=seed)
    return digests[0]


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_the_same_seed_does_the_same_under_any_hash_seed(hash_seed: str) -> None:
    code = f"import {__name__} as t; print(t.everything(3))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == everything(3)
    assert everything(3) != everything(4)
