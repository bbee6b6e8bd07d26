"""Which nodes lack what a component on them needs, while nothing passes some links between nodes.

A connection needs both directions, so a link that is cut one way is of no use.

* etcd: a majority of the members, itself included.
* kube-apiserver: the load balancer, if there is one, which sends it its clients.
* kubelet, kube-proxy: the control-plane endpoint, which is the load balancer or, without one, the only API server.
* kube-scheduler, kube-controller-manager, cloud-controller-manager: a store for the API server beside them. Of stacked
  members that is its own, else any; and it does not lack its majority.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ha.history.result import NodeRecord

__all__ = ["cut_off"]

_OF_STORE = ("kube-scheduler", "kube-controller-manager", "cloud-controller-manager")


def cut_off(component: str, nodes: Sequence[NodeRecord], links: Collection[tuple[str, str]]) -> list[str]:
    """Nodes with that component which lack what it needs while these links, each from a node to another, are cut."""

    def reaches(a: str, b: str) -> bool:
        return (a, b) not in links and (b, a) not in links

    hosts = _with(component, nodes)
    members = _with("etcd", nodes)
    apart = [one for one in members if 2 * sum(reaches(one, other) for other in members) <= len(members)]
    if component == "etcd":
        return apart
    if component in _OF_STORE:
        stacked = set(members) & set(hosts)
        return [
            host
            for host in hosts
            if not any(reaches(host, one) for one in ([host] if stacked else members) if one not in apart)
        ]
    doors = _with("load-balancer", nodes) or _with("kube-apiserver", nodes)
    return [host for host in hosts if not any(reaches(host, door) for door in doors)]


def _with(component: str, nodes: Sequence[NodeRecord]) -> list[str]:
    return [node.name for node in nodes if component in node.components]
