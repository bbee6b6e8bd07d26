"""The layout of a cluster: pure, and as kubeadm would do it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml

from ha import balancer
from ha.cluster import Plan, node_names, plan
from ha.cluster.kubeconfig import kubeconfig
from ha.cluster.manifests import IMAGES
from ha.node import kubelet
from ha.spec import Topology, rules
from ha.spec.load import load, resolve


def laid_out(name: str, **etcd: object) -> Plan:
    topology = load(resolve(name))
    assert isinstance(topology, Topology)
    topology = msgspec.structs.replace(topology, etcd=msgspec.structs.replace(topology.etcd, **etcd))
    addresses = {node: f"127.9.9.{10 + i}" for i, node in enumerate(node_names(topology))}
    return plan(topology, addresses, cluster_token="t")


def kubelet_of(layout: Plan, node: str) -> kubelet.Config:
    return msgspec.json.decode(layout.nodes[node].config, type=kubelet.Config)


def static_pod(layout: Plan, node: str, name: str) -> dict[str, Any]:
    (pod,) = [p for p in kubelet_of(layout, node).static_pods if p["metadata"]["name"] == name]
    (container,) = pod["spec"]["containers"]
    assert container["image"] in IMAGES
    (variable,) = container["env"]
    config: dict[str, Any] = json.loads(variable["value"])
    return config


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("single-node", ["control-plane-1"]),
        ("one-control-plane", ["control-plane-1", "worker-1", "worker-2"]),
        ("stacked-3", [*(f"control-plane-{i}" for i in (1, 2, 3)), "worker-1", "worker-2", "load-balancer"]),
        ("etcd-3", ["etcd-1", "etcd-2", "etcd-3"]),
    ],
)
def test_nodes_are_named_by_role_and_several_control_planes_bring_a_load_balancer(name: str, nodes: list[str]) -> None:
    assert list(laid_out(name).nodes) == nodes


def test_a_store_alone_is_run_by_kubelets_that_stand_alone() -> None:
    layout = laid_out("etcd-3")
    assert (layout.endpoint, layout.api_servers, layout.balancer_stats) == (None, {}, None)
    for node in layout.nodes:
        assert kubelet_of(layout, node).api_server is None
        assert layout.nodes[node].components == ["etcd", "kubelet"]


def test_stacked_an_api_server_knows_its_own_member_only() -> None:
    layout = laid_out("stacked-3")
    for node in layout.role("control-plane"):
        assert static_pod(layout, node, "kube-apiserver")["etcd"] == [str(layout.members[node])]


def test_external_an_api_server_knows_all_members_and_each_prefers_another() -> None:
    layout = laid_out("external-3")
    everyone = sorted(str(address) for address in layout.members.values())
    known = [static_pod(layout, node, "kube-apiserver")["etcd"] for node in layout.role("control-plane")]
    assert [sorted(endpoints) for endpoints in known] == [everyone] * 3
    assert sorted(endpoints[0] for endpoints in known) == everyone
    assert not any("etcd" in layout.nodes[node].components for node in layout.role("control-plane"))


def test_external_etcd_hosts_run_a_kubelet_that_stands_alone() -> None:
    layout = laid_out("external-3")
    config = kubelet_of(layout, "etcd-1")
    assert config.api_server is None
    assert [pod["metadata"]["name"] for pod in config.static_pods] == ["etcd"]
    assert "etcd-1" not in layout.kubernetes_nodes


def test_kubelets_use_the_endpoint_and_controllers_their_own_api_server() -> None:
    layout = laid_out("stacked-3")
    assert str(layout.endpoint).startswith(layout.nodes["load-balancer"].address)
    assert kubelet_of(layout, "worker-1").api_server == str(layout.endpoint)
    for name in ("kube-scheduler", "kube-controller-manager", "cloud-controller-manager"):
        own = str(layout.api_servers["control-plane-2"])
        assert static_pod(layout, "control-plane-2", name)["api_server"] == own


@pytest.mark.parametrize("name", ["single-node", "one-control-plane", "stacked-3", "stacked-5", "external-3", "etcd-3"])
def test_what_a_fault_may_hit_is_what_runs(name: str) -> None:
    layout = laid_out(name)
    for node in layout.nodes.values():
        assert sorted(node.components) == sorted(rules.components(layout.topology, node.role))


def test_every_node_that_registers_runs_kube_proxy_against_the_endpoint() -> None:
    layout = laid_out("external-3")
    assert [n for n, node in layout.nodes.items() if "kube-proxy" in node.components] == layout.kubernetes_nodes
    config = static_pod(layout, "worker-1", "kube-proxy")
    assert (config["node_name"], config["api_server"]) == ("worker-1", str(layout.endpoint))


def test_the_cloud_knows_every_machine() -> None:
    layout = laid_out("external-3")
    cloud = static_pod(layout, "control-plane-1", "cloud-controller-manager")["cloud"]
    assert {name: machine["address"] for name, machine in cloud["machines"].items()} == {
        name: node.address for name, node in layout.nodes.items()
    }
    assert cloud["cluster"] == "external-3"


def test_nodes_that_register_wait_for_the_cloud() -> None:
    layout = laid_out("external-3")
    waiting = [name for name in layout.nodes if name != "load-balancer" and kubelet_of(layout, name).cloud_provider]
    assert waiting == layout.kubernetes_nodes


def test_control_planes_are_an_ingress_only_where_there_is_no_worker() -> None:
    label = "node.kubernetes.io/exclude-from-external-load-balancers"
    assert label not in kubelet_of(laid_out("single-node"), "control-plane-1").labels
    assert label in kubelet_of(laid_out("stacked-3"), "control-plane-1").labels
    assert label not in kubelet_of(laid_out("stacked-3"), "worker-1").labels


def test_control_planes_take_pods_only_where_there_is_no_worker() -> None:
    assert kubelet_of(laid_out("single-node"), "control-plane-1").taints == []
    (taint,) = kubelet_of(laid_out("stacked-3"), "control-plane-1").taints
    assert taint == {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def test_the_load_balancer_knows_every_api_server_by_its_node() -> None:
    layout = laid_out("stacked-3")
    config = msgspec.json.decode(layout.nodes["load-balancer"].config, type=balancer.Config)
    assert config.backends == {node: str(address) for node, address in layout.api_servers.items()}


def test_without_a_load_balancer_the_endpoint_is_the_only_api_server() -> None:
    layout = laid_out("one-control-plane")
    assert layout.endpoint == layout.api_servers["control-plane-1"]
    assert layout.balancer_stats is None


def test_fast_timings_reach_the_members() -> None:
    config = static_pod(laid_out("stacked-3"), "control-plane-1", "etcd")
    assert (config["heartbeat_s"], config["election_s"]) == (0.01, 0.1)


def test_the_kubeconfig_names_the_endpoint() -> None:
    layout = laid_out("stacked-3")
    config = yaml.safe_load(kubeconfig(layout, "x"))
    assert config["clusters"][0]["cluster"]["server"] == f"http://{layout.endpoint}"
    assert config["current-context"] == config["contexts"][0]["name"]


@pytest.mark.parametrize("name", ["stacked-3", "external-3"])
def test_the_real_etcd_runs_where_our_member_would(name: str) -> None:
    ours, real = laid_out(name), laid_out(name, engine="etcd", binary="/opt/etcd", snapshot_count=77)
    for node in ours.nodes.values():
        assert real.nodes[node.name].components == node.components
    for node, address in real.members.items():
        config = static_pod(real, node, "etcd")
        assert (config["binary"], config["name"], config["client_url"]) == ("/opt/etcd", node, str(address))
        assert config["members"] == static_pod(ours, node, "etcd")["members"]
        assert (config["heartbeat_s"], config["election_s"], config["snapshot_count"]) == (0.01, 0.1, 77)
