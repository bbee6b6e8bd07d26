"""What a Deployment says of itself: counts and conditions. Pure.

Upstream: pkg/controller/deployment (sync.go, progress.go).
"""

from __future__ import annotations

from ha.controlplane.controller_manager.rollout import limits
from ha.kube.conditions import condition, with_condition
from ha.kube.kinds import Object
from ha.kube.meta import parse_time, timestamp

__all__ = ["condition_changes", "status_of"]


def status_of(deployment: Object, new: Object | None, old: list[Object]) -> dict[str, int]:
    """The counts over all ReplicaSets."""
    everything = [*old, *([new] if new is not None else [])]
    replicas = _total(everything, "replicas")
    available = _total(everything, "availableReplicas")
    wanted = sum(int(r["spec"].get("replicas", 0)) for r in everything)
    return {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": replicas,
        "updatedReplicas": _total([new] if new is not None else [], "replicas"),
        "readyReplicas": _total(everything, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
    }


def condition_changes(
    deployment: Object, status: dict[str, int], new: Object | None, *, wall_s: float
) -> tuple[list[Object], float | None]:
    """The conditions, and seconds until the progress deadline has to be looked at (None: never)."""
    now = timestamp(wall_s)
    conditions: list[Object] = list((deployment.get("status") or {}).get("conditions") or [])
    progressing, again_s = _progressing(deployment, status, new, wall_s)
    for wanted in (_available(deployment, status), progressing):
        shown = next((c for c in conditions if c.get("type") == wanted["type"]), None)
        moved = wanted.pop("moved", False)
        if shown is not None and not moved and _same(shown, wanted):
            continue
        conditions = with_condition(conditions, {**wanted, "lastUpdateTime": now}, now)
    return conditions, again_s


def _total(replica_sets: list[Object], field: str) -> int:
    return sum(int((r.get("status") or {}).get(field) or 0) for r in replica_sets)


def _same(shown: Object, wanted: Object) -> bool:
    return all(shown.get(k) == v for k, v in wanted.items())


def _available(deployment: Object, status: dict[str, int]) -> Object:
    spec = deployment["spec"]
    replicas = int(spec.get("replicas", 1))
    rolling = (spec.get("strategy") or {}).get("rollingUpdate")
    unavailable = 0
    if rolling is not None:
        unavailable = limits(replicas, rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%")).unavailable
    if status["availableReplicas"] >= replicas - unavailable:
        text = "Deployment has minimum availability."
        return {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": text}
    text = "Deployment does not have minimum availability."
    return {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": text}


def _progressing(
    deployment: Object, status: dict[str, int], new: Object | None, wall_s: float
) -> tuple[Object, float | None]:
    subject = f'ReplicaSet "{new["metadata"]["name"]}"' if new is not None else "Deployment"
    before = condition(deployment, "Progressing")
    reason = before.get("reason") if before is not None else None
    if deployment["spec"].get("paused"):
        return _progress("Unknown", "DeploymentPaused", "Deployment is paused"), None
    if _is_complete(deployment, status):
        return _progress("True", "NewReplicaSetAvailable", f"{subject} has successfully progressed."), None
    if before is not None and reason == "NewReplicaSetAvailable" and status["replicas"] == status["updatedReplicas"]:
        return _kept(before), None  # the rollout is over; pods that fail later do not reopen it
    settled = before is None or reason in ("NewReplicaSetAvailable", "DeploymentPaused")
    if before is None or settled or _has_moved(deployment.get("status") or {}, status):
        return {**_progress("True", "ReplicaSetUpdated", f"{subject} is progressing."), "moved": True}, None
    return _overdue(deployment, before, subject, wall_s)


def _overdue(deployment: Object, before: Object, subject: str, wall_s: float) -> tuple[Object, float | None]:
    """No progress since `before`: still patient, or not any more."""
    deadline_s = float(deployment["spec"].get("progressDeadlineSeconds") or 600)
    left_s = parse_time(before.get("lastUpdateTime") or timestamp(wall_s)) + deadline_s - wall_s
    if left_s <= 0:
        return _progress("False", "ProgressDeadlineExceeded", f"{subject} has timed out progressing."), None
    return _kept(before), left_s + 1.0


def _progress(status: str, reason: str, message: str) -> Object:
    return {"type": "Progressing", "status": status, "reason": reason, "message": message}


def _kept(before: Object) -> Object:
    return {k: before[k] for k in ("type", "status", "reason", "message") if k in before}


def _is_complete(deployment: Object, status: dict[str, int]) -> bool:
    replicas = int(deployment["spec"].get("replicas", 1))
    return status["updatedReplicas"] == status["replicas"] == status["availableReplicas"] == replicas


def _has_moved(before: Object, status: dict[str, int]) -> bool:
    old_before = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    old_now = status["replicas"] - status["updatedReplicas"]
    grew = any(status[k] > before.get(k, 0) for k in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grew or bool(old_now < old_before)
