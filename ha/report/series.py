"""How finely a report cuts time, and how each slice went; the figures themselves are `ha.check.series`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from ha.check.series import availability_series
from ha.history import Operation

__all__ = ["Ribbon", "State", "bucket_s", "ribbon"]

State: TypeAlias = Literal["idle", "ok", "part", "gap"]
"""idle: nothing was answered · ok: everything succeeded · part: some did · gap: nothing did."""

_BUCKETS_S = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_REFUSED = re.compile("conflict|409", re.IGNORECASE)


class Ribbon(msgspec.Struct, frozen=True):
    """How the slices went, from each of `starts_s` on."""

    starts_s: list[float]
    states: list[State]


def bucket_s(duration_s: float, *, at_most: int) -> float:
    """The finest round width that needs no more than `at_most` slices."""
    return next((width_s for width_s in _BUCKETS_S if duration_s / width_s <= at_most), _BUCKETS_S[-1])


def ribbon(operations: Sequence[Operation], start_s: float, end_s: float) -> Ribbon:
    """How each slice went for the clients, at the time of the answer.

    A compare-and-set that lost against another client got the right answer at once: it counts for nothing here.
    """
    counted = [operation for operation in operations if not _refused(operation)]
    width_s = bucket_s(end_s - start_s, at_most=120)
    series = availability_series(counted, start_s, end_s, bucket_s=width_s)
    states = [_state(ok, fail + info) for ok, fail, info in zip(series.ok, series.fail, series.info, strict=True)]
    return Ribbon(series.start_s, states)


def _refused(operation: Operation) -> bool:
    if operation.type != "cas" or operation.outcome != "fail":
        return False
    return operation.error is None or bool(_REFUSED.search(operation.error))


def _state(good: int, bad: int) -> State:
    if not good:
        return "gap" if bad else "idle"
    return "part" if bad else "ok"
