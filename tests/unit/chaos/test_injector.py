"""The injector: attests every fault, and undoes whatever is in force, in reverse, whatever happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import get_args

import pytest
import trio

from ha.chaos import Injector, Victim, resolve
from ha.chaos.faults import registry
from ha.chaos.injector import describe
from ha.cluster import Cluster, NoLeaderSeenError, node_names, plan
from ha.experiment.judge import fault_records
from ha.history import Event, FaultEvent
from ha.spec import Fault, Target, faults
from ha.spec.load import load
from ha.spec.load import resolve as find
from ha.spec.model import FaultName, Topology
from tests.unit.chaos.small_world import SmallWorld


def topology(name: str = "stacked-3") -> Topology:
    spec = load(find(name))
    assert isinstance(spec, Topology)
    return spec


class Leaders:
    """Answers as `ha.cluster.View` does."""

    def __init__(self) -> None:
        self.etcd: str | None = "control-plane-2"
        self.leases = {
            "kube-scheduler": "control-plane-3",
            "kube-controller-manager": "control-plane-2",
            "cloud-controller-manager": "control-plane-1",
        }

    async def etcd_leader(self, *, within_s: float = 10.0) -> str:
        if self.etcd is None:
            raise NoLeaderSeenError(f"no etcd member was leader within {within_s:g} s")
        return self.etcd

    async def lease_leader(self, name: str, *, within_s: float = 10.0) -> str:
        return self.leases[name]


class Bench:
    """A booted small world with an injector on it."""

    def __init__(self, shape: Topology | None = None) -> None:
        shape = shape or topology()
        nodes = list(node_names(shape))
        self.world = SmallWorld(nodes, {node: ["etcd", "kube-apiserver"] for node in nodes if "control" in node})
        self.plan = plan(shape, {node: self.world.address(node) for node in nodes}, cluster_token="t")
        self.cluster = Cluster(self.world, self.plan)
        self.events: list[FaultEvent] = []
        self.leaders = Leaders()

    async def run(
        self, *faults: Fault, load_s: float = 10.0, afterwards: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        await self.cluster.boot_all()
        self.world.log.clear()
        self.injector = Injector(
            self.cluster,
            self.leaders,  # type: ignore[arg-type]  # tests are not type-checked; the shape is View's
            Random(1),
            emit=self._emit,
            now_s=trio.current_time,
        )
        await self.injector.run(faults, load_s=load_s, afterwards=afterwards)

    def _emit(self, event: Event) -> None:
        assert isinstance(event, FaultEvent)
        self.events.append(event)

    def said(self) -> list[tuple[str, str, list[str], bool]]:
        return [(e.action, e.fault, e.processes or e.nodes, e.attested) for e in self.events]


def fault(name: FaultName, select: str, at_s: float = 1.0, for_s: float | None = None, **target: str) -> Fault:
    return Fault(fault=name, target=Target(select=select, **target), at_s=at_s, for_s=for_s)


async def test_a_killed_node_is_booted_again_after_its_time(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    await bench.run(fault("kill", "etcd-leader", at_s=2, for_s=3))
    assert bench.world.log == ["kill control-plane-2", "boot control-plane-2"]
    assert bench.said() == [("inject", "kill", ["control-plane-2"], True), ("undo", "kill", ["control-plane-2"], True)]
    inject, undo = bench.events
    assert undo.at_s - inject.at_s == pytest.approx(3, abs=0.1)
    assert inject.evidence == {"control-plane-2": {"exited": ["etcd", "kube-apiserver", "kubelet"]}}


async def test_a_core_is_healed_first_and_the_rest_in_the_end(autojump_clock: trio.abc.Clock) -> None:
    """Also in part: of a fault that hit several nodes what hit those of the core."""
    bench = Bench()

    async def heal() -> None:
        await bench.injector.heal(["control-plane-1", "worker-1"])
        bench.world.log.append("healed")
        await trio.sleep(7)

    faults = [
        fault("pause", "control-plane", at_s=1),
        fault("kill", "worker-1", at_s=2),
        fault("kill", "worker-2", at_s=3),
    ]
    await bench.run(*faults, load_s=5, afterwards=heal)
    injected, core, rest = bench.world.log[:5], bench.world.log[5:8], bench.world.log[8:]
    assert len(injected) == 5
    assert core == ["boot worker-1", "resume control-plane-1", "healed"]
    assert (rest[0], sorted(rest[1:])) == ("boot worker-2", ["resume control-plane-2", "resume control-plane-3"])
    assert not bench.world.paused
    [record] = [record for record in fault_records(bench.events) if record.fault == "pause"]
    assert record.attested
    assert record.undone_s == pytest.approx(12, abs=0.1)
    assert sorted(record.undo_evidence) == ["control-plane-1", "control-plane-2", "control-plane-3"]


async def test_what_is_still_in_force_at_the_end_is_undone_in_reverse(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    await bench.run(fault("pause", "worker-1", at_s=1), fault("kill", "worker-2", at_s=2), load_s=5)
    assert bench.world.log == ["pause worker-1", "kill worker-2", "boot worker-2", "resume worker-1"]
    assert not bench.world.paused


async def test_a_fault_is_dated_from_when_it_began(autojump_clock: trio.abc.Clock) -> None:
    """Dated from its attestation, an election that is over by then would precede it, and go unmeasured."""
    bench = Bench()
    bench.world.latency_s = 0.5
    await bench.run(fault("pause", "worker-1", at_s=1), load_s=5)
    assert [event.at_s for event in bench.events] == [pytest.approx(1, abs=0.01), pytest.approx(5, abs=0.01)]
    assert [event.took_s for event in bench.events] == [pytest.approx(0.5), pytest.approx(0.5)]


async def test_a_fault_lasts_from_when_it_struck_not_from_when_it_was_planned(
    autojump_clock: trio.abc.Clock,
) -> None:
    """It may take seconds until there is a leader to hit; undone by the plan, it would last no time at all."""
    bench = Bench()
    find = bench.leaders.etcd_leader

    async def slowly(*, within_s: float = 10.0) -> str:
        await trio.sleep(2)
        return await find(within_s=within_s)

    bench.leaders.etcd_leader = slowly  # type: ignore[method-assign]
    await bench.run(fault("pause", "etcd-leader", at_s=1, for_s=1))
    inject, undo = bench.events
    assert undo.at_s - inject.at_s == pytest.approx(1, abs=0.1)


async def test_the_same_seed_picks_the_same_victims_whatever_the_timing(autojump_clock: trio.abc.Clock) -> None:
    """Entries draw from streams of their own: which of two is first to draw depends on how long acting takes."""
    picked = []
    for latency_s in (0.0, 0.7):
        bench = Bench()
        bench.world.latency_s = latency_s
        again = Target(select="control-plane", take="one")
        await bench.run(
            Fault(fault="pause", target=again, at_s=1, for_s=0.1, every_s=2),
            Fault(fault="kill", target=Target(select="worker", take="one"), at_s=1.5, for_s=0.1, every_s=2),
        )
        picked.append(
            {
                name: [e.nodes for e in bench.events if e.action == "inject" and e.fault == name]
                for name in ("pause", "kill")
            }
        )
    assert picked[0] == picked[1]


async def test_cancellation_undoes_too(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    with trio.move_on_after(3) as scope:
        await bench.run(fault("pause", "control-plane-1", at_s=1, for_s=60), load_s=100)
    assert scope.cancelled_caught
    assert not bench.world.paused
    assert [event.action for event in bench.events] == ["inject", "undo"]


async def test_a_failed_undo_does_not_stop_the_next_one(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()

    async def go_deaf() -> None:
        await trio.sleep(3)
        bench.world.deaf.add("worker-2")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_deaf)
        await bench.run(fault("pause", "worker-1", at_s=1), fault("pause", "worker-2", at_s=2), load_s=5)
    undos = [event for event in bench.events if event.action == "undo"]
    assert [(event.nodes, event.attested) for event in undos] == [(["worker-2"], False), (["worker-1"], True)]
    assert undos[0].error is not None
    assert "did not react" in undos[0].error


async def test_a_fault_without_effect_is_not_attested(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    bench.world.deaf.add("worker-1")
    await bench.run(fault("pause", "worker-1"))
    assert bench.events[0].attested is False


async def test_a_target_that_does_not_run_is_not_attested(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    await bench.run(fault("kill", "worker-1", component="kubelet", at_s=1), fault("pause", "worker-1", at_s=1.5))
    assert [event.attested for event in bench.events if event.action == "inject"] == [True, False]


async def test_no_leader_is_recorded_not_raised(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    bench.leaders.etcd = None
    await bench.run(fault("kill", "etcd-leader"))
    assert [(event.attested, event.nodes) for event in bench.events] == [(False, [])]


async def test_an_injection_that_the_end_of_the_load_meets_is_carried_through(autojump_clock: trio.abc.Clock) -> None:
    """Half a restart would leave a node that nobody boots, and nobody would have heard of the fault."""
    bench = Bench()
    bench.world.latency_s = 0.5
    await bench.run(fault("restart", "worker-1", at_s=4.8), load_s=5)
    assert [process.name for process in await bench.world.processes("worker-1")] == ["kubelet"]
    assert bench.said() == [("inject", "restart", ["worker-1"], True)]


async def test_a_node_that_shuts_down_is_not_started_by_its_init_system_meanwhile(
    autojump_clock: trio.abc.Clock,
) -> None:
    """A kubelet that was back before all else had ended was one too many: the boot after it failed."""
    bench = Bench()
    bench.world.ending_s = 2 * bench.plan.topology.timings.container_backoff
    await bench.cluster.boot_all()
    bench.world.log.clear()
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.cluster.supervise)
        await bench.run(fault("restart", "worker-1"), load_s=4 * bench.world.ending_s)
        nursery.cancel_scope.cancel()
    assert bench.said() == [("inject", "restart", ["worker-1"], True)]
    assert bench.world.log[-2:] == ["terminate worker-1", "boot worker-1"]


async def test_a_fault_whose_victims_are_unknown_when_the_load_ends_is_recorded(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    bench.leaders.etcd_leader = trio.sleep_forever
    await bench.run(fault("kill", "etcd-leader", at_s=4), load_s=5)
    assert [(event.action, event.nodes, event.attested) for event in bench.events] == [("inject", [], False)]


async def test_a_fault_without_evidence_is_not_attested(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    bench.world.silent = True
    await bench.run(fault("pause", "worker-1"))
    assert bench.events[0].attested is False


async def test_every_repeats_until_the_load_ends_and_asks_for_the_target_anew(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()

    async def elect() -> None:
        await trio.sleep(3)
        bench.leaders.etcd = "control-plane-1"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(elect)
        again = Fault(fault="restart", target=Target(select="etcd-leader"), at_s=1, every_s=4)
        await bench.run(again, load_s=8)
    assert [event.nodes for event in bench.events] == [["control-plane-2"], ["control-plane-1"]]


async def test_a_killed_first_process_comes_back_by_itself(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.cluster.supervise)
        await bench.run(fault("kill", "worker-1", at_s=1, component="kubelet"), load_s=2)
        nursery.cancel_scope.cancel()
    assert [(event.action, event.attested) for event in bench.events] == [("inject", True), ("undo", True)]
    assert bench.events[1].evidence["worker-1/kubelet"]


async def test_who_loses_its_disk_writes_nothing_more_and_dies(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    await bench.run(fault("wipe-disk", "control-plane-1", at_s=1, for_s=2))
    assert bench.world.log[:4] == [f"{what} control-plane-1" for what in ("pause", "wipe", "kill", "boot")]
    assert [(event.action, event.attested) for event in bench.events] == [("inject", True), ("undo", True)]


async def test_a_member_that_cannot_start_is_replaced_by_emptying_its_disk(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    bench.world.extra["control-plane-1"] = ["kube-apiserver"]
    await bench.run(fault("wipe-disk", "control-plane-1", at_s=1, component="etcd"), load_s=2)
    assert bench.world.log[0] == "wipe control-plane-1/etcd"
    assert bench.events[0].attested
    assert not [what for what in bench.world.log if what.startswith(("pause", "kill"))]


async def test_supervision_leaves_a_node_alone_that_was_powered_off(autojump_clock: trio.abc.Clock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.cluster.supervise)
        await bench.cluster.boot_all()
        await bench.cluster.power_off("worker-1")
        await trio.sleep(1000)
        assert await bench.world.processes("worker-1") == []
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(select="control-plane"), ["control-plane-1", "control-plane-2", "control-plane-3"]),
        (Target(select="etcd"), ["control-plane-1", "control-plane-2", "control-plane-3"]),
        (Target(select="etcd-followers"), ["control-plane-1", "control-plane-3"]),
        (Target(select="scheduler-leader"), ["control-plane-3"]),
        (Target(select="controller-manager-leader"), ["control-plane-2"]),
        (Target(select="cloud-controller-manager-leader"), ["control-plane-1"]),
        (Target(select="load-balancer"), ["load-balancer"]),
        (Target(select="all", component="etcd"), [f"control-plane-{i}/etcd" for i in (1, 2, 3)]),
    ],
)
async def test_targets_resolve_to_victims(target: Target, expected: list[str]) -> None:
    bench = Bench()
    victims = await resolve(target, bench.plan, bench.leaders, Random(1))  # type: ignore[arg-type]
    assert [str(victim) for victim in victims] == expected


@pytest.mark.parametrize(("take", "count"), [("one", 1), ("minority", 1), ("majority", 2), ("all", 3)])
async def test_take_says_how_many(take: str, count: int) -> None:
    bench = Bench()
    target = Target(select="control-plane", take=take)  # type: ignore[arg-type]
    victims = await resolve(target, bench.plan, bench.leaders, Random(7))  # type: ignore[arg-type]
    assert len(victims) == count
    assert victims == sorted(set(victims))


def test_what_files_take_for_instant_is_instant() -> None:
    assert [name for name, kind in registry().items() if kind.instant] == sorted(faults.INSTANT)


def test_the_registry_holds_what_the_file_format_names() -> None:
    assert sorted(registry()) == sorted(get_args(FaultName))


def test_a_victim_is_named_by_node_and_process() -> None:
    assert str(Victim("worker-1")) == "worker-1"
    assert str(Victim("worker-1", "kubelet")) == "worker-1/kubelet"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(fault="kill", target=Target(select="control-plane", take="one"), at_s=1), "one control-plane"),
        (Fault(fault="bit-flip", target=Target(select="etcd-1", component="etcd"), at_s=1), "etcd on etcd-1"),
        (
            Fault(
                fault="partition",
                target=Target(select="etcd-1"),
                source=Target(select="etcd-leader"),
                direction="inbound",
                at_s=1,
            ),
            "etcd-1, from etcd-leader, inbound only",
        ),
        (
            Fault(fault="delay", target=Target(select="etcd"), latency_s=0.03, jitter_s=1, at_s=1),
            "etcd, 30ms, jitter 1s",
        ),
        (Fault(fault="bandwidth", target=Target(select="etcd"), bytes_per_s=1000, at_s=1), "etcd, 1000 bytes/s"),
        (Fault(fault="clock-offset", target=Target(select="etcd"), offset_s=-30, at_s=1), "etcd, -30s"),
        (Fault(fault="clock-rate", target=Target(select="etcd"), rate=0.5, at_s=1), "etcd, rate 0.5"),
    ],
)
def test_a_record_says_whom_a_fault_hit_and_how(fault: Fault, said: str) -> None:
    assert describe(fault) == said
