"""Operations in words, for explanations that convict."""

from __future__ import annotations

from ha.history import Operation

__all__ = ["describe"]


def describe(operation: Operation) -> str:
    """One operation on one line: who, what, with which answer, when."""
    return f"{operation.workload} client {operation.client}: {_what(operation)} [{_when(operation)}]"


def _what(operation: Operation) -> str:
    demand = "" if operation.expected is None else f" over revision {operation.expected}"
    if operation.type == "read":
        return f"read {operation.key} -> {_seen(operation)}"
    value = "" if operation.value is None else f" = {operation.value!r}"
    return f"{operation.type} {operation.key}{value}{demand} -> {_answer(operation)}"


def _seen(operation: Operation) -> str:
    if operation.outcome != "ok":
        return operation.outcome
    if operation.revision == 0:
        return "absent"
    revision = "?" if operation.revision is None else operation.revision
    return f"{operation.value!r} at revision {revision}"


def _answer(operation: Operation) -> str:
    if operation.outcome == "info":
        return "unknown"
    if operation.revision is None:
        return operation.outcome
    return f"{operation.outcome}, revision {operation.revision}"


def _when(operation: Operation) -> str:
    end = "never answered" if operation.completed_s is None else f"{operation.completed_s:.6f} s"
    return f"{operation.invoked_s:.6f} s to {end}"
