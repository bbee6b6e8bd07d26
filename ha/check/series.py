"""Time series for reports: what happened in each slice of the run."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf

import msgspec
import numpy as np

from ha.check.summary import latencies_ms
from ha.history import Operation

__all__ = ["AvailabilitySeries", "LatencySeries", "availability_series", "latency_series"]


class LatencySeries(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of the latency of what succeeded, by the slice in which it was invoked. Slice i begins at
    ``start_s[i]``; ``percentiles_ms[p][i]`` is None when nothing invoked in it succeeded.
    """

    bucket_s: float
    start_s: list[float]
    percentiles_ms: dict[float, list[float | None]]


class AvailabilitySeries(msgspec.Struct, frozen=True, kw_only=True):
    """How many operations were answered in each slice, by outcome. What never got an answer counts as info in
    the slice of its invocation.
    """

    bucket_s: float
    start_s: list[float]
    ok: list[int]
    fail: list[int]
    info: list[int]


def latency_series(
    operations: Sequence[Operation],
    start_s: float,
    end_s: float,
    *,
    bucket_s: float,
    percentiles: Sequence[float] = (50, 95, 99, 100),
) -> LatencySeries:
    """Latency percentiles per slice of ``[start_s, end_s)``."""
    starts = _starts(start_s, end_s, bucket_s)
    slices: list[list[Operation]] = [[] for _ in starts]
    for operation in operations:
        index = _index(operation.invoked_s, start_s, bucket_s, len(starts))
        if index is not None:
            slices[index].append(operation)
    columns: dict[float, list[float | None]] = {p: [] for p in percentiles}
    for members in slices:
        taken = latencies_ms(members)
        row: list[float | None] = [None] * len(percentiles)
        if taken:
            row = np.percentile(taken, list(percentiles)).tolist()
        for percentile, value in zip(percentiles, row, strict=True):
            columns[percentile].append(value)
    return LatencySeries(bucket_s=bucket_s, start_s=starts, percentiles_ms=columns)


def availability_series(
    operations: Sequence[Operation], start_s: float, end_s: float, *, bucket_s: float
) -> AvailabilitySeries:
    """Answers per slice of ``[start_s, end_s)``."""
    starts = _starts(start_s, end_s, bucket_s)
    made = AvailabilitySeries(
        bucket_s=bucket_s, start_s=starts, ok=[0] * len(starts), fail=[0] * len(starts), info=[0] * len(starts)
    )
    by_outcome = {"ok": made.ok, "fail": made.fail, "info": made.info}
    for operation in operations:
        at_s = operation.invoked_s if operation.completed_s is None else operation.completed_s
        index = _index(at_s, start_s, bucket_s, len(starts))
        if index is not None:
            by_outcome[operation.outcome][index] += 1
    return made


def _starts(start_s: float, end_s: float, bucket_s: float) -> list[float]:
    if not 0 < bucket_s < inf:
        raise ValueError(f"a slice of {bucket_s} s")
    # Rounded, so that ten slices of 0.1 s fill one second whatever binary fractions say.
    count = ceil(round((end_s - start_s) / bucket_s, 9))
    return [start_s + index * bucket_s for index in range(count)]


def _index(at_s: float, start_s: float, bucket_s: float, count: int) -> int | None:
    index = int((at_s - start_s) // bucket_s)
    return index if 0 <= index < count else None
