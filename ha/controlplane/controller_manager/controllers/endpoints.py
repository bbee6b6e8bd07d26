"""Endpoints: one object per Service with a selector, listing the pods behind it. Upstream: pkg/controller/endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.controlplane.controller_manager.serving_pods import Backend, backends_of, services_selecting
from ha.kube.errors import ApiError
from ha.kube.kinds import ENDPOINTS, POD, SERVICE, Kind, Object
from ha.kube.meta import deleting, labels_of, object_key

__all__ = ["CONTROLLER"]


class EndpointsController:
    """See the module."""

    name: ClassVar[str] = "endpoints"
    kinds: ClassVar[tuple[Kind, ...]] = (SERVICE, POD, ENDPOINTS)
    workers: ClassVar[int] = 2

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """The Service, that of changed Endpoints, or those that select the pod."""
        objects = [o for o in (old, new) if o is not None]
        if kind is SERVICE:
            return [object_key(objects[0])]
        if kind is ENDPOINTS:
            key = object_key(objects[0])
            return [key] if self._context.informers[SERVICE].get(*key) is not None else []
        return services_selecting(objects, self._context.informers[SERVICE].list())

    async def sync(self, key: Key) -> float | None:
        """Make the Endpoints of one Service right."""
        namespace, name = key
        service = self._context.informers[SERVICE].get(namespace, name)
        shown = self._context.informers[ENDPOINTS].get(namespace, name)
        if service is None or not service["spec"].get("selector") or deleting(service):
            await self._remove(shown if service is None else None)
            return None
        subsets = _subsets(backends_of(service, self._context.informers[POD].list()))
        wanted = {"metadata": {"name": name, "namespace": namespace, "labels": labels_of(service)}, "subsets": subsets}
        if shown is None:
            await self._client.create(ENDPOINTS, wanted)
        elif (shown.get("subsets") or []) != subsets or labels_of(shown) != labels_of(service):
            await self._client.update(
                ENDPOINTS,
                {**shown, "subsets": subsets, "metadata": {**shown["metadata"], "labels": labels_of(service)}},
            )
        return None

    async def _remove(self, shown: Object | None) -> None:
        """Upstream tells Endpoints of its own from others' by the absence of the leader annotation."""
        if shown is None or "control-plane.alpha.kubernetes.io/leader" in (shown["metadata"].get("annotations") or {}):
            return
        meta = shown["metadata"]
        try:
            await self._client.delete(ENDPOINTS, meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            if error.status not in (404, 409):
                raise


def _subsets(backends: list[Backend]) -> list[Object]:
    """Pods with the same ports together; those that are leaving are left out, unless they are published anyhow."""
    by_ports: dict[tuple[tuple[str, str, int], ...], list[Backend]] = {}
    for backend in backends:
        if backend.ready or not backend.terminating:
            by_ports.setdefault(backend.ports, []).append(backend)
    subsets = []
    for ports, members in sorted(by_ports.items()):
        subset: Object = {}
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            addresses = [_address(b) for b in members if b.ready == ready]
            if addresses:
                subset[field] = addresses
        subset["ports"] = [
            {**({"name": name} if name else {}), "port": number, "protocol": protocol}
            for name, protocol, number in ports
        ]
        subsets.append(subset)
    return subsets


def _address(backend: Backend) -> Object:
    return {"ip": backend.address, "nodeName": backend.pod["spec"].get("nodeName", ""), "targetRef": backend.target}


CONTROLLER: type[Controller] = EndpointsController
