"""Pods that nobody will ever confirm the end of: bound to a node that no longer exists, or deleted before being bound.

A missing node is given `node_monitor_grace_s` to turn up, and asked for once more at the API itself before
its pods are removed. Upstream: pkg/controller/podgc.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import trio

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.kube.errors import ApiError
from ha.kube.kinds import NODE, POD, Kind, Object
from ha.kube.meta import deleting, object_key

__all__ = ["CONTROLLER"]


class PodGarbageController:
    """See the module."""

    name: ClassVar[str] = "pod-garbage-collector"
    kinds: ClassVar[tuple[Kind, ...]] = (NODE, POD)
    workers: ClassVar[int] = 2

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._missing_since_s: dict[str, float] = {}  # by node

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """A pod that may be concerned, or all pods of a node that went."""
        if kind is POD:
            return [object_key(new)] if new is not None and self._is_suspect(new) else []
        if new is not None or old is None:
            return []
        name = old["metadata"]["name"]
        return [object_key(p) for p in self._context.informers[POD].list() if p["spec"].get("nodeName") == name]

    async def sync(self, key: Key) -> float | None:
        """Remove one pod if nobody else will."""
        pod = self._context.informers[POD].get(*key)
        if pod is None or not self._is_suspect(pod):
            return None
        node = pod["spec"].get("nodeName")
        if node:
            since_s = self._missing_since_s.setdefault(node, trio.current_time())
            left_s = since_s + self._context.config.node_monitor_grace_s - trio.current_time()
            if left_s > 0:
                return left_s
            if await self._exists(node):
                return self._context.config.node_monitor_grace_s
        meta = pod["metadata"]
        self._context.host.log("removing a pod without a node", pod="/".join(key), node=node or "")
        try:
            await self._client.delete(POD, meta["name"], meta["namespace"], uid=meta["uid"], grace_period_s=0)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        return None

    def _is_suspect(self, pod: Object) -> bool:
        node = pod["spec"].get("nodeName")
        if not node:
            return deleting(pod)
        if self._context.informers[NODE].get(None, node) is not None:
            self._missing_since_s.pop(node, None)
            return False
        return True

    async def _exists(self, node: str) -> bool:
        try:
            await self._client.get(NODE, node)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True


CONTROLLER: type[Controller] = PodGarbageController
