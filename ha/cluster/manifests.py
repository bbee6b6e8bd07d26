"""Static pods, as ``kubeadm init`` writes them to /etc/kubernetes/manifests; and kube-proxy, on every node that
registers, which with kubeadm is a DaemonSet: that needs a controller and an API first, and buys nothing here.

A container's program follows from its image (`IMAGES`), its configuration stands in the variable HA_CONFIG.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

import ha
from ha.cluster.ports import (
    API_SERVER,
    CLOUD_CONTROLLER_MANAGER,
    CONTROLLER_MANAGER,
    ETCD_PEER,
    KUBE_PROXY,
    KUBE_PROXY_METRICS,
    SCHEDULER,
)
from ha.controlplane import apiserver, cloud_controller_manager, controller_manager, scheduler
from ha.etcd import binary, member
from ha.node import proxy
from ha.spec import Timings
from ha.world import Address

if TYPE_CHECKING:
    from ha.cluster.plan import Plan

__all__ = ["CONFIG_VARIABLE", "IMAGES", "static_pods"]

CONFIG_VARIABLE = "HA_CONFIG"
_PROGRAMS = {
    "cloud-controller-manager": "ha.controlplane.cloud_controller_manager:serve",
    "etcd": "ha.etcd.member:serve",
    "etcd-binary": "ha.etcd.binary:serve",
    "kube-apiserver": "ha.controlplane.apiserver:serve",
    "kube-controller-manager": "ha.controlplane.controller_manager:serve",
    "kube-proxy": "ha.node.proxy:serve",
    "kube-scheduler": "ha.controlplane.scheduler:serve",
    "serve-hostname": "ha.node.serve_hostname:serve",
}
IMAGES = {f"ha/{name}:{ha.__version__}": program for name, program in _PROGRAMS.items()}


def static_pods(plan: Plan, node: str, addresses: Mapping[str, str], cluster_token: str) -> list[dict[str, Any]]:
    """What the kubelet of a node runs by itself. `addresses` are all nodes'."""
    timings = plan.topology.timings
    pods = []
    if node in plan.members and plan.topology.etcd.engine == "etcd":
        pods.append(_pod("etcd", _real_etcd(plan, node, addresses, cluster_token), image="etcd-binary"))
    elif node in plan.members:
        pods.append(_pod("etcd", _etcd(plan, node, addresses, cluster_token)))
    if node in plan.api_servers:
        local = str(plan.api_servers[node])
        pods += [
            _pod("kube-apiserver", _api_server(plan, node)),
            _pod("kube-controller-manager", _controller_manager(node, local, timings)),
            _pod("kube-scheduler", _scheduler(node, local, timings)),
            _pod("cloud-controller-manager", _cloud_controller_manager(plan, node, addresses)),
        ]
    if node in plan.api_servers or node in plan.topology.names("worker"):
        pods.append(_pod("kube-proxy", _proxy(node, str(plan.endpoint), timings), tier="node"))
    return pods


def _etcd(plan: Plan, node: str, addresses: Mapping[str, str], cluster_token: str) -> member.Config:
    timings = plan.topology.timings
    return member.Config(
        name=node,
        members={name: str(Address(addresses[name], ETCD_PEER)) for name in plan.members},
        client_urls={name: str(address) for name, address in plan.members.items()},
        cluster_token=cluster_token,
        heartbeat_s=timings.etcd_heartbeat,
        election_s=timings.etcd_election,
        engine=plan.topology.etcd.engine,
        reads=plan.topology.etcd.reads,
        snapshot_every=plan.topology.etcd.snapshot_count,
    )


def _real_etcd(plan: Plan, node: str, addresses: Mapping[str, str], cluster_token: str) -> binary.Config:
    etcd, timings = plan.topology.etcd, plan.topology.timings
    assert etcd.binary is not None, "it is found before anything starts"
    return binary.Config(
        binary=etcd.binary,
        name=node,
        members={name: str(Address(addresses[name], ETCD_PEER)) for name in plan.members},
        client_url=str(plan.members[node]),
        cluster_token=cluster_token,
        heartbeat_s=timings.etcd_heartbeat,
        election_s=timings.etcd_election,
        snapshot_count=etcd.snapshot_count,
    )


def _api_server(plan: Plan, node: str) -> apiserver.Config:
    endpoints = list(plan.members.values())
    if plan.topology.etcd.topology == "stacked":
        endpoints = [plan.members[node]]
    else:  # each prefers another member, so that their load spreads
        first = list(plan.api_servers).index(node) % len(endpoints)
        endpoints = endpoints[first:] + endpoints[:first]
    return apiserver.Config(
        name=node,
        etcd=[str(address) for address in endpoints],
        port=API_SERVER,
        store_request_timeout_s=plan.topology.timings.store_request_timeout,
        pod_eviction_toleration_s=plan.topology.timings.pod_eviction_toleration,
    )


def _scheduler(node: str, api_server: str, timings: Timings) -> scheduler.Config:
    return scheduler.Config(
        name=node,
        api_server=api_server,
        port=SCHEDULER,
        lease_duration_s=timings.lease_duration,
        lease_renew_deadline_s=timings.lease_renew_deadline,
        lease_retry_period_s=timings.lease_retry_period,
        client_timeout_s=timings.client_timeout,
    )


def _controller_manager(node: str, api_server: str, timings: Timings) -> controller_manager.Config:
    return controller_manager.Config(
        name=node,
        api_server=api_server,
        port=CONTROLLER_MANAGER,
        lease_duration_s=timings.lease_duration,
        lease_renew_deadline_s=timings.lease_renew_deadline,
        lease_retry_period_s=timings.lease_retry_period,
        node_monitor_period_s=timings.node_monitor_period,
        node_monitor_grace_s=timings.node_monitor_grace,
        node_eviction_rate_per_s=1 / timings.node_eviction_period,
        pod_eviction_toleration_s=timings.pod_eviction_toleration,
        client_timeout_s=timings.client_timeout,
    )


def _cloud_controller_manager(plan: Plan, node: str, addresses: Mapping[str, str]) -> cloud_controller_manager.Config:
    """All machines are in one zone, for they are one machine: they fail together."""
    timings = plan.topology.timings
    machines = {
        name: cloud_controller_manager.Machine(address=address, zone="local-a") for name, address in addresses.items()
    }
    return cloud_controller_manager.Config(
        name=node,
        api_server=str(plan.api_servers[node]),
        port=CLOUD_CONTROLLER_MANAGER,
        lease_duration_s=timings.lease_duration,
        lease_renew_deadline_s=timings.lease_renew_deadline,
        lease_retry_period_s=timings.lease_retry_period,
        client_timeout_s=timings.client_timeout,
        cloud=cloud_controller_manager.Cloud(cluster=plan.topology.name, region="local", machines=machines),
    )


def _proxy(node: str, endpoint: str, timings: Timings) -> proxy.Config:
    return proxy.Config(
        node_name=node,
        api_server=endpoint,
        health_port=KUBE_PROXY,
        metrics_port=KUBE_PROXY_METRICS,
        min_sync_period_s=timings.proxy_min_sync,
        client_timeout_s=timings.client_timeout,
    )


def _pod(name: str, config: msgspec.Struct, *, tier: str = "control-plane", image: str | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": {"component": name, "tier": tier},
        },
        "spec": {
            "hostNetwork": True,
            "priorityClassName": "system-node-critical",
            "containers": [
                {
                    "name": name,
                    "image": f"ha/{image or name}:{ha.__version__}",
                    "env": [{"name": CONFIG_VARIABLE, "value": msgspec.json.encode(config).decode()}],
                }
            ],
        },
    }
