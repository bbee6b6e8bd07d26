"""Namespaces being deleted: their content goes first, then the finalizer that holds them.

Upstream: pkg/controller/namespace (deletion/namespaced_resources_deleter.go).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.kube.errors import ApiError
from ha.kube.kinds import KINDS, NAMESPACE, Kind, Object
from ha.kube.meta import deleting

__all__ = ["CONTROLLER"]

_FINALIZER = "kubernetes"
_AGAIN_S = 1.0
"""Content that is on its way out (pods within their grace) is looked for again after this long."""


class NamespaceController:
    """See the module."""

    name: ClassVar[str] = "namespace"
    kinds: ClassVar[tuple[Kind, ...]] = (NAMESPACE,)
    workers: ClassVar[int] = 2

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG002  (one kind)
        """A namespace that is being deleted."""
        return [("", new["metadata"]["name"])] if new is not None and deleting(new) else []

    async def sync(self, key: Key) -> float | None:
        """Empty it; when it is empty, let it go."""
        name = key[1]
        namespace = self._context.informers[NAMESPACE].get(None, name)
        if namespace is None or not deleting(namespace):
            return None
        left = [kind for kind in KINDS if kind.namespaced and kind.storable and not await self._empty(kind, name)]
        if left:
            return _AGAIN_S
        finalizers = (namespace.get("spec") or {}).get("finalizers") or []
        if _FINALIZER not in finalizers:
            return None
        spec = {**(namespace.get("spec") or {}), "finalizers": [f for f in finalizers if f != _FINALIZER]}
        try:
            await self._client.update(NAMESPACE, {**namespace, "spec": spec}, subresource="finalize")
        except ApiError as error:
            if error.status != 404:
                raise
        return None

    async def _empty(self, kind: Kind, namespace: str) -> bool:
        """Delete what is there of a kind; whether nothing is left."""
        if not (await self._client.list(kind, namespace, limit=1)).items:
            return True
        await self._client.delete_collection(kind, namespace)
        return not (await self._client.list(kind, namespace, limit=1)).items


CONTROLLER: type[Controller] = NamespaceController
