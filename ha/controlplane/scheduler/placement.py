"""Which node is best for a pod: filters say which can take it and why not, scores say which is better. Pure.

A filter or a score is a function in the tuple below it; reasons are upstream's words, because people search
for them. Preemption, affinity between pods and volumes are not decided on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from ha.controlplane.scheduler.resources import NodeInfo, PodInfo
from ha.kube.taints import tolerates, untolerated
from ha.world import Random

__all__ = ["Unschedulable", "place"]


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node can take the pod. `message` counts the reasons as upstream does."""

    message: str


Filter = Callable[[PodInfo, NodeInfo], str | None]
Score = Callable[[PodInfo, NodeInfo], Fraction]


def _selected(pod: PodInfo, node: NodeInfo) -> str | None:
    if all(node.labels.get(key) == value for key, value in pod.node_selector):
        return None
    return "node(s) didn't match Pod's node affinity/selector"


def _tolerated(pod: PodInfo, node: NodeInfo) -> str | None:
    taint = untolerated(pod.tolerations, node.taints, "NoSchedule", "NoExecute")
    return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}" if taint else None


def _has_slot(_pod: PodInfo, node: NodeInfo) -> str | None:
    return None if len(node.pods) < node.max_pods else "Too many pods"


def _has_cpu(pod: PodInfo, node: NodeInfo) -> str | None:
    asked = pod.requests.cpu_m
    return "Insufficient cpu" if asked and node.requested.cpu_m + asked > node.allocatable.cpu_m else None


def _has_memory(pod: PodInfo, node: NodeInfo) -> str | None:
    asked, limit = pod.requests.memory_bytes, node.allocatable.memory_bytes
    return "Insufficient memory" if asked and node.requested.memory_bytes + asked > limit else None


FILTERS: tuple[Filter, ...] = (_selected, _tolerated, _has_slot, _has_cpu, _has_memory)


def _least_allocated(pod: PodInfo, node: NodeInfo) -> Fraction:
    """100 for an empty node, 0 for a full one; CPU and memory count alike."""
    after = node.weight + pod.weight
    shares = (
        _free(after.cpu_m, node.allocatable.cpu_m),
        _free(after.memory_bytes, node.allocatable.memory_bytes),
    )
    return sum(shares, Fraction(0)) * 50


def _free(used: int, total: int) -> Fraction:
    return Fraction(max(total - used, 0), total) if total else Fraction(0)


def _tolerates_preferences(pod: PodInfo, node: NodeInfo) -> Fraction:
    """100 without PreferNoSchedule taints that the pod does not tolerate, less for each."""
    preferred = [t for t in node.taints if t.get("effect") == "PreferNoSchedule"]
    return Fraction(100, 1 + sum(not any(tolerates(t, taint) for t in pod.tolerations) for taint in preferred))


SCORES: tuple[tuple[Score, int], ...] = ((_least_allocated, 1), (_tolerates_preferences, 3))
_SPREAD_WEIGHT = 2


def place(pod: PodInfo, nodes: Iterable[NodeInfo], random: Random) -> str | Unschedulable:
    """The name of the best node. Among equals `random` decides; the same randomness decides the same."""
    known = sorted((n for n in nodes if n.known), key=lambda n: n.name)
    feasible: list[NodeInfo] = []
    reasons: Counter[str] = Counter()
    for node in known:
        failed = [why for f in FILTERS if (why := f(pod, node)) is not None]
        reasons.update(failed)
        if not failed:
            feasible.append(node)
    if not feasible:
        return _unschedulable(len(known), reasons)
    siblings = {n.name: sum(bool(pod.owner) and p.owner == pod.owner for p in n.pods.values()) for n in feasible}
    most = max(siblings.values())
    totals = {
        n.name: sum((score(pod, n) * weight for score, weight in SCORES), Fraction(0))
        + _SPREAD_WEIGHT * (Fraction(100 * (most - siblings[n.name]), most) if most else 100)
        for n in feasible
    }
    best = max(totals.values())
    return random.choice([name for name, total in totals.items() if total == best])


def _unschedulable(total: int, reasons: Counter[str]) -> Unschedulable:
    if total == 0:
        return Unschedulable("no nodes available to schedule pods")
    listed = ", ".join(sorted(f"{count} {why}" for why, count in reasons.items()))
    return Unschedulable(f"0/{total} nodes are available: {listed}.")
