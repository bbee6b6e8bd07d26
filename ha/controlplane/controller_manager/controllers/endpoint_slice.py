"""EndpointSlices: the pods behind a Service, in slices of at most 100. Upstream: pkg/controller/endpointslice.

Slices are numbered, and named after the Service and their number, so that any number of controller-managers at any
time mean the same objects. (Upstream names them at random, and moves endpoints between slices as little as possible.)
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import ClassVar

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.controlplane.controller_manager.serving_pods import Backend, backends_of, services_selecting
from ha.kube.errors import ApiError
from ha.kube.kinds import ENDPOINT_SLICE, POD, SERVICE, Kind, Object
from ha.kube.meta import deleting, labels_of, object_key, owner_reference

__all__ = ["CONTROLLER"]

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_MANAGER = "endpointslice-controller.k8s.io"
_SLICE = 100


class EndpointSliceController:
    """See the module."""

    name: ClassVar[str] = "endpointslice"
    kinds: ClassVar[tuple[Kind, ...]] = (SERVICE, POD, ENDPOINT_SLICE)
    workers: ClassVar[int] = 2

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """The Service itself, of a slice, or those that select the pod."""
        objects = [o for o in (old, new) if o is not None]
        if kind is SERVICE:
            return [object_key(objects[0])]
        if kind is ENDPOINT_SLICE:
            ours = [o for o in objects if labels_of(o).get(MANAGED_BY) == _MANAGER]
            return [(o["metadata"]["namespace"], labels_of(o).get(SERVICE_NAME, "")) for o in ours[:1]]
        return services_selecting(objects, self._context.informers[SERVICE].list())

    async def sync(self, key: Key) -> float | None:
        """Make the slices of one Service right."""
        namespace, name = key
        service = self._context.informers[SERVICE].get(namespace, name)
        if service is not None and (not service["spec"].get("selector") or deleting(service)):
            return None
        wanted = {} if service is None else _slices(service, backends_of(service, self._context.informers[POD].list()))
        shown = {
            s["metadata"]["name"]: s
            for s in self._context.informers[ENDPOINT_SLICE].list()
            if s["metadata"]["namespace"] == namespace
            and labels_of(s).get(SERVICE_NAME) == name
            and labels_of(s).get(MANAGED_BY) == _MANAGER
        }
        for slice_name, slice_ in wanted.items():
            await self._write(shown.pop(slice_name, None), slice_)
        for left_over in shown.values():
            await self._remove(left_over)
        return None

    async def _write(self, shown: Object | None, wanted: Object) -> None:
        if shown is None:
            await self._client.create(ENDPOINT_SLICE, wanted)
        elif any((shown.get(k) or []) != wanted[k] for k in ("endpoints", "ports")):
            changed = {**shown, "endpoints": wanted["endpoints"], "ports": wanted["ports"]}
            await self._client.update(ENDPOINT_SLICE, changed)

    async def _remove(self, shown: Object) -> None:
        meta = shown["metadata"]
        try:
            await self._client.delete(ENDPOINT_SLICE, meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            if error.status not in (404, 409):
                raise


def _slices(service: Object, backends: list[Backend]) -> dict[str, Object]:
    """All slices that a Service should have, by name. One without pods has one empty slice, as upstream."""
    by_ports: dict[tuple[tuple[str, str, int], ...], list[Backend]] = {}
    for backend in backends:
        by_ports.setdefault(backend.ports, []).append(backend)
    slices: dict[str, Object] = {}
    for ports, members in sorted(by_ports.items()) or [((), [])]:
        for start in range(0, len(members), _SLICE) or [0]:
            made = _slice(service, len(slices), ports, members[start : start + _SLICE])
            slices[made["metadata"]["name"]] = made
    return slices


def _slice(service: Object, number: int, ports: tuple[tuple[str, str, int], ...], members: list[Backend]) -> Object:
    meta = service["metadata"]
    suffix = blake2b(f"{meta['uid']}/{number}".encode(), digest_size=3).hexdigest()
    return {
        "metadata": {
            "name": f"{meta['name'][:56]}-{suffix}",
            "namespace": meta["namespace"],
            "labels": {**labels_of(service), SERVICE_NAME: meta["name"], MANAGED_BY: _MANAGER},
            "ownerReferences": [owner_reference(service, SERVICE)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(b) for b in members],
        "ports": [{"name": name, "port": port, "protocol": protocol} for name, protocol, port in ports],
    }


def _endpoint(backend: Backend) -> Object:
    return {
        "addresses": [backend.address],
        "conditions": {
            "ready": backend.ready,
            "serving": backend.serving,
            "terminating": backend.terminating,
        },
        "nodeName": backend.pod["spec"].get("nodeName", ""),
        "targetRef": backend.target,
    }


CONTROLLER: type[Controller] = EndpointSliceController
