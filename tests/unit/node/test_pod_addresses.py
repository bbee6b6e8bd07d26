"""Every pod has an address of its node's subnet, unless it shares the node's network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import trio
from trio.testing import MockClock

from ha import http
from ha.kube.kinds import NODE
from ha.world import Address
from tests.unit.node.cluster import Cluster


def subnet(cluster: Cluster, node: str) -> IPv4Network:
    return IPv4Network(cluster.world.subnet(node))


def ip(cluster: Cluster, pod: str) -> str:
    return str(cluster.pod(pod)["status"]["podIP"])


async def test_pods_of_one_node_listen_on_one_port(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    for name in ("a", "b"):
        cluster.add_pod(name, image="server")
    await trio.sleep(1)
    assert ip(cluster, "a") != ip(cluster, "b")
    for name in ("a", "b"):
        assert IPv4Address(ip(cluster, name)) in subnet(cluster, "n1")
        client = http.Client(cluster.world.host("tester").net, Address(ip(cluster, name), 8080))
        assert (await client.request("GET", "/", timeout_s=1)).status == 200


async def test_pod_of_the_hosts_network_has_the_nodes_address(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("a", hostNetwork=True)
    await trio.sleep(1)
    assert ip(cluster, "a") == cluster.world.address("n1")


async def test_node_tells_its_subnet(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    await trio.sleep(1)
    assert cluster.api.get(NODE, "n1")["spec"]["podCIDR"] == cluster.world.subnet("n1")


async def test_adopted_pods_keep_their_addresses_and_others_get_others(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1")
    names = [f"before-{i}" for i in range(20)]
    for name in names:
        cluster.add_pod(name)
    await trio.sleep(1)
    before = {name: ip(cluster, name) for name in names}
    await cluster.world.kill("n1", "kubelet")
    await cluster.boot("n1")
    for i in range(20):
        cluster.add_pod(f"after-{i}")
    await trio.sleep(1)
    assert {name: ip(cluster, name) for name in names} == before
    after = {ip(cluster, f"after-{i}") for i in range(20)}
    assert len(after) == 20
    assert not after & set(before.values())


async def test_address_of_a_pod_that_ended_is_not_the_next_ones(autojump_clock: MockClock, cluster: Cluster) -> None:
    await cluster.boot("n1")
    cluster.add_pod("old")
    await trio.sleep(1)
    old = ip(cluster, "old")
    await cluster.delete("old")
    await trio.sleep(1)
    for i in range(10):
        cluster.add_pod(f"new-{i}")
    await trio.sleep(1)
    assert old not in {ip(cluster, f"new-{i}") for i in range(10)}


async def test_pod_without_a_free_address_is_not_started_until_there_is_one(
    autojump_clock: MockClock, cluster: Cluster
) -> None:
    await cluster.boot("n1")
    for i in range(254):
        cluster.add_pod(f"p{i}")
    await trio.sleep(1)
    cluster.add_pod("late")
    await trio.sleep(1)
    waiting = cluster.container("late")["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerError"
    assert waiting["message"].endswith(f"every address of {subnet(cluster, 'n1')} is taken")
    freed = ip(cluster, "p7")
    await cluster.delete("p7")
    await trio.sleep(3)
    assert ip(cluster, "late") == freed
