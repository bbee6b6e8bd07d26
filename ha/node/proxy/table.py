"""The forwarding table: from Services and EndpointSlices to who takes a connection. Pure.

Rules: k8s.io/kubernetes/pkg/proxy (``CategorizeEndpoints``, ``EndpointSliceCache``, ``newBaseServiceInfo``). An
endpoint takes connections while it is ready; when none is, those that are terminating and still serving do. With
policy Local only those on this node count: for connections from outside by ``externalTrafficPolicy``, to the cluster
IP by ``internalTrafficPolicy``. Topology hints are not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from ha.kube.kinds import Object
from ha.kube.meta import labels_of
from ha.world import Address

__all__ = ["Endpoint", "ServicePort", "ServicePortName", "Table", "fronts", "table_of"]

_SERVICE_NAME = "kubernetes.io/service-name"
_OTHER_PROXY = "service.kubernetes.io/service-proxy-name"


class ServicePortName(NamedTuple):
    """One port of one Service; `port` is its name, empty when it has none."""

    namespace: str
    service: str
    port: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}" + (f":{self.port}" if self.port else "")


class Endpoint(msgspec.Struct, frozen=True, order=True):
    """Where a pod listens, and how it is."""

    ip: str
    port: int
    node: str
    ready: bool
    serving: bool
    terminating: bool

    @property
    def address(self) -> Address:
        """Where to dial it."""
        return Address(self.ip, self.port)


class ServicePort(msgspec.Struct, frozen=True, kw_only=True):
    """One port of a Service, and who takes its connections. Lists are sorted."""

    name: ServicePortName
    cluster_ip: str
    port: int
    node_port: int
    """0: it has none."""
    ingress_ips: list[str]
    """Of its load balancer, where that leads to the nodes themselves."""
    affinity_s: float | None
    """A client keeps its endpoint until it was quiet for so long; None: no affinity."""
    endpoints: list[Endpoint]
    """All there are, in whatever state."""
    internal: list[Endpoint]
    """Who takes a connection to the cluster IP."""
    external: list[Endpoint]
    """Who takes a connection to the node port or the load balancer's address."""


Table: TypeAlias = dict[ServicePortName, ServicePort]


def table_of(services: Iterable[Object], slices: Iterable[Object], node: str) -> Table:
    """The table of a node, sorted by name."""
    known = _endpoints(slices)
    table: Table = {}
    for service in services:
        meta, spec = service["metadata"], service.get("spec") or {}
        if not _is_proxied(service):
            continue
        for port in spec.get("ports") or []:
            protocol = port.get("protocol") or "TCP"
            name = ServicePortName(meta["namespace"], meta["name"], port.get("name") or "", protocol)
            endpoints = sorted(known.get(name, {}).values())
            table[name] = ServicePort(
                name=name,
                cluster_ip=spec["clusterIP"],
                port=port["port"],
                node_port=port.get("nodePort") or 0,
                ingress_ips=_ingress_ips(service),
                affinity_s=_affinity_s(spec),
                endpoints=endpoints,
                internal=_usable(endpoints, node, local=spec.get("internalTrafficPolicy") == "Local"),
                external=_usable(endpoints, node, local=spec.get("externalTrafficPolicy") == "Local"),
            )
    return dict(sorted(table.items()))


def fronts(table: Table, address: str) -> dict[int, ServicePortName]:
    """The ports that a node listens on for its table: those of which connections can be carried to somebody.

    They are node ports, and, when the node's own address is an ingress of a load balancer, the Service's port. Of two
    Services that claim one port, the first by name has it.
    """
    found: dict[int, ServicePortName] = {}
    for name, rule in table.items():
        if name.protocol != "TCP" or not rule.external:
            continue
        if rule.node_port:
            found.setdefault(rule.node_port, name)
        if address in rule.ingress_ips:
            found.setdefault(rule.port, name)
    return found


def _is_proxied(service: Object) -> bool:
    spec = service.get("spec") or {}
    has_ip = bool(spec.get("clusterIP")) and spec["clusterIP"] != "None"
    return has_ip and spec.get("type") != "ExternalName" and _OTHER_PROXY not in labels_of(service)


def _ingress_ips(service: Object) -> list[str]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return sorted({one["ip"] for one in ingress if one.get("ip") and one.get("ipMode", "VIP") == "VIP"})


def _affinity_s(spec: Object) -> float | None:
    if spec.get("sessionAffinity") != "ClientIP":
        return None
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return float(config.get("timeoutSeconds") or 10800)


def _endpoints(slices: Iterable[Object]) -> Mapping[ServicePortName, dict[Address, Endpoint]]:
    """Every endpoint of every service port. One that stands in two slices at once counts in its better state."""
    found: dict[ServicePortName, dict[Address, Endpoint]] = {}
    for piece in slices:
        service = labels_of(piece).get(_SERVICE_NAME)
        if not service or piece.get("addressType") != "IPv4":
            continue
        for port in piece.get("ports") or []:
            if not port.get("port"):
                continue
            protocol = port.get("protocol") or "TCP"
            name = ServicePortName(piece["metadata"]["namespace"], service, port.get("name") or "", protocol)
            there = found.setdefault(name, {})
            for one in piece.get("endpoints") or []:
                endpoint = _endpoint(one, port["port"])
                other = there.get(endpoint.address)
                there[endpoint.address] = endpoint if other is None else max(endpoint, other, key=_goodness)
    return found


def _endpoint(one: Object, port: int) -> Endpoint:
    """What is not said counts as ready, as serving, and as not terminating."""
    conditions = one.get("conditions") or {}
    return Endpoint(
        ip=one["addresses"][0],
        port=port,
        node=one.get("nodeName") or "",
        ready=conditions.get("ready", True),
        serving=conditions.get("serving", True),
        terminating=conditions.get("terminating", False),
    )


def _goodness(endpoint: Endpoint) -> tuple[bool, bool, bool, str]:
    return endpoint.ready, endpoint.serving, not endpoint.terminating, endpoint.node


def _usable(endpoints: list[Endpoint], node: str, *, local: bool) -> list[Endpoint]:
    candidates = [e for e in endpoints if not local or e.node == node]
    ready = [e for e in candidates if e.ready]
    return ready or [e for e in candidates if e.serving and e.terminating]
