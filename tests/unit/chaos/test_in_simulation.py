"""Every fault of the vocabulary, on a store of five members in the simulated world: attested, and undone."""

from __future__ import annotations

from random import Random

import pytest
import trio

from ha.chaos import Injector
from ha.cluster import Cluster, View, node_names, plan
from ha.history import Event, FaultEvent
from ha.spec import Fault, Target
from ha.world.sim import FAULTS, SimWorld, open_world, simulate
from tests.unit.chaos.vocabulary import SCHEDULES, SHAPE


def test_nothing_of_the_vocabulary_is_missing() -> None:
    assert set(SCHEDULES) == FAULTS


async def inject(world: SimWorld, fault: Fault) -> list[FaultEvent]:
    layout = plan(SHAPE, {node: world.address(node) for node in node_names(SHAPE)}, cluster_token="t")
    cluster = Cluster(world, layout)
    events: list[FaultEvent] = []

    def emit(event: Event) -> None:
        assert isinstance(event, FaultEvent)
        events.append(event)

    async with world.client("test") as host, trio.open_nursery() as nursery:
        await nursery.start(cluster.supervise)
        await cluster.boot_all()
        await cluster.wait_ready(host, timeout_s=30)
        injector = Injector(cluster, View(host, layout), Random(1), emit=emit, now_s=trio.current_time)
        await injector.run([fault], load_s=5)
        await cluster.wait_ready(host, timeout_s=30)
        nursery.cancel_scope.cancel()
    return events


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_takes_effect_is_undone_and_the_store_is_ready_again(name: str) -> None:
    async def main() -> list[FaultEvent]:
        async with open_world(nodes=list(node_names(SHAPE)), seed=1) as world:
            return await inject(world, SCHEDULES[name])

    events = simulate(main, seed=1)
    assert [(event.attested, event.error) for event in events] == [(True, None)] * len(events)
    assert [event.action for event in events] == (["inject"] if name in ("reset", "restart") else ["inject", "undo"])
    assert all(event.evidence for event in events)


def test_healing_a_core_leaves_the_rest_broken() -> None:
    """Faults of nodes end in the core only, faults of links when one of them lies within the core."""

    async def main() -> list[tuple[str, str, list[str]]]:
        async with open_world(nodes=list(node_names(SHAPE)), seed=1) as world:
            layout = plan(SHAPE, {node: world.address(node) for node in node_names(SHAPE)}, cluster_token="t")
            cluster = Cluster(world, layout)
            told: list[tuple[str, str, list[str]]] = []

            def emit(event: Event) -> None:
                assert isinstance(event, FaultEvent)
                told.append((event.action, event.fault, sorted(event.evidence)))

            async with world.client("test") as host, trio.open_nursery() as nursery:
                await nursery.start(cluster.supervise)
                await cluster.boot_all()
                await cluster.wait_ready(host, timeout_s=30)
                injector = Injector(cluster, View(host, layout), Random(1), emit=emit, now_s=trio.current_time)
                faults = [
                    Fault(fault="pause", target=Target(select="etcd"), at_s=1),
                    Fault(fault="partition", target=Target(select="etcd-5"), at_s=2),
                    Fault(fault="partition", target=Target(select="etcd-1"), at_s=3),
                ]
                async with trio.open_nursery() as running:
                    running.start_soon(lambda: injector.run(faults, load_s=10))
                    await trio.sleep(5)
                    told.clear()
                    await injector.heal({"etcd-1", "etcd-2", "etcd-3"})
                    told.append(("inject", "healed", []))
                nursery.cancel_scope.cancel()
            return told

    assert simulate(main, seed=1) == [
        ("undo", "partition", ["links"]),
        ("undo", "pause", ["etcd-1", "etcd-2", "etcd-3"]),
        ("inject", "healed", []),
        ("undo", "partition", ["links"]),
        ("undo", "pause", ["etcd-4", "etcd-5"]),
    ]
