"""Counts and latencies of groups of operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ha.history import Operation
from ha.history.result import OperationCounts, WatchCounts
from ha.history.watch import WatchBegun, WatchEnded, WatchRecord, WatchTold

__all__ = ["GROUPS", "counts", "group_of", "latencies_ms", "split", "watch_counts"]

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


def watch_counts(records: Sequence[WatchRecord]) -> dict[str, WatchCounts]:
    """What watchers were told, by where they watched, in the order of their numbers. One that never got a watch is in
    no place.
    """
    begun = [record for record in records if isinstance(record, WatchBegun)]
    places = dict(sorted(((record.workload, record.client), record.server) for record in begun))
    by_place: dict[str, list[WatchRecord]] = {place: [] for place in places.values()}
    for record in records:
        place = places.get((record.workload, record.client))
        if place is not None:
            by_place[place].append(record)
    return {place: _watched(of_place) for place, of_place in by_place.items()}


def _watched(records: Sequence[WatchRecord]) -> WatchCounts:
    messages = [record.events for record in records if isinstance(record, WatchTold)]
    ends = [record.reason for record in records if isinstance(record, WatchEnded)]
    return WatchCounts(
        watchers=len({(record.workload, record.client) for record in records}),
        events=sum(map(len, messages)),
        bookmarks=messages.count([]),
        resumed=sum(isinstance(record, WatchBegun) and record.resumed for record in records),
        lost=ends.count("lost"),
        compacted=ends.count("compacted"),
    )


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
