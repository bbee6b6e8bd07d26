"""Taints and tolerations (k8s.io/api/core/v1, ``Toleration.ToleratesTaint``)."""

from __future__ import annotations

from collections.abc import Iterable

from ha.kube.kinds import Object

__all__ = ["NOT_READY", "UNINITIALIZED", "UNREACHABLE", "UNSCHEDULABLE", "has_taint", "tolerates", "untolerated"]

NOT_READY = "node.kubernetes.io/not-ready"
UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def has_taint(node: Object, key: str) -> bool:
    """Whether a Node has a taint of this key, whatever its effect."""
    return any(taint.get("key") == key for taint in (node.get("spec") or {}).get("taints") or [])


def tolerates(toleration: Object, taint: Object) -> bool:
    """Whether one toleration matches one taint. An empty effect or key matches every one."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(tolerations: Iterable[Object], taints: Iterable[Object], *effects: str) -> Object | None:
    """The first taint of the given effects that nothing tolerates."""
    tolerations = list(tolerations)
    for taint in taints:
        if taint.get("effect") in effects and not any(tolerates(t, taint) for t in tolerations):
            return taint
    return None
