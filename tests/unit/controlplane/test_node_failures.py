"""Nodes that fall silent, their pods, and what remains of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from ha.kube.conditions import condition_status
from ha.kube.kinds import LEASE, NAMESPACE, NODE, POD
from tests.unit.controlplane.cluster import Cluster, pod, running_cluster

GRACE_S = 50.0
TOLERATION_S = 20.0
NODES = ("n1", "n2", "n3")


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running_cluster() as cluster:
        await cluster.boot(*NODES)
        await cluster.start_scheduler()
        await cluster.start_controllers()
        await trio.sleep(3)
        yield cluster


async def test_silent_node_is_declared_unknown_after_its_grace(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 3)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    await cluster.world.power_off("n1")

    async def unknown() -> bool:
        return await cluster.ready_status("n1") == "Unknown"

    took = await cluster.until(unknown, within_s=120)
    assert GRACE_S - 10.5 <= took <= GRACE_S + 1, "counted from the last renewal"
    await trio.sleep(1)
    assert await cluster.taints("n1") == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
    assert [condition_status(p, "Ready") for p in await cluster.pods(on="n1")] == ["False"]
    assert await cluster.taints("n2") == set()


async def test_pods_of_a_dead_node_run_elsewhere_after_their_toleration(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.deploy("web", 6)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    await cluster.world.power_off("n1")

    async def elsewhere() -> bool:
        placed = Counter((await cluster.nodes_of_pods()).values())
        return placed == {"n2": 3, "n3": 3} and await cluster.is_rolled_out("web")

    took = await cluster.until(elsewhere, within_s=200)
    assert took <= GRACE_S + TOLERATION_S + 5
    assert len(await cluster.pods(active=False)) == 8, "the evicted stay Terminating: nobody confirmed their end"
    await cluster.boot("n1")
    await trio.sleep(10)
    assert len(await cluster.pods(active=False)) == 6, "the kubelet that came back did"
    assert await cluster.ready_status("n1") == "True"
    assert await cluster.taints("n1") == set()


async def test_node_back_within_the_toleration_keeps_its_pods(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 3)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    before = await cluster.nodes_of_pods()
    cluster.world.partition(["n1"], ["api"])
    await trio.sleep(GRACE_S + TOLERATION_S / 2)
    assert await cluster.ready_status("n1") == "Unknown"
    cluster.world.heal()
    await trio.sleep(60)
    assert await cluster.nodes_of_pods() == before
    assert await cluster.taints("n1") == set()
    assert await cluster.is_rolled_out("web"), "and they are ready again"


async def test_pod_that_tolerates_everything_stays(autojump_clock: MockClock, cluster: Cluster) -> None:
    body = pod("daemon", nodeName="n1", tolerations=[{"operator": "Exists"}])
    await cluster.client.create(POD, body)
    await trio.sleep(2)
    await cluster.world.power_off("n1")
    await trio.sleep(600)
    assert await cluster.nodes_of_pods() == {"daemon": "n1"}


async def test_taint_that_is_not_tolerated_evicts_at_once(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.client.create(POD, pod("a", nodeName="n1"))
    tolerant = [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]
    await cluster.client.create(POD, pod("b", nodeName="n1", tolerations=tolerant))
    await trio.sleep(2)
    await cluster.client.patch(NODE, "n1", None, {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}})
    await trio.sleep(2)
    assert set(await cluster.nodes_of_pods()) == {"b"}
    await trio.sleep(30)
    assert await cluster.pods(active=False) == []


async def test_nothing_is_evicted_when_all_nodes_fall_silent(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.deploy("web", 6)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    before = await cluster.nodes_of_pods()
    cluster.world.partition(NODES, ["api"])
    await trio.sleep(600)
    assert {await cluster.ready_status(n) for n in NODES} == {"Unknown"}
    assert {effect for n in NODES for _, effect in await cluster.taints(n)} == {"NoSchedule"}
    assert await cluster.nodes_of_pods() == before
    cluster.world.heal()
    await trio.sleep(60)
    assert await cluster.nodes_of_pods() == before
    assert await cluster.is_rolled_out("web")


async def test_nothing_is_evicted_when_most_nodes_fall_silent(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n4", "n5")
    await cluster.deploy("web", 10)
    await cluster.until(lambda: cluster.is_rolled_out("web"))
    before = await cluster.nodes_of_pods()
    for node in ("n1", "n2", "n3"):
        await cluster.world.power_off(node)
    await trio.sleep(GRACE_S + TOLERATION_S + 60)
    effects = [await cluster.taints(n) for n in ("n1", "n2", "n3")]
    assert sum(("unreachable", "NoExecute") in taints for taints in effects) <= 1, "one, before it was most of them"
    assert all(("unreachable", "NoSchedule") in taints for taints in effects)
    moved = [name for name, node in before.items() if (await cluster.nodes_of_pods()).get(name) != node]
    assert len(moved) <= 2


async def test_nodes_are_emptied_one_after_the_other(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n4", "n5", "n6", "n7")
    for node in ("n1", "n2"):
        await cluster.world.power_off(node)
    began = trio.current_time()
    emptied: dict[str, float] = {}
    while len(emptied) < 2 and trio.current_time() - began < 120:
        for node in ("n1", "n2"):
            if ("unreachable", "NoExecute") in await cluster.taints(node):
                emptied.setdefault(node, trio.current_time())
        await trio.sleep(0.5)
    first, second = sorted(emptied.values())
    assert 9 <= second - first <= 16, "0.1 nodes a second"


async def test_new_leader_gives_every_node_a_full_grace(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.start_controllers("cp2")
    await trio.sleep(10)
    await cluster.world.kill("cp", "kube-controller-manager")
    await cluster.world.power_off("n1")
    died = trio.current_time()

    async def taken_over() -> bool:
        return await cluster.holder("kube-controller-manager") == "cp2"

    await cluster.until(taken_over)
    led = trio.current_time()

    async def unknown() -> bool:
        return await cluster.ready_status("n1") == "Unknown"

    await cluster.until(unknown, within_s=120)
    assert trio.current_time() - led == pytest.approx(GRACE_S, abs=1.5)
    assert led - died <= 20


async def test_store_outage_declares_no_node_silent(autojump_clock: MockClock, cluster: Cluster) -> None:
    cluster.api.etcd.unavailable = True
    await trio.sleep(200)
    cluster.api.etcd.unavailable = False
    await cluster.start_controllers("cp3")
    for _ in range(100):
        await trio.sleep(1)
        assert {await cluster.ready_status(n) for n in NODES} == {"True"}


async def test_cordoned_node_carries_the_taint(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.client.patch(NODE, "n1", None, {"spec": {"unschedulable": True}})
    await trio.sleep(1)
    assert await cluster.taints("n1") == {("unschedulable", "NoSchedule")}
    await cluster.client.patch(NODE, "n1", None, {"spec": {"unschedulable": None}})
    await trio.sleep(1)
    assert await cluster.taints("n1") == set()


async def test_what_belongs_to_a_removed_node_is_removed(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.client.create(POD, pod("a", nodeName="n1"))
    await trio.sleep(15)
    await cluster.world.power_off("n1")
    await cluster.client.delete(NODE, "n1")
    await trio.sleep(GRACE_S + 5)
    assert await cluster.pods(active=False) == []
    assert [lease["metadata"]["name"] for lease in await cluster.list(LEASE, "kube-node-lease")] == ["n2", "n3"]


async def test_deleted_namespace_is_emptied_and_goes(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.client.create(NAMESPACE, {"metadata": {"name": "team"}})
    body = pod("a", nodeName="n1")
    await cluster.client.create(POD, {**body, "metadata": {"name": "a", "namespace": "team"}})
    await trio.sleep(2)
    await cluster.client.delete(NAMESPACE, "team")
    await trio.sleep(10)
    assert await cluster.find(NAMESPACE, "team") is None
    assert await cluster.list(POD, "team") == []
