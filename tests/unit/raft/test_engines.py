"""Engines by name, and several cores in one process, each with a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
import trio

from ha.raft import binding
from ha.raft.engines import ENGINES, open_engine
from ha.spec import model
from ha.world import Address
from tests.fakes.world import FakeWorld
from tests.unit.raft.cluster import Cluster, ListMachine
from tests.unit.raft.schedules import OurMember, Schedule, StockMember


def test_every_engine_of_a_topology_is_there_but_the_one_that_is_a_program_of_others() -> None:
    assert [*ENGINES, "etcd"] == list(model.Engine.__args__)


async def test_an_unknown_engine_is_refused(autojump_clock) -> None:
    async with FakeWorld() as world:
        with pytest.raises(ValueError, match="no such engine: 'zab'; there are pysyncobj, pysyncobj-stock"):
            open_engine(
                "zab",
                world.host("a"),
                name="a",
                peers={"a": Address("10.0.0.1", 2380)},
                machine=ListMachine(),
                heartbeat_s=0.1,
                election_s=1,
                cluster_token="t",
                peer_port=2380,
                snapshot_every=10,
            )


def steps(member: type, now: float, trace: list[object]) -> Iterator[None]:
    """Everything that can be asked of a core, and what came of it; other cores have their turn at each yield."""
    schedule = Schedule("LFG", member, now=now, **({} if member is StockMember else {"snapshot_every": 12}))
    yield
    schedule.elect("L", "FG")
    for number in range(20):
        schedule.members["L"].propose(b"%d" % number)
        yield
        schedule.settle("LF", rounds=1)
    if member is OurMember:
        core = schedule.members["L"].core
        core.read_barrier("token")
        yield
        schedule.settle("LFG", rounds=2)
        trace.append([core.take_reads(), core.next_deadline()])
        core.peer_disconnected("G")
        yield
        core.peer_connected("G")
        yield
    schedule.settle("LFG", rounds=6)
    yield
    for name in "FG":
        schedule.members[name].time_out()
        schedule.tick(name)
        yield
    schedule.give(schedule.take())
    if member is OurMember:
        schedule.members["F"].core.peer_died("L")
        yield
    schedule.crash("L")
    schedule.elect("F", "G")
    yield
    schedule.settle("FG")
    for name, one in sorted(schedule.members.items()):
        core = one.core
        deadline = core._SyncObj__raftElectionDeadline
        trace.append([name, one.commands, one.term(), one.commit(), deadline, core._SyncObj__newAppendEntriesTime])
    trace.append([(source, destination, str(message)) for source, destination, message in schedule.bag])
    trace.append(schedule.now)


def alone(member: type, now: float) -> list[object]:
    trace: list[object] = []
    for _ in steps(member, now, trace):
        pass
    return trace


def _nobody() -> float:
    raise AssertionError("the time was asked for outside of any core")


@pytest.mark.parametrize("seed", range(5))
def test_cores_with_different_clocks_take_turns_and_do_not_notice(seed: int, monkeypatch) -> None:
    """Each names its own clock whenever it is entered. In between there is none."""
    monkeypatch.setattr("ha.raft.elections.Elections.election_timeout_s", lambda _: 1.5)
    monkeypatch.setattr("random.random", lambda: 0.5)
    members = [(OurMember, 1000.0), (StockMember, 2e6), (OurMember, 3e6), (StockMember, 50.0)]
    expected = [alone(*member) for member in members]
    traces: list[list[object]] = [[] for _ in members]
    running = [steps(*member, trace) for member, trace in zip(members, traces, strict=True)]
    random = Random(seed)
    while running:
        binding.use_clock(_nobody)
        turn = random.choice(running)
        if next(turn, "over") == "over":
            running.remove(turn)
    binding.use_clock(binding._standing_still)
    assert traces == expected


@pytest.mark.parametrize("order", [list(ENGINES), list(reversed(ENGINES))])
async def test_clusters_of_both_engines_live_in_one_process(autojump_clock, order: list[str]) -> None:
    async with FakeWorld() as world:
        clusters = [Cluster(world, names, engine=engine) for names, engine in zip(("abc", "xyz"), order, strict=True)]
        for cluster in clusters:
            await cluster.start()
        for number in range(5):
            for cluster in clusters:
                leader = await cluster.leader()
                assert await cluster.replicas[leader].propose(b"%d" % number) == number + 1
        for cluster in clusters:
            await cluster.settle()
            await world.kill(await cluster.leader())
        begun = trio.current_time()
        for cluster in clusters:
            await cluster.leader()
        assert trio.current_time() - begun < 15
