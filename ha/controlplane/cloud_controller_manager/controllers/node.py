"""Nodes are initialised by what the cloud knows of their machines. Upstream: controllers/node.

A Node that registers with the taint is given its provider's id, its region and zone, and loses the taint, all in one
write; then its addresses are what the cloud says (the kubelet's host name stays). A Node without a machine keeps the
taint. Nothing changes in this cloud, so nothing is asked of it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ha.controlplane.cloud_controller_manager.context import Context
from ha.controlplane.manager import Key
from ha.kube.kinds import NODE, Kind, Object
from ha.kube.meta import labels_of
from ha.kube.taints import UNINITIALIZED, has_taint

__all__ = ["NodeController"]

_REGION, _ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"


class NodeController:
    """See the module."""

    name: ClassVar[str] = "cloud-node"
    kinds: ClassVar[tuple[Kind, ...]] = (NODE,)
    workers: ClassVar[int] = 5

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cloud = context.cloud

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:  # noqa: ARG002  (one kind)
        """Any Node that is there."""
        return [("", new["metadata"]["name"])] if new is not None else []

    async def sync(self, key: Key) -> float | None:
        """Initialise one Node, or correct its addresses."""
        node, machine = self._context.informers[NODE].get(None, key[1]), self._cloud.machines.get(key[1])
        if node is None or machine is None:
            return None
        if has_taint(node, UNINITIALIZED):
            node = await self._context.client.update(NODE, self._initialized(node))
            self._context.host.log("node initialised", node=key[1], provider_id=node["spec"]["providerID"])
            self._context.events.record(NODE, node, "Synced", "Node synced successfully")
        addresses = _addresses(node, machine.address)
        status = node.get("status") or {}
        if status.get("addresses") != addresses:
            changed = {**node, "status": {**status, "addresses": addresses}}
            await self._context.client.update(NODE, changed, subresource="status")
        return None

    def _initialized(self, node: Object) -> Object:
        meta, spec = node["metadata"], node["spec"]
        name = meta["name"]
        taints = [taint for taint in spec["taints"] if taint.get("key") != UNINITIALIZED]
        where = {_REGION: self._cloud.region, _ZONE: self._cloud.machines[name].zone}
        return {
            **node,
            "metadata": {**meta, "labels": {**labels_of(node), **where}},
            "spec": {"providerID": self._cloud.provider_id(name), **spec, "taints": taints},
        }


def _addresses(node: Object, address: str) -> list[Object]:
    shown = (node.get("status") or {}).get("addresses") or []
    names = [one for one in shown if one.get("type") == "Hostname"]
    return [{"type": "InternalIP", "address": address}, *names]
