"""Nodes that fall silent: conditions become Unknown, taints say so, pods are marked unready.

A node is silent when neither its Lease nor the heartbeat of its status has changed for `node_monitor_grace_s`, by this
process's monotonic clock, counted from the watch event; the times that the node writes are only compared for
equality. A new leader begins with a full grace for every node: while nobody led, perhaps nobody could write.

Taints follow the Ready condition: NoSchedule at once; NoExecute, which evicts, for one node at a time
(`node_eviction_rate_per_s`) and only while most nodes are well (`zone`).

Upstream: pkg/controller/nodelifecycle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import trio

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.controlplane.controller_manager.pods import is_ready
from ha.controlplane.controller_manager.zone import zone_state
from ha.kube.conditions import condition, condition_status, with_condition
from ha.kube.errors import ApiError
from ha.kube.kinds import LEASE, NODE, POD, Kind, Object
from ha.kube.taints import NOT_READY, UNREACHABLE, UNSCHEDULABLE

__all__ = ["CONTROLLER"]

_LEASES = "kube-node-lease"
_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_OURS = (NOT_READY, UNREACHABLE)
_SLACK_S = 0.001


@dataclass(frozen=True, slots=True)
class _Heartbeat:
    signature: tuple[object, object]
    seen_s: float


class NodeLifecycleController:
    """See the module."""

    name: ClassVar[str] = "node-lifecycle"
    kinds: ClassVar[tuple[Kind, ...]] = (NODE, LEASE, POD)
    workers: ClassVar[int] = 5

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._config = context.config
        self._heartbeats: dict[str, _Heartbeat] = {}
        self._next_eviction_s = -float("inf")
        self._evicted: set[str] = set()  # nodes that may be emptied, until they are ready again
        self._began_s: float | None = None

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """The node, when it is new or something but a heartbeat changed. The rest is looked at periodically."""
        if kind is POD:
            return []
        node = new if new is not None else old
        assert node is not None, "a change has an old or a new side"
        self._hear(node["metadata"]["name"])
        if kind is LEASE:
            return []
        if old is not None and new is not None and _concerns(old) == _concerns(new):
            return []
        return [("", node["metadata"]["name"])]

    async def sync(self, key: Key) -> float | None:
        """Judge one node; again after the monitor period."""
        name = key[1]
        node = self._context.informers[NODE].get(None, name)
        if node is None:
            self._heartbeats.pop(name, None)
            self._evicted.discard(name)
            return None
        silent_s = self._silence_s(name)
        if silent_s >= self._config.node_monitor_grace_s:
            node = await self._declare_unknown(node)
        if condition_status(node, "Ready") != "True":
            await self._mark_pods_unready(name)
        await self._taint(node)
        left_s = self._config.node_monitor_grace_s - silent_s
        period_s = self._config.node_monitor_period_s
        return min(period_s, left_s + _SLACK_S) if left_s > 0 else period_s

    def _silence_s(self, name: str) -> float:
        """How long nothing was heard of the node while this process led."""
        now = trio.current_time()
        if self._began_s is None:
            self._began_s = now
        return now - max(self._hear(name).seen_s, self._began_s)

    def _hear(self, name: str) -> _Heartbeat:
        """Note what the informers show of a node, and when it last changed."""
        lease = self._context.informers[LEASE].get(_LEASES, name)
        node = self._context.informers[NODE].get(None, name)
        renewed = ((lease or {}).get("spec") or {}).get("renewTime")
        signature = (renewed, (condition(node, "Ready") or {}).get("lastHeartbeatTime"))
        heartbeat = self._heartbeats.get(name)
        if heartbeat is None or heartbeat.signature != signature:
            heartbeat = self._heartbeats[name] = _Heartbeat(signature, trio.current_time())
        return heartbeat

    async def _declare_unknown(self, node: Object) -> Object:
        conditions: list[Object] = list((node.get("status") or {}).get("conditions") or [])
        if all(condition_status(node, type_) == "Unknown" for type_ in _CONDITIONS):
            return node
        now = self._context.now()
        for type_ in _CONDITIONS:
            before = condition(node, type_)
            if before is None:
                new = {"reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status."}
            else:
                text = "Kubelet stopped posting node status."
                new = {**before, "reason": "NodeStatusUnknown", "message": text}
            conditions = with_condition(conditions, {**new, "type": type_, "status": "Unknown"}, now)
        changed = {**node, "status": {**(node.get("status") or {}), "conditions": conditions}}
        node = await self._client.update(NODE, changed, subresource="status")
        name = node["metadata"]["name"]
        self._context.host.log("node is silent", node=name, grace_s=self._config.node_monitor_grace_s)
        self._context.events.record(NODE, node, "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        return node

    async def _mark_pods_unready(self, name: str) -> None:
        for pod in self._context.informers[POD].list():
            if (pod.get("spec") or {}).get("nodeName") == name and is_ready(pod):
                await self._mark_unready(pod)

    async def _mark_unready(self, pod: Object) -> None:
        status, meta = pod["status"], pod["metadata"]
        ready = {**(condition(pod, "Ready") or {}), "type": "Ready", "status": "False"}
        conditions = with_condition(status.get("conditions"), ready, self._context.now())
        try:
            await self._client.update(
                POD, {**pod, "status": {**status, "conditions": conditions}}, subresource="status"
            )
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or changed: looked at again in a period
                raise
        else:
            self._context.events.record(POD, pod, "NodeNotReady", "Node is not ready", type="Warning")
            self._context.host.log("pod marked unready", pod=f"{meta['namespace']}/{meta['name']}")

    async def _taint(self, node: Object) -> None:
        ready = condition_status(node, "Ready")
        key = None if ready == "True" else UNREACHABLE if ready == "Unknown" else NOT_READY
        spec = node.get("spec") or {}
        taints: list[Object] = list(spec.get("taints") or [])
        wanted = [t for t in taints if t.get("key") not in (*_OURS, UNSCHEDULABLE)]
        if spec.get("unschedulable"):
            wanted.append(_find(taints, UNSCHEDULABLE, "NoSchedule") or self._new(UNSCHEDULABLE, "NoSchedule"))
        if key is None:
            self._evicted.discard(node["metadata"]["name"])
        else:
            wanted.append(_find(taints, key, "NoSchedule") or self._new(key, "NoSchedule"))
            evicts = _find(taints, key, "NoExecute") or self._permit(node["metadata"]["name"], key, taints)
            if evicts is not None and self._zone() != "full":
                wanted.append(evicts)
        if {_identity(t) for t in wanted} == {_identity(t) for t in taints}:
            return
        await self._client.update(NODE, {**node, "spec": {**spec, "taints": wanted}})

    def _permit(self, name: str, key: str, taints: list[Object]) -> Object | None:
        """The taint that evicts, if this node may be emptied now: once allowed, until it is ready again."""
        already = any(t.get("key") in _OURS and t.get("effect") == "NoExecute" for t in taints)
        if not already and name not in self._evicted:
            now = trio.current_time()
            if self._zone() != "normal" or now < self._next_eviction_s:
                return None
            self._next_eviction_s = now + 1 / self._config.node_eviction_rate_per_s
        self._evicted.add(name)
        return self._new(key, "NoExecute")

    def _zone(self) -> str:
        states = [condition_status(n, "Ready") == "True" for n in self._context.informers[NODE].list()]
        return zone_state(sum(states), len(states) - sum(states))

    def _new(self, key: str, effect: str) -> Object:
        return {"key": key, "effect": effect, "timeAdded": self._context.now()}


def _find(taints: list[Object], key: str, effect: str) -> Object | None:
    return next((t for t in taints if t.get("key") == key and t.get("effect") == effect), None)


def _identity(taint: Object) -> tuple[object, object, object]:
    return taint.get("key"), taint.get("value") or "", taint.get("effect")


def _concerns(node: Object) -> tuple[object, ...]:
    spec = node.get("spec") or {}
    return condition_status(node, "Ready"), spec.get("unschedulable"), spec.get("taints")


CONTROLLER: type[Controller] = NodeLifecycleController
