"""Nodes: registered by their kubelet, status and all."""

from __future__ import annotations

from ha.controlplane.apiserver.resource import Fields, Resource
from ha.controlplane.apiserver.shape import ANY, BOOL, STRING
from ha.controlplane.apiserver.validation import label_faults
from ha.kube.errors import Cause
from ha.kube.kinds import NODE, Object

__all__ = ["nodes"]

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def nodes() -> Resource:
    """The declaration."""
    return Resource(
        kind=NODE,
        shape={
            "spec": {"taints": [{"key": STRING, "value": STRING, "effect": STRING}], "unschedulable": BOOL},
            "status": {"capacity": ANY, "conditions": [ANY]},
        },
        default=_default,
        validate=_validate,
        fields=_fields,
        field_names=frozenset({"spec.unschedulable"}),
        strict_fields=True,
    )


def _default(node: Object) -> None:
    node.setdefault("spec", {})
    status = node.setdefault("status", {})
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def _validate(node: Object) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(node["spec"].get("taints") or []):
        path, key, effect = f"spec.taints[{i}]", taint.get("key", ""), taint.get("effect", "")
        causes += label_faults(f"{path}.key", {key: taint.get("value", "")})
        if not effect:
            causes.append(Cause.required(f"{path}.effect"))
        elif effect not in _EFFECTS:
            causes.append(Cause.unsupported(f"{path}.effect", effect, _EFFECTS))
        if (key, effect) in seen:
            causes.append(Cause.duplicate(path, f"{key}:{effect}"))
        seen.add((key, effect))
    return causes


def _fields(node: Object) -> Fields:
    return {"spec.unschedulable": "true" if (node.get("spec") or {}).get("unschedulable") else "false"}
