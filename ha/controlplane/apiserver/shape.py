"""Types of the fields that the server looks into, checked once when an object comes in.

A shape says of what type each field is that a hook of the resource reads, so that no hook has to defend itself.
It is no schema: fields that nobody here reads may hold anything (schemas are a matter of their own). A field
that is null is one that is absent, as in Go; `prune` takes such fields out first.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from ha.kube.errors import ApiError, bad_request
from ha.kube.kinds import Kind, Object

__all__ = ["ANY", "BOOL", "INT", "META", "OBJECT", "STRING", "STRING_MAP", "Shape", "check_shape", "prune"]

Shape: TypeAlias = "str | dict[str, Shape] | list[Shape]"
"""The Go name of a scalar type, a struct by its fields, or a list (one element: the shape of each)."""

STRING: Shape = "string"
INT: Shape = "int64"
BOOL: Shape = "bool"
ANY: Shape = "any"
STRING_MAP: Shape = "map[string]string"
OBJECT: Shape = {}

META: Shape = {
    "name": STRING,
    "generateName": STRING,
    "namespace": STRING,
    "uid": STRING,
    "resourceVersion": STRING,
    "creationTimestamp": STRING,
    "deletionTimestamp": STRING,
    "deletionGracePeriodSeconds": INT,
    "generation": INT,
    "labels": STRING_MAP,
    "annotations": STRING_MAP,
    "finalizers": [STRING],
    "ownerReferences": [{"apiVersion": STRING, "kind": STRING, "name": STRING, "uid": STRING, "controller": BOOL}],
}


def prune(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Leave out every member that is null, at any depth."""
    if isinstance(value, dict):
        return {k: prune(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [prune(v) for v in value]
    return value


def check_shape(kind: Kind, obj: Object, shape: Shape) -> None:
    """Raises the 400 of a body that does not decode into its type."""
    if (fault := _fault(obj, {"metadata": META, **shape} if isinstance(shape, dict) else shape, "")) is not None:
        found, path, expected = fault
        raise _cannot_unmarshal(kind, found, path, expected)


def _cannot_unmarshal(kind: Kind, found: str, path: str, expected: str) -> ApiError:
    return bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: json: cannot unmarshal '
        f"{found} into Go struct field {kind.kind}{path} of type {expected}",
    )


def _fault(value: object, shape: Shape, path: str) -> tuple[str, str, str] | None:
    """The first mismatch: what was found, where, and what is expected there."""
    if isinstance(shape, dict):
        return _struct_fault(value, shape, path)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _json_type(value), path, "[]" + (shape[0] if isinstance(shape[0], str) else "struct")
        return next((f for v in value if (f := _fault(v, shape[0], path))), None)
    if shape == STRING_MAP:
        if not isinstance(value, dict):
            return _json_type(value), path, shape
        wrong = next((v for v in value.values() if not isinstance(v, str)), None)
        return None if wrong is None else (_json_type(wrong), path, "string")
    return None if shape == ANY or _json_type(value) == _JSON_TYPES[shape] else (_json_type(value), path, shape)


def _struct_fault(value: object, fields: dict[str, Shape], path: str) -> tuple[str, str, str] | None:
    if not isinstance(value, dict):
        return _json_type(value), path, "struct"
    present = ((name, value[name]) for name in fields if name in value)
    return next((f for name, inner in present if (f := _fault(inner, fields[name], f"{path}.{name}"))), None)


_JSON_TYPES = {"string": "string", "int64": "number", "bool": "bool"}


_NAMES = {bool: "bool", str: "string", int: "number", dict: "object", list: "array", type(None): "null"}


def _json_type(value: object) -> str:
    """What Go's decoder calls a JSON value. A number that is no integer is named with its text."""
    return f"number {value}" if isinstance(value, float) else _NAMES[type(value)]
