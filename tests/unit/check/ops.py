"""Short ways to write histories down."""

from __future__ import annotations

from typing import Any

from ha.history import Operation


def op(type_: str, key: str, start_s: float, end_s: float | None, outcome: str = "ok", **fields: Any) -> Operation:
    made = {"workload": "register", "client": 0, **fields}
    return Operation(type=type_, key=key, invoked_s=start_s, completed_s=end_s, outcome=outcome, **made)


def create(key: str, value: str, revision: int, start_s: float, end_s: float, **fields: Any) -> Operation:
    return op("create", key, start_s, end_s, value=value, revision=revision, **fields)


def write(key: str, value: str, revision: int, start_s: float, end_s: float, **fields: Any) -> Operation:
    return op("write", key, start_s, end_s, value=value, revision=revision, **fields)


def cas(key: str, value: str, expected: int, revision: int, start_s: float, end_s: float, **fields: Any) -> Operation:
    return op("cas", key, start_s, end_s, value=value, expected=expected, revision=revision, **fields)


def read(key: str, value: str | None, revision: int, start_s: float, end_s: float, **fields: Any) -> Operation:
    return op("read", key, start_s, end_s, value=value, revision=revision, **fields)


def unknown(type_: str, key: str, value: str | None, start_s: float, end_s: float | None = None, **fields: Any):
    return op(type_, key, start_s, end_s, "info", value=value, **fields)
