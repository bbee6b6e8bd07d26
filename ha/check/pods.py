"""Looks at what became of Pods: bound once, run on one node, replaced when their node is lost, all there in the end.

* A Pod's node never changes once it is set, and no Pod runs on two nodes.
* When a node was killed or paused and stays not Ready, its Pods run elsewhere in time. That is demanded only where
  nothing else could have held it up: nothing else was broken meanwhile, all other Nodes were Ready, and one of them
  may take the Pods. Time counts from when the node was seen not Ready, and begins anew when another fault ends, or
  another kube-controller-manager leads: what Pods tolerate is counted by whoever leads, from when it looked first. A
  Deployment that was scaled is left out.
* In the end every Deployment has its replicas, ready, on Nodes that are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from ha.check.violation import Violation
from ha.history import DeploymentSample, Event, LeaseChange, NodeCondition, PodChange, PodsRunning
from ha.history.result import FaultRecord, NodeRecord

__all__ = ["Eviction", "unanswered", "violations"]

_LOSSES = ("kill", "pause", "wipe-disk")
"""Faults after which a node is gone and nothing else is disturbed."""

_BOUND_TO_NODE = ("DaemonSet/", "Node/")
"""Owners whose Pods are not replaced elsewhere."""


@dataclass(frozen=True, slots=True)
class Eviction:
    """How long it may take until Pods of a lost node run elsewhere, from when it is seen not Ready. `anew_s`: as long
    as that, and until somebody leads and has given every node its grace, from when the last other fault ended, or the
    last other one began to lead.
    """

    within_s: float
    anew_s: float


def violations(
    events: Sequence[Event], faults: Sequence[FaultRecord], nodes: Sequence[NodeRecord], eviction: Eviction
) -> list[Violation]:
    """What must not be. Events in any order."""
    ordered = sorted(events, key=lambda event: event.at_s)
    return [
        *_rebound(ordered),
        *_in_two_places(ordered),
        *_not_evicted(ordered, faults, nodes, eviction),
        *_incomplete(ordered),
    ]


def unanswered(events: Sequence[Event]) -> bool:
    """Whether nobody would tell of the Deployments in the end."""
    return any(isinstance(event, DeploymentSample) and event.error for event in events)


def _rebound(events: Sequence[Event]) -> Iterator[Violation]:
    bound: dict[str, PodChange] = {}
    for event in events:
        if isinstance(event, PodChange) and event.node:
            first = bound.setdefault(event.uid, event)
            if first.node != event.node:
                reason = f"Pod {event.namespace}/{event.name} was bound to {first.node} and then to {event.node}"
                yield Violation(reason, [f"seen at {first.at_s:.3f} s and at {event.at_s:.3f} s"])


def _in_two_places(events: Sequence[Event]) -> Iterator[Violation]:
    names = {event.uid: f"{event.namespace}/{event.name}" for event in events if isinstance(event, PodChange)}
    places: dict[str, str] = {}
    for event in events:
        if isinstance(event, PodsRunning):
            for uid in event.pods:
                other = places.setdefault(uid, event.node)
                if other != event.node:
                    yield Violation(f"Pod {names.get(uid, uid)} runs on {other} and on {event.node}")


def _incomplete(events: Sequence[Event]) -> Iterator[Violation]:
    for event in events:
        if isinstance(event, DeploymentSample) and event.error is None and event.ready < event.replicas:
            what = f"{event.ready} of {event.replicas} replicas ready"
            yield Violation(f"Deployment {event.name} stays at {what} although every node is up")


# ---- eviction


def _not_evicted(
    events: Sequence[Event], faults: Sequence[FaultRecord], nodes: Sequence[NodeRecord], eviction: Eviction
) -> Iterator[Violation]:
    roles = {node.name: node.role for node in nodes}
    schedulable = [n for n, role in roles.items() if role == "worker"] or [
        n for n, role in roles.items() if role == "control-plane"
    ]
    for fault in faults:
        if fault.fault in _LOSSES and len(fault.nodes) == 1 and (not fault.processes or _hits_kubelet(fault)):
            node = fault.nodes[0]
            if set(schedulable) - {node}:
                yield from _kept_pods(events, fault, node, [f for f in faults if f is not fault], eviction)


def _hits_kubelet(fault: FaultRecord) -> bool:
    return any(process.endswith("/kubelet") for process in fault.processes)


def _kept_pods(
    events: Sequence[Event], fault: FaultRecord, node: str, others: Sequence[FaultRecord], eviction: Eviction
) -> Iterator[Violation]:
    """A violation when the Pods of a node that was lost alone did not come to run elsewhere in time."""
    lost_s = _not_ready_since(events, fault, node)
    if lost_s is None:
        return
    ended = [other.undone_s for other in others if other.undone_s is not None and other.undone_s > fault.injected_s]
    quiet_s = max([lost_s, *ended])
    due_s = quiet_s + (eviction.within_s if quiet_s == lost_s else eviction.anew_s)
    for takeover_s in _takeovers_s(events, lost_s):
        if quiet_s < takeover_s <= due_s:
            quiet_s, due_s = takeover_s, takeover_s + eviction.anew_s
    if any(one.injected_s < due_s and (one.undone_s is None or one.undone_s > quiet_s) for one in others):
        return
    if _over_s(events, fault, node, lost_s) <= due_s or not _others_ready(events, node, quiet_s, due_s):
        return
    before = _ready_pods(events, fault.injected_s)
    left = Counter(pod.owner for pod in before if pod.node == node)
    ready = Counter(pod.owner for pod in before)
    elsewhere = Counter(pod.owner for pod in _ready_pods(events, due_s) if pod.node != node)
    for owner in sorted(left):
        needed = min(ready[owner], _wanted(events, owner))
        if elsewhere[owner] < needed:
            shown = f"not Ready from {lost_s:.1f} s on; at {due_s:.1f} s {elsewhere[owner]} of {needed} ready elsewhere"
            yield Violation(f"{left[owner]} Pods of {owner} were not replaced when {node} was lost", [shown])


def _takeovers_s(events: Sequence[Event], since_s: float) -> list[float]:
    """When another kube-controller-manager began to lead."""
    leads = (e for e in events if isinstance(e, LeaseChange) and e.name == "kube-controller-manager" and e.holder)
    return [event.at_s for event in leads if event.at_s > since_s]


def _wanted(events: Sequence[Event], owner: str) -> int:
    """Replicas of the Deployment that a ReplicaSet belongs to; 0 when it is not known, or was not the same always."""
    return max(
        (
            event.replicas
            for event in events
            if isinstance(event, DeploymentSample)
            and event.generation == 1
            and owner.startswith(f"ReplicaSet/{event.name}-")
        ),
        default=0,
    )


def _not_ready_since(events: Sequence[Event], fault: FaultRecord, node: str) -> float | None:
    """When the node was first seen not Ready under the fault."""
    seen = (e.at_s for e in events if isinstance(e, NodeCondition) and e.node == node and e.ready != "True")
    until_s = inf if fault.undone_s is None else fault.undone_s
    return next((at_s for at_s in seen if fault.injected_s <= at_s < until_s), None)


def _over_s(events: Sequence[Event], fault: FaultRecord, node: str, since_s: float) -> float:
    """When the node may have been back, or nobody looked any more."""
    back = [
        event.at_s
        for event in events
        if isinstance(event, NodeCondition) and event.node == node and event.ready == "True" and event.at_s > since_s
    ]
    last_s = events[-1].at_s
    return min([*back, last_s if fault.undone_s is None else fault.undone_s])


def _others_ready(events: Sequence[Event], node: str, start_s: float, end_s: float) -> bool:
    """Whether every other Node was Ready all the time."""
    ready: dict[str, bool] = {}
    for event in events:
        if isinstance(event, NodeCondition) and event.node != node and event.at_s <= end_s:
            if event.at_s > start_s and event.ready != "True":
                return False
            ready[event.node] = event.ready == "True"
    return bool(ready) and all(ready.values())


def _ready_pods(events: Sequence[Event], at_s: float) -> list[PodChange]:
    """The ready Pods that some controller would replace, at a time."""
    pods: dict[str, PodChange] = {}
    for event in events:
        if isinstance(event, PodChange) and event.at_s <= at_s:
            pods[event.uid] = event
    return [
        pod
        for pod in pods.values()
        if pod.ready and not pod.deleted and pod.owner and not pod.owner.startswith(_BOUND_TO_NODE)
    ]
