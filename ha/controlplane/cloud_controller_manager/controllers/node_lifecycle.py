"""Nodes whose machine is gone are removed. Upstream: controllers/nodelifecycle.

Only a Node that is not ready is asked about, and only the cloud's word removes it: a machine that is silent is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ha.controlplane.cloud_controller_manager.context import Context
from ha.controlplane.manager import Key
from ha.kube.conditions import condition_status
from ha.kube.errors import ApiError
from ha.kube.kinds import NODE, Kind, Object
from ha.kube.meta import deleting

__all__ = ["NodeLifecycleController"]


class NodeLifecycleController:
    """See the module."""

    name: ClassVar[str] = "cloud-node-lifecycle"
    kinds: ClassVar[tuple[Kind, ...]] = (NODE,)
    workers: ClassVar[int] = 1

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cloud = context.cloud

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG002  (one kind)
        """A Node that has no machine and is not ready."""
        return [("", new["metadata"]["name"])] if new is not None and self._is_gone(new) else []

    async def sync(self, key: Key) -> float | None:
        """Remove one Node, if nothing stands for it."""
        node = self._context.informers[NODE].get(None, key[1])
        if node is None or not self._is_gone(node):
            return None
        self._context.host.log("removing a node without a machine", node=key[1])
        message = f"Deleting node {key[1]} because it does not exist in the cloud provider"
        self._context.events.record(NODE, node, "DeletingNode", message)
        try:
            await self._context.client.delete(NODE, key[1], uid=node["metadata"]["uid"])
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        return None

    def _is_gone(self, node: Object) -> bool:
        known = node["metadata"]["name"] in self._cloud.machines
        return not known and not deleting(node) and condition_status(node, "Ready") != "True"
