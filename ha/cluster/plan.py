"""Which nodes a topology has, what runs on each, and with which configuration. Pure.

Node names are ``<role>-<n>``; the single load balancer is ``load-balancer``. As with kubeadm, only the kubelet
(on the load balancer's host: the balancer) is started by the machine itself; etcd and the control plane are
static pods of the kubelet, on external etcd hosts of a kubelet that stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ha import balancer
from ha.balancer import haproxy
from ha.cluster import manifests
from ha.cluster.ports import API_SERVER, ETCD_CLIENT, LOAD_BALANCER_STATS
from ha.history.result import NodeRecord
from ha.node import kubelet
from ha.spec import Role, Topology
from ha.world import Address

__all__ = ["NodePlan", "Plan", "node_names", "plan"]

KUBELET = "ha.node.kubelet:serve"
BALANCER = "ha.balancer:serve"
HAPROXY = "ha.balancer.haproxy:serve"
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_NOT_AN_INGRESS = "node.kubernetes.io/exclude-from-external-load-balancers"
CONTROL_PLANE_TAINT = {"key": _CONTROL_PLANE, "effect": "NoSchedule"}
_PATIENCE_S = 0.5
"""A loaded machine's ordinary hiccups are shorter: nobody is declared dead sooner."""
_ROLES: tuple[Role, ...] = ("control-plane", "worker", "etcd", "load-balancer")


class NodePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One node: its first process, and the components that end up running on it."""

    name: str
    role: Role
    address: str
    process: str
    program: str
    config: bytes
    components: list[str]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole cluster. `endpoint` is the control-plane endpoint that clients and kubelets use; None: there is no
    control plane, and the store stands alone.
    """

    topology: Topology
    nodes: dict[str, NodePlan]
    endpoint: Address | None
    api_servers: dict[str, Address]
    """By node."""
    members: dict[str, Address]
    """Client addresses of the etcd members, by node; a member is named after its node."""
    balancer_stats: Address | None

    def role(self, role: Role) -> list[str]:
        """Names of the nodes of a role, in order."""
        return [name for name, node in self.nodes.items() if node.role == role]

    @property
    def kubernetes_nodes(self) -> list[str]:
        """Nodes that register with the API server, in order."""
        return [*self.role("control-plane"), *self.role("worker")]

    def records(self) -> list[NodeRecord]:
        """The nodes as results and states tell of them."""
        return [
            NodeRecord(name=node.name, role=node.role, address=node.address, components=node.components)
            for node in self.nodes.values()
        ]


def node_names(topology: Topology) -> dict[str, Role]:
    """Every node's role by its name, in the order of the roles."""
    return {name: role for role in _ROLES for name in topology.names(role)}


def plan(topology: Topology, addresses: Mapping[str, str], *, cluster_token: str) -> Plan:
    """Lay out a topology on the given addresses (by node name)."""
    roles = node_names(topology)
    control_planes = topology.names("control-plane")
    etcd_hosts = topology.names(topology.etcd_role)
    balanced = "load-balancer" in roles
    front = "load-balancer" if balanced else next(iter(control_planes), None)
    draft = Plan(
        topology=topology,
        nodes={},
        endpoint=None if front is None else Address(addresses[front], API_SERVER),
        api_servers={name: Address(addresses[name], API_SERVER) for name in control_planes},
        members={name: Address(addresses[name], ETCD_CLIENT) for name in etcd_hosts},
        balancer_stats=Address(addresses["load-balancer"], LOAD_BALANCER_STATS) if balanced else None,
    )
    nodes = {
        name: _balancer_node(draft, name, addresses[name])
        if role == "load-balancer"
        else _kubelet_node(draft, name, role, addresses, cluster_token)
        for name, role in roles.items()
    }
    return msgspec.structs.replace(draft, nodes=nodes)


def _balancer_node(draft: Plan, name: str, address: str) -> NodePlan:
    timings = draft.topology.timings
    config = balancer.Config(
        port=API_SERVER,
        stats_port=LOAD_BALANCER_STATS,
        backends={node: str(backend) for node, backend in draft.api_servers.items()},
        check_interval_s=timings.load_balancer_check,
        check_timeout_s=max(timings.load_balancer_check, _PATIENCE_S),
        connect_timeout_s=max(timings.load_balancer_check, _PATIENCE_S),
    )
    program, encoded = BALANCER, msgspec.json.encode(config)
    if draft.topology.load_balancer.engine == "haproxy":
        binary = draft.topology.load_balancer.binary
        assert binary is not None, "it is found before anything starts"
        program, encoded = HAPROXY, msgspec.json.encode(haproxy.Config(binary=binary, balancer=config))
    return NodePlan(
        name=name,
        role="load-balancer",
        address=address,
        process="load-balancer",
        program=program,
        config=encoded,
        components=["load-balancer"],
    )


def _kubelet_node(draft: Plan, name: str, role: Role, addresses: Mapping[str, str], cluster_token: str) -> NodePlan:
    timings = draft.topology.timings
    pods = manifests.static_pods(draft, name, addresses, cluster_token)
    is_control_plane = role == "control-plane"
    leaves_work_to_workers = is_control_plane and draft.topology.count("worker") > 0
    labels = [_CONTROL_PLANE] if is_control_plane else []
    if leaves_work_to_workers:
        labels.append(_NOT_AN_INGRESS)
    config = kubelet.Config(
        node_name=name,
        api_server=None if role == "etcd" else str(draft.endpoint),
        static_pods=pods,
        images=manifests.IMAGES,
        labels=dict.fromkeys(labels, ""),
        taints=[CONTROL_PLANE_TAINT] if leaves_work_to_workers else [],
        cloud_provider="" if role == "etcd" else "external",
        node_lease_duration_s=timings.node_lease_duration,
        node_lease_renew_s=timings.node_lease_renew,
        node_status_update_s=timings.node_status_update,
        container_backoff_s=timings.container_backoff,
        container_backoff_max_s=timings.container_backoff_max,
        client_timeout_s=timings.client_timeout,
    )
    return NodePlan(
        name=name,
        role=role,
        address=addresses[name],
        process="kubelet",
        program=KUBELET,
        config=msgspec.json.encode(config),
        components=[*(pod["spec"]["containers"][0]["name"] for pod in pods), "kubelet"],
    )
