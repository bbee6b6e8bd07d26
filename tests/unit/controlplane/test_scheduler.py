"""The scheduler, against the real API server."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
import trio
from trio.testing import MockClock

from ha.controlplane.scheduler.placement import place
from ha.controlplane.scheduler.resources import NodeInfo, PodInfo, Resources
from ha.kube.conditions import condition
from ha.kube.errors import ApiError
from ha.kube.kinds import EVENT, NODE, POD
from tests.unit.controlplane.cluster import Cluster, pod

TAINT = {"key": "dedicated", "value": "x", "effect": "NoSchedule"}


async def test_pending_pod_is_bound(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    await cluster.start_scheduler()
    await cluster.client.create(POD, pod("a"))

    async def runs() -> bool:
        found = await cluster.find(POD, "a")
        return found is not None and found["status"].get("phase") == "Running"

    await cluster.until(runs, within_s=5)
    assert await cluster.nodes_of_pods() == {"a": "n1"}
    found = await cluster.find(POD, "a")
    assert found is not None
    assert (condition(found, "PodScheduled") or {})["status"] == "True"
    reasons = [e["reason"] for e in await cluster.list(EVENT, "default")]
    assert "Scheduled" in reasons


async def test_pods_of_one_owner_spread_over_nodes(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", "n2", "n3")
    await cluster.start_scheduler()
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": True}
    for i in range(9):
        body = pod(f"p{i}")
        await cluster.client.create(POD, {**body, "metadata": {**body["metadata"], "ownerReferences": [owner]}})

    async def bound() -> bool:
        return all((await cluster.nodes_of_pods()).values())

    await cluster.until(bound)
    assert Counter((await cluster.nodes_of_pods()).values()) == {"n1": 3, "n2": 3, "n3": 3}


async def test_capacity_of_a_node_is_never_exceeded(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", cpu="2")
    await cluster.boot("n2", cpu="1")
    await cluster.start_scheduler()
    for i in range(10):
        await cluster.client.create(POD, pod(f"p{i}", cpu="500m"))
    await trio.sleep(20)
    assert Counter((await cluster.nodes_of_pods()).values()) == {"n1": 4, "n2": 2, "": 4}


async def test_node_takes_no_more_pods_than_it_may(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", max_pods=3)
    await cluster.start_scheduler()
    for i in range(5):
        await cluster.client.create(POD, pod(f"p{i}"))
    await trio.sleep(20)
    assert Counter((await cluster.nodes_of_pods()).values()) == {"n1": 3, "": 2}


async def test_pod_that_fits_nowhere_is_told_why_and_bound_when_it_fits(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1", taints=[TAINT])
    await cluster.boot("n2", cpu="1")
    await cluster.start_scheduler()
    await cluster.client.create(POD, pod("big", cpu="3"))
    await trio.sleep(5)
    found = await cluster.find(POD, "big")
    assert found is not None
    scheduled = condition(found, "PodScheduled")
    assert scheduled is not None
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    assert scheduled["message"] == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {dedicated: x}."
    )
    assert "FailedScheduling" in [e["reason"] for e in await cluster.list(EVENT, "default")]
    await trio.sleep(60)
    await cluster.boot("n3", cpu="4")

    async def bound() -> bool:
        return (await cluster.nodes_of_pods())["big"] == "n3"

    assert await cluster.until(bound) < 2, "a new node wakes it at once"


async def test_pod_that_leaves_makes_room(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", cpu="1")
    await cluster.start_scheduler()
    await cluster.client.create(POD, pod("first", cpu="1"))
    await trio.sleep(2)
    await cluster.client.create(POD, pod("second", cpu="1"))
    await trio.sleep(20)
    await cluster.client.delete(POD, "first", "default")

    async def bound() -> bool:
        return (await cluster.nodes_of_pods()).get("second") == "n1"

    assert await cluster.until(bound) < 3


async def test_selector_toleration_and_cordon_are_respected(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", taints=[TAINT], labels={"disk": "ssd"})
    await cluster.boot("n2")
    await cluster.boot("n3", unschedulable=True)
    await cluster.start_scheduler()
    toleration = {"key": "dedicated", "operator": "Exists"}
    await cluster.client.create(POD, pod("picky", nodeSelector={"disk": "ssd"}, tolerations=[toleration]))
    await cluster.client.create(POD, pod("plain"))
    await cluster.client.create(POD, pod("impossible", nodeSelector={"disk": "tape"}))
    await trio.sleep(5)
    assert await cluster.nodes_of_pods() == {"picky": "n1", "plain": "n2", "impossible": ""}


async def test_silent_node_gets_no_pods(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    node = await cluster.find(NODE, "n1")
    assert node is not None
    await cluster.world.kill("n1")
    unknown = [{**c, "status": "Unknown"} for c in node["status"]["conditions"]]
    patch = {"status": {"conditions": unknown}}
    await cluster.client.patch(NODE, "n1", None, patch, subresource="status")
    await cluster.start_scheduler()
    await cluster.client.create(POD, pod("a"))
    await trio.sleep(10)
    assert await cluster.nodes_of_pods() == {"a": ""}


async def test_standby_takes_over_what_is_pending(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    await cluster.start_scheduler("cp1")
    await trio.sleep(5)
    await cluster.start_scheduler("cp2")
    await trio.sleep(20)
    assert await cluster.holder("kube-scheduler") == "cp1"
    await cluster.world.kill("cp1")
    await cluster.client.create(POD, pod("a"))

    async def bound() -> bool:
        return (await cluster.nodes_of_pods())["a"] == "n1"

    took = await cluster.until(bound)
    assert 10 <= took <= 20, "15 s of lease less its age, and up to 2.2 times the retry period"
    assert await cluster.holder("kube-scheduler") == "cp2"


async def test_pod_bound_by_somebody_else_meanwhile_is_left_alone(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", "n2")
    await cluster.start_scheduler()
    theirs = set()
    for i in range(20):
        await cluster.client.create(POD, pod(f"p{i}"))
        try:
            await cluster.client.bind(f"p{i}", "default", "elsewhere")
        except ApiError as error:
            if error.status != 409:
                raise
        else:
            theirs.add(f"p{i}")
    await trio.sleep(5)
    assert 0 < len(theirs) < 20, "both sides win sometimes"
    placed = await cluster.nodes_of_pods()
    assert {name for name, node in placed.items() if node == "elsewhere"} == theirs
    assert "" not in placed.values()


async def test_store_outage_only_delays(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    await cluster.start_scheduler(lease_duration_s=1000, lease_renew_deadline_s=900)
    await trio.sleep(2)
    for i in range(5):
        await cluster.client.create(POD, pod(f"p{i}", nodeSelector={"later": "yes"}))
    cluster.api.etcd.unavailable = True
    await trio.sleep(60)
    cluster.api.etcd.unavailable = False
    await cluster.client.patch(NODE, "n1", None, {"metadata": {"labels": {"later": "yes"}}})

    async def bound() -> bool:
        return set((await cluster.nodes_of_pods()).values()) == {"n1"}

    assert await cluster.until(bound) < 15


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_same_randomness_decides_the_same(autojump_clock: MockClock, seed: int) -> None:
    nodes = [NodeInfo(f"n{i}", Resources(1000, 2**30), 10, known=True) for i in range(5)]
    info = PodInfo.of({"metadata": {"name": "a", "uid": "u"}, "spec": {"containers": [{}]}})
    assert place(info, nodes, Random(seed)) == place(info, list(reversed(nodes)), Random(seed))
