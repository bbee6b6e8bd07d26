"""Endpoints and EndpointSlices follow Services and pods."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from ha.kube.kinds import DEPLOYMENT, ENDPOINT_SLICE, ENDPOINTS, SERVICE, Object
from tests.unit.controlplane.cluster import Cluster, running_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running_cluster() as cluster:
        await cluster.boot("n1", "n2")
        await cluster.start_scheduler()
        await cluster.start_controllers()
        await cluster.deploy("web", 3)
        await cluster.until(lambda: cluster.is_rolled_out("web"))
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        spec = {"selector": {"app": "web"}, "ports": ports}
        await cluster.client.create(SERVICE, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
        await trio.sleep(2)
        yield cluster


async def slices(cluster: Cluster) -> list[Object]:
    found = await cluster.list(ENDPOINT_SLICE, "default")
    return [s for s in found if s["metadata"]["labels"].get("kubernetes.io/service-name") == "web"]


async def addresses(cluster: Cluster) -> tuple[list[str], list[str]]:
    """Names of the pods that are ready, and of those that are not, by the Endpoints."""
    found = await cluster.find(ENDPOINTS, "web")
    assert found is not None
    ready: list[str] = []
    unready: list[str] = []
    for subset in found.get("subsets") or []:
        ready += [a["targetRef"]["name"] for a in subset.get("addresses") or []]
        unready += [a["targetRef"]["name"] for a in subset.get("notReadyAddresses") or []]
    return sorted(ready), sorted(unready)


async def test_service_lists_its_ready_pods(autojump_clock: MockClock, cluster: Cluster) -> None:
    assert await addresses(cluster) == (sorted(await cluster.nodes_of_pods()), [])
    (slice_,) = await slices(cluster)
    assert slice_["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert sorted(e["targetRef"]["name"] for e in slice_["endpoints"]) == sorted(await cluster.nodes_of_pods())
    assert all(e["conditions"] == {"ready": True, "serving": True, "terminating": False} for e in slice_["endpoints"])


async def test_pods_come_and_go(autojump_clock: MockClock, cluster: Cluster) -> None:
    for replicas in (5, 1, 0):
        await cluster.client.patch(DEPLOYMENT, "web", "default", {"spec": {"replicas": replicas}})
        await cluster.until(lambda: cluster.is_rolled_out("web"))
        await trio.sleep(2)
        assert len((await addresses(cluster))[0]) == replicas
        assert sum(len(s["endpoints"] or []) for s in await slices(cluster)) == replicas


async def test_pods_of_a_silent_node_are_not_ready(autojump_clock: MockClock, cluster: Cluster) -> None:
    on_n1 = sorted(p["metadata"]["name"] for p in await cluster.pods(on="n1"))
    assert on_n1
    await cluster.world.power_off("n1")
    await trio.sleep(55)
    ready, unready = await addresses(cluster)
    assert unready == on_n1
    assert len(ready) == 3 - len(on_n1)


async def test_pods_that_are_evicted_from_a_silent_node_do_not_serve_while_they_terminate(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    on_n1 = {p["metadata"]["name"] for p in await cluster.pods(on="n1")}
    await cluster.world.power_off("n1")
    await trio.sleep(90)
    (slice_,) = await slices(cluster)
    lost = [e["conditions"] for e in slice_["endpoints"] if e["targetRef"]["name"] in on_n1]
    assert lost == [{"ready": False, "serving": False, "terminating": True}] * len(on_n1)


async def test_many_pods_are_cut_into_slices(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n3", "n4")
    await cluster.client.patch(DEPLOYMENT, "web", "default", {"spec": {"replicas": 150}})
    await cluster.until(lambda: cluster.is_rolled_out("web"), within_s=120)
    await trio.sleep(2)
    assert sorted(len(s["endpoints"]) for s in await slices(cluster)) == [50, 100]


async def test_deleted_service_takes_its_endpoints_along(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.client.delete(SERVICE, "web", "default")
    await trio.sleep(2)
    assert await slices(cluster) == []
    assert await cluster.find(ENDPOINTS, "web") is None


async def test_service_without_a_selector_is_left_alone(autojump_clock: MockClock, cluster: Cluster) -> None:
    subsets = [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 5432}]}]
    await cluster.client.create(ENDPOINTS, {"metadata": {"name": "db", "namespace": "default"}, "subsets": subsets})
    await trio.sleep(5)
    spec = {"ports": [{"port": 5432}]}
    await cluster.client.create(SERVICE, {"metadata": {"name": "db", "namespace": "default"}, "spec": spec})
    await trio.sleep(5)
    found = await cluster.find(ENDPOINTS, "db")
    assert found is not None
    assert found["subsets"][0]["addresses"][0]["ip"] == "192.0.2.1"
