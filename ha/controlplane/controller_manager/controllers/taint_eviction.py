"""Eviction: pods leave a node with a NoExecute taint that they do not tolerate, at once or when their patience ends.

A pod that says nothing about a silent node stays for `pod_eviction_toleration_s` (upstream's DefaultTolerationSeconds
admission writes as much into every pod; where it did, that counts). Patience runs from when this process first saw the
taint, so a takeover begins it anew, as upstream. The pod is deleted with its grace; on a silent node it then
stays Terminating until the node's kubelet confirms, and its owner replaces it meanwhile.

Upstream: pkg/controller/tainteviction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import trio

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.kube.errors import ApiError
from ha.kube.kinds import NODE, POD, Kind, Object
from ha.kube.meta import deleting, object_key
from ha.kube.taints import NOT_READY, UNREACHABLE, tolerates

__all__ = ["CONTROLLER", "patience_s"]


class TaintEvictionController:
    """See the module."""

    name: ClassVar[str] = "taint-eviction"
    kinds: ClassVar[tuple[Kind, ...]] = (NODE, POD)
    workers: ClassVar[int] = 8

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._since_s: dict[str, float] = {}  # by pod uid: when its eviction was decided on

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """A pod that changed its node or its tolerations, or all pods of a node whose taints changed."""
        if kind is POD:
            if new is None:
                assert old is not None, "a change has an old or a new side"
                self._since_s.pop(old["metadata"]["uid"], None)
                return []
            return [object_key(new)] if old is None or old.get("spec") != new.get("spec") else []
        before, after = _evicting(old), _evicting(new)
        node = new if new is not None else old
        assert node is not None, "a change has an old or a new side"
        if before == after:
            return []
        name = node["metadata"]["name"]
        return [object_key(p) for p in self._context.informers[POD].list() if p["spec"].get("nodeName") == name]

    async def sync(self, key: Key) -> float | None:
        """Evict one pod, or say when it is due."""
        pod = self._context.informers[POD].get(*key)
        if pod is None or deleting(pod) or not pod["spec"].get("nodeName"):
            return None
        meta = pod["metadata"]
        taints = _evicting(self._context.informers[NODE].get(None, pod["spec"]["nodeName"]))
        patience = patience_s(
            pod["spec"].get("tolerations") or [], taints, self._context.config.pod_eviction_toleration_s
        )
        if patience is None:
            if self._since_s.pop(meta["uid"], None) is not None:
                message = f"Cancelling deletion of Pod {'/'.join(key)}"
                self._context.events.record(POD, pod, "TaintManagerEviction", message)
            return None
        due_s = self._since_s.setdefault(meta["uid"], trio.current_time()) + patience
        if (left_s := due_s - trio.current_time()) > 0:
            return left_s
        self._context.events.record(POD, pod, "TaintManagerEviction", f"Marking for deletion Pod {'/'.join(key)}")
        self._context.host.log("evicting pod", pod="/".join(key), node=pod["spec"]["nodeName"], patience_s=patience)
        try:
            await self._client.delete(POD, meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            if error.status not in (404, 409):
                raise
        return None


def patience_s(tolerations: list[Object], taints: Iterable[Object], default_s: float) -> float | None:
    """How long a pod stays on a node with these NoExecute taints; None: for ever. Of several the shortest counts."""
    patience: float | None = None
    for taint in taints:
        matching = [t for t in tolerations if tolerates(t, taint)]
        if matching:
            limits = [float(t["tolerationSeconds"]) for t in matching if t.get("tolerationSeconds") is not None]
            if not limits:
                continue
            stays = max(0.0, min(limits))
        else:
            stays = default_s if taint.get("key") in (NOT_READY, UNREACHABLE) else 0.0
        patience = stays if patience is None else min(patience, stays)
    return patience


def _evicting(node: Object | None) -> list[Object]:
    taints = ((node or {}).get("spec") or {}).get("taints") or []
    keys = [(t.get("key"), t.get("value") or "") for t in taints if t.get("effect") == "NoExecute"]
    return [{"key": key, "value": value, "effect": "NoExecute"} for key, value in sorted(keys)]


CONTROLLER: type[Controller] = TaintEvictionController
