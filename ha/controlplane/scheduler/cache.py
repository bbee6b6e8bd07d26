"""What the scheduler believes is placed where: the informers' copies plus its own decisions not seen back yet. Pure.

Between a bind request and the watch event that shows it, a pod is *assumed* on its node, so that the next
decision counts it. An assumption ends when the watch shows the pod bound (anywhere), when the pod is gone, or
when the bind is known or feared to have failed (`forget`).
"""

from __future__ import annotations

from ha.controlplane.scheduler.resources import NodeInfo, PodInfo
from ha.kube.kinds import Object

__all__ = ["Cache", "is_terminal"]


def is_terminal(pod: Object) -> bool:
    """Whether the pod has run its course; it occupies nothing any more."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


class Cache:
    """Nodes by name, with the pods on them."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._placed: dict[str, str] = {}  # pod uid -> node; every entry is in that node's pods
        self._assumed: set[str] = set()  # the placed that the API does not show yet

    @property
    def nodes(self) -> list[NodeInfo]:
        """All nodes, in the order in which they were first heard of."""
        return list(self._nodes.values())

    def assumed(self, uid: str) -> bool:
        """Whether a decision about the pod is on its way."""
        return uid in self._assumed

    def node_changed(self, name: str, node: Object | None) -> bool:
        """Take over a Node (None: gone). Returns whether it now offers something else."""
        info = self._nodes.setdefault(name, NodeInfo(name))
        before = NodeInfo(name, info.allocatable, info.max_pods, info.labels, info.taints, info.known)
        info.describe(node)
        self._drop_if_unused(info)
        return not info.same_offer(before)

    def pod_changed(self, old: Object | None, new: Object | None) -> bool:
        """Take over a pod's change. Returns whether something was freed."""
        pod = new if new is not None else old
        assert pod is not None, "a change has an old or a new side"
        uid = pod["metadata"]["uid"]
        node = (pod.get("spec") or {}).get("nodeName")
        if new is None or is_terminal(new):
            return self._remove(uid)
        if node and self._placed.get(uid) != node:
            self._remove(uid)
            self._add(PodInfo.of(new), node)
        if node:
            self._assumed.discard(uid)
        return False

    def assume(self, pod: PodInfo, node: str) -> None:
        """Count a pod on a node before the API shows it there."""
        self._add(pod, node)
        self._assumed.add(pod.uid)

    def forget(self, uid: str) -> None:
        """The pod was not bound, or not by us. No effect once the API has shown it bound."""
        if uid in self._assumed:
            self._remove(uid)

    def _add(self, pod: PodInfo, node: str) -> None:
        self._nodes.setdefault(node, NodeInfo(node)).add(pod)
        self._placed[pod.uid] = node

    def _remove(self, uid: str) -> bool:
        self._assumed.discard(uid)
        node = self._placed.pop(uid, None)
        if node is None:
            return False
        info = self._nodes[node]
        info.remove(uid)
        self._drop_if_unused(info)
        return True

    def _drop_if_unused(self, info: NodeInfo) -> None:
        if not info.known and not info.pods:
            del self._nodes[info.name]
