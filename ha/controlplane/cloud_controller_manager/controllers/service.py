"""Services of type LoadBalancer are told where they can be reached. Upstream: controllers/service.

That is: every node that is ready and not kept out (``exclude-from-external-load-balancers``), by its machine's address;
see `ha.controlplane.cloud_controller_manager.cloud`. A port has one Service: the one that was there first. The others
wait without an ingress until it is free. There is nothing to clean up in this cloud, so Services need no finalizer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ha.controlplane.cloud_controller_manager.context import Context
from ha.controlplane.manager import Key
from ha.kube.conditions import condition_status
from ha.kube.kinds import NODE, SERVICE, Kind, Object
from ha.kube.meta import deleting, labels_of, object_key

__all__ = ["ServiceController"]

_EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


class ServiceController:
    """See the module."""

    name: ClassVar[str] = "service-lb"
    kinds: ClassVar[tuple[Kind, ...]] = (SERVICE, NODE)
    workers: ClassVar[int] = 1

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cloud = context.cloud

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """The Service itself; and all that want an ingress when one of them changes, or who can be one does."""
        objects = [o for o in (old, new) if o is not None]
        if kind is NODE:
            could, can = (o is not None and self._can_be_ingress(o) for o in (old, new))
            return self._wanting() if could != can else []
        if any(_wants_ingress(o) for o in objects):
            return [object_key(objects[-1]), *self._wanting()]
        return [object_key(objects[-1])] if new is not None and _ingress(new) else []

    async def sync(self, key: Key) -> float | None:
        """Make the ingress of one Service right."""
        service = self._context.informers[SERVICE].get(*key)
        if service is None or deleting(service) or service["spec"].get("loadBalancerClass"):
            return None
        wanted = self._wanted(service)
        if wanted == _ingress(service):
            return None
        status = {**(service.get("status") or {}), "loadBalancer": {"ingress": wanted} if wanted else {}}
        await self._context.client.update(SERVICE, {**service, "status": status}, subresource="status")
        self._context.host.log("ingress of a service", service="/".join(key), ingress=[one["ip"] for one in wanted])
        if wanted:
            self._context.events.record(SERVICE, service, "EnsuredLoadBalancer", "Ensured load balancer")
        return None

    def _wanted(self, service: Object) -> list[Object]:
        if not _wants_ingress(service):
            return []
        others = [s for s in self._context.informers[SERVICE].list() if _wants_ingress(s) and _age(s) < _age(service)]
        taken = _ports(service) & {port for other in others for port in _ports(other)}
        if taken:
            message = f"Error syncing load balancer: port {min(taken)} is taken by another service"
            self._context.events.record(SERVICE, service, "SyncLoadBalancerFailed", message, type="Warning")
            return []
        nodes = [node for node in self._context.informers[NODE].list() if self._can_be_ingress(node)]
        return [{"ip": self._cloud.machines[n["metadata"]["name"]].address, "ipMode": "VIP"} for n in nodes]

    def _can_be_ingress(self, node: Object) -> bool:
        known = node["metadata"]["name"] in self._cloud.machines
        ready = condition_status(node, "Ready") == "True" and not deleting(node)
        return known and ready and _EXCLUDED not in labels_of(node)

    def _wanting(self) -> list[Key]:
        return [object_key(s) for s in self._context.informers[SERVICE].list() if _wants_ingress(s)]


def _wants_ingress(service: Object) -> bool:
    spec = service.get("spec") or {}
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not deleting(service)


def _ingress(service: Object) -> list[Object]:
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def _ports(service: Object) -> set[int]:
    return {port["port"] for port in service["spec"].get("ports") or []}


def _age(service: Object) -> tuple[str, str, str]:
    """Sorts the older one first."""
    meta = service["metadata"]
    return meta.get("creationTimestamp") or "", meta["namespace"], meta["name"]
