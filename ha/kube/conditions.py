"""Conditions in the status of objects: lists keyed by type, with the time of the last change of ``status``."""

from __future__ import annotations

from ha.kube.kinds import Object

__all__ = ["condition", "condition_status", "with_condition"]


def condition(obj: Object | None, type_: str) -> Object | None:
    """The condition of one type, or None."""
    if obj is None:
        return None
    conditions: list[Object] = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == type_), None)


def condition_status(obj: Object | None, type_: str) -> str:
    """``True``, ``False`` or ``Unknown``; "" when there is no such condition."""
    found = condition(obj, type_)
    return str(found.get("status", "")) if found else ""


def with_condition(conditions: list[Object] | None, new: Object, now: str) -> list[Object]:
    """The conditions with one put in place of its type, or added. Its transition time moves only with its status."""
    result = list(conditions or [])
    for i, old in enumerate(result):
        if old.get("type") == new["type"]:
            same = old.get("status") == new["status"]
            result[i] = {**new, "lastTransitionTime": old.get("lastTransitionTime", now) if same else now}
            return result
    result.append({**new, "lastTransitionTime": now})
    return result
