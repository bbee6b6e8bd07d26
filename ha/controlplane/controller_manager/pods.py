"""Reading Pods as controllers do. Pure."""

from __future__ import annotations

from ha.kube.conditions import condition, condition_status
from ha.kube.kinds import Object
from ha.kube.meta import controller_of, parse_time

__all__ = ["available_in_s", "is_active", "is_owned_by", "is_ready", "removal_rank"]


def is_active(pod: Object) -> bool:
    """Neither ended nor being deleted: it counts as a replica."""
    phase = (pod.get("status") or {}).get("phase")
    return phase not in ("Succeeded", "Failed") and not pod["metadata"].get("deletionTimestamp")


def is_ready(pod: Object) -> bool:
    """Its Ready condition is True."""
    return condition_status(pod, "Ready") == "True"


def is_owned_by(obj: Object, owner: Object) -> bool:
    """Whether `owner` is its controller."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == owner["metadata"]["uid"]


def available_in_s(pod: Object, min_ready_s: float, wall_s: float) -> float | None:
    """Seconds until a ready pod has been ready long enough (0: it has); None when it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    since = ready.get("lastTransitionTime")
    if min_ready_s <= 0 or not since:
        return 0.0
    return max(0.0, parse_time(since) + min_ready_s - wall_s)


def removal_rank(pod: Object, siblings_on_node: int) -> tuple[object, ...]:
    """Who goes first when there are too many (sorted ascending). Upstream: ActivePodsWithRanks.

    Unassigned before assigned, Pending before Unknown before Running, unready before ready, crowded nodes before
    empty ones, ready for a shorter time, restarted more often, younger before older.
    """
    status = pod.get("status") or {}
    phase = {"Pending": 0, "Unknown": 1}.get(status.get("phase", "Pending"), 2)
    ready = condition(pod, "Ready") or {}
    restarts = max((c.get("restartCount", 0) for c in status.get("containerStatuses") or []), default=0)
    return (
        bool((pod.get("spec") or {}).get("nodeName")),
        phase,
        is_ready(pod),
        -siblings_on_node,
        _reversed(ready.get("lastTransitionTime") or ""),
        -restarts,
        _reversed(pod["metadata"].get("creationTimestamp") or ""),
        pod["metadata"]["name"],
    )


def _reversed(time: str) -> tuple[int, ...]:
    """A sort key that puts later times first."""
    return tuple(-ord(c) for c in time)
