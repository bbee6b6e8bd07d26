"""cloud-controller-manager: Nodes are told apart from machines, and Services where they can be reached."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from ha.controlplane import cloud_controller_manager
from ha.controlplane.cloud_controller_manager import Cloud, Machine
from ha.kube.kinds import NODE, POD, SERVICE, Object
from ha.kube.taints import UNINITIALIZED, has_taint
from tests.unit.controlplane.cluster import Cluster, pod, running_cluster

LEASE = "cloud-controller-manager"


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running_cluster() as cluster:
        yield cluster


async def start_cloud(cluster: Cluster, node: str = "cp", *, machines: tuple[str, ...] = ("n1", "n2")) -> None:
    cloud = Cloud(
        cluster="test",
        region="local",
        machines={name: Machine(address=cluster.world.address(name), zone="local-a") for name in machines},
    )
    await cluster.start_cloud(cloud_controller_manager.Config(name=node, api_server=cluster.server, cloud=cloud))


async def node_of(cluster: Cluster, name: str) -> Object:
    found = await cluster.find(NODE, name)
    assert found is not None
    return found


async def initialized(cluster: Cluster, name: str) -> bool:
    return not has_taint(await node_of(cluster, name), UNINITIALIZED)


async def expose(cluster: Cluster, name: str = "web", port: int = 80, **spec: object) -> None:
    body = {"type": "LoadBalancer", "ports": [{"port": port}], **spec}
    await cluster.client.create(SERVICE, {"metadata": {"name": name, "namespace": "default"}, "spec": body})


async def ingress(cluster: Cluster, name: str = "web") -> list[str]:
    found = await cluster.find(SERVICE, name)
    assert found is not None
    return [one["ip"] for one in found["status"]["loadBalancer"].get("ingress") or []]


async def test_a_node_is_initialised_by_what_the_cloud_knows(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", cloud_provider="external")
    assert not await initialized(cluster, "n1")
    await start_cloud(cluster)
    await cluster.until(lambda: initialized(cluster, "n1"), within_s=2)
    node = await node_of(cluster, "n1")
    assert node["spec"]["providerID"] == "ha://test/n1"
    labels = node["metadata"]["labels"]
    assert (labels["topology.kubernetes.io/region"], labels["topology.kubernetes.io/zone"]) == ("local", "local-a")
    assert labels["kubernetes.io/hostname"] == "n1"


async def test_a_node_takes_pods_when_it_is_initialised(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1", cloud_provider="external")
    await cluster.start_scheduler()
    await cluster.client.create(POD, pod("a"))
    await trio.sleep(20)
    assert await cluster.nodes_of_pods() == {"a": ""}
    await start_cloud(cluster)

    async def bound() -> bool:
        return await cluster.nodes_of_pods() == {"a": "n1"}

    await cluster.until(bound, within_s=15)


async def test_a_node_without_a_machine_stays_uninitialised(autojump_clock: MockClock, cluster: Cluster) -> None:
    await start_cloud(cluster, machines=("n2",))
    await cluster.boot("n1", "n2", cloud_provider="external")
    await cluster.until(lambda: initialized(cluster, "n2"), within_s=5)
    await trio.sleep(60)
    assert not await initialized(cluster, "n1")


async def test_addresses_are_the_clouds(autojump_clock: MockClock, cluster: Cluster) -> None:
    await start_cloud(cluster)
    await cluster.boot("n1", cloud_provider="external")
    await cluster.until(lambda: initialized(cluster, "n1"), within_s=5)
    wrong = [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "n1"}]
    await cluster.client.patch(NODE, "n1", None, {"status": {"addresses": wrong}}, subresource="status")
    await trio.sleep(30)  # the kubelet has reported meanwhile
    shown = (await node_of(cluster, "n1"))["status"]["addresses"]
    assert shown == [
        {"type": "InternalIP", "address": cluster.world.address("n1")},
        {"type": "Hostname", "address": "n1"},
    ]


async def test_other_taints_and_labels_stay(autojump_clock: MockClock, cluster: Cluster) -> None:
    mine = {"key": "mine", "effect": "NoSchedule"}
    await cluster.boot("n1", cloud_provider="external", taints=[mine], labels={"role": "db"})
    await start_cloud(cluster)
    await cluster.until(lambda: initialized(cluster, "n1"), within_s=2)
    node = await node_of(cluster, "n1")
    assert (node["spec"]["taints"], node["metadata"]["labels"]["role"]) == ([mine], "db")


async def test_a_node_is_removed_only_when_it_has_no_machine_and_is_not_ready(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await start_cloud(cluster, machines=("n1",))
    await cluster.start_controllers()
    await cluster.boot("n1", "gone", cloud_provider="external")
    await trio.sleep(120)
    assert await cluster.find(NODE, "gone") is not None
    for name in ("n1", "gone"):
        await cluster.world.power_off(name)
    await trio.sleep(120)
    assert await cluster.find(NODE, "gone") is None
    assert await cluster.ready_status("n1") == "Unknown"


async def test_a_load_balancer_is_the_nodes_that_are_ready(autojump_clock: MockClock, cluster: Cluster) -> None:
    address = cluster.world.address
    await start_cloud(cluster, machines=("n1", "n2", "n3", "cp-1"))
    await cluster.start_controllers()
    await cluster.boot("n1", "n2", "elsewhere", cloud_provider="external")
    out = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
    await cluster.boot("cp-1", cloud_provider="external", labels=out)
    await expose(cluster)
    await trio.sleep(2)
    assert await ingress(cluster) == [address("n1"), address("n2")]
    await cluster.world.power_off("n1")
    await cluster.boot("n3", cloud_provider="external")
    await trio.sleep(60)
    assert await ingress(cluster) == [address("n2"), address("n3")]


async def test_of_services_with_one_port_the_older_has_it_until_it_gives_it_up(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await start_cloud(cluster)
    await cluster.boot("n1", cloud_provider="external")
    await expose(cluster, "old")
    await trio.sleep(2)
    await expose(cluster, "a-newer")
    await expose(cluster, "other", port=81)
    await trio.sleep(2)
    here = [cluster.world.address("n1")]
    assert [await ingress(cluster, name) for name in ("old", "a-newer", "other")] == [here, [], here]
    await cluster.client.patch(SERVICE, "old", "default", {"spec": {"type": "ClusterIP"}})
    await trio.sleep(2)
    assert [await ingress(cluster, name) for name in ("old", "a-newer", "other")] == [[], here, here]
    await cluster.client.delete(SERVICE, "a-newer", "default")
    await cluster.client.patch(SERVICE, "old", "default", {"spec": {"type": "LoadBalancer"}})
    await trio.sleep(2)
    assert await ingress(cluster, "old") == here


async def test_a_service_of_another_load_balancer_is_left_alone(autojump_clock: MockClock, cluster: Cluster) -> None:
    await start_cloud(cluster)
    await cluster.boot("n1", cloud_provider="external")
    await expose(cluster, "theirs", loadBalancerClass="example.com/theirs")
    await expose(cluster)
    await trio.sleep(2)
    assert await ingress(cluster, "theirs") == []
    assert await ingress(cluster) == [cluster.world.address("n1")]


async def test_another_takes_over_and_finishes_what_was_left(autojump_clock: MockClock, cluster: Cluster) -> None:
    for node in ("cp-1", "cp-2"):
        await start_cloud(cluster, node)
        await trio.sleep(1)
    assert await cluster.holder(LEASE) == "cp-1"
    await cluster.world.power_off("cp-1")
    await cluster.boot("n1", cloud_provider="external")
    await expose(cluster)
    await trio.sleep(10)
    assert not await initialized(cluster, "n1")
    took_s = await cluster.until(lambda: initialized(cluster, "n1"), within_s=20)
    assert 3 < took_s < 10
    assert await cluster.holder(LEASE) == "cp-2"
    await trio.sleep(1)
    assert await ingress(cluster) == [cluster.world.address("n1")]


async def test_it_asks_for_nothing_when_nothing_happens(autojump_clock: MockClock, cluster: Cluster) -> None:
    await start_cloud(cluster)
    await cluster.boot("n1", cloud_provider="external")
    await expose(cluster)
    await trio.sleep(5)
    before = [(await node_of(cluster, "n1"))["metadata"], await cluster.find(SERVICE, "web")]
    await trio.sleep(250)
    assert [(await node_of(cluster, "n1"))["metadata"], await cluster.find(SERVICE, "web")] == before
