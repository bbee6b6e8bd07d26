"""Counts and latencies of groups of operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ha.history import Operation
from ha.history.result import OperationCounts

__all__ = ["GROUPS", "counts", "group_of", "latencies_ms", "split"]

GROUPS = ("read", "write")
"""The operation groups: ``write`` is write, cas, create and delete."""


def group_of(operation: Operation) -> str:
    """The group that an operation belongs to."""
    return "read" if operation.type == "read" else "write"


def split(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """Operations by group, every group present."""
    groups: dict[str, list[Operation]] = {group: [] for group in GROUPS}
    for operation in operations:
        groups[group_of(operation)].append(operation)
    return groups


def counts(operations: Iterable[Operation]) -> dict[str, OperationCounts]:
    """Outcomes and latency by group; every group is present."""
    return {group: _count(members) for group, members in split(operations).items()}


def latencies_ms(operations: Iterable[Operation]) -> list[float]:
    """Milliseconds from invocation to answer of each operation that succeeded.

    They count from when the client really asked. In an open loop a client that is still busy asks late, and
    that wait is not in here (coordinated omission): it is what the workload's count of late arrivals shows.
    """
    return [
        (operation.completed_s - operation.invoked_s) * 1000
        for operation in operations
        if operation.outcome == "ok" and operation.completed_s is not None
    ]


def _count(operations: Sequence[Operation]) -> OperationCounts:
    outcomes = [operation.outcome for operation in operations]
    taken = latencies_ms(operations)
    p50, p99, highest = np.percentile(taken, [50, 99, 100]).tolist() if taken else (None, None, None)
    return OperationCounts(
        ok=outcomes.count("ok"),
        fail=outcomes.count("fail"),
        info=outcomes.count("info"),
        p50_ms=p50,
        p99_ms=p99,
        max_ms=highest,
    )
