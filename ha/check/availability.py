"""When a group of operations did not work, and for how long.

Seen by all clients together, for one group (reads, or writes):

* A *success* is an operation of the group that ended ok. A refusal (a cas that met a newer revision) is none:
  a server may have decided it without asking the store. Serializable reads are left out: any member answers them
  from memory.
* A *window without success* lies between two consecutive successes. It begins when somebody asked, and not
  before the first of the two was answered: at ``max(answer of the earlier success, earliest invocation of an
  operation that was still outstanding then or came after it)``. It ends with the answer of the next success, which
  may come after the interval looked at, to somebody who asked within it; else with the interval. Where nobody asked
  there is no evidence, hence no window. The interval's own beginning counts as a success.
* It is *unavailability* when it is longer than a threshold: ten times the median of all windows, but at least
  ``FLOOR_S`` and at most ``CEILING_S`` (a service that is slow throughout is no excuse for itself). The median,
  because faults must not move the threshold that is to find them. With fewer than twenty windows there is no
  telling what is normal, and the floor alone decides.

So a window's length includes the latency of the success that ends it: that is how long a client waited.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from statistics import median

import numpy as np

from ha.check.summary import split
from ha.history import Operation
from ha.history.result import Unavailability, Window
from ha.history.store import Range

__all__ = ["CEILING_S", "FLOOR_S", "unavailability"]

FLOOR_S = 0.1
"""Shorter windows are never called unavailability."""

CEILING_S = 1.0
"""Longer windows always are."""

_FACTOR = 10
_ENOUGH = 20


def unavailability(operations: Sequence[Operation], start_s: float, end_s: float) -> dict[str, Unavailability]:
    """Unavailability within ``[start_s, end_s]`` by group. A group of which nothing was asked is left out."""
    found = {}
    for group, members in split(operations).items():
        asked = [o for o in members if o.invoked_s < end_s and _end_s(o) > start_s and not _is_serializable(o)]
        if asked:
            found[group] = _measure(asked, start_s, end_s)
    return found


def _is_serializable(operation: Operation) -> bool:
    request = operation.store and operation.store.request
    return isinstance(request, Range) and request.serializable


def _measure(asked: Sequence[Operation], start_s: float, end_s: float) -> Unavailability:
    late = min((_end_s(o) for o in asked if o.outcome == "ok" and _end_s(o) > end_s), default=None)
    windows = _windows(asked, start_s, end_s if late is None else late)
    # A group with hardly a success has no normal: everything beyond the floor counts.
    normal_s = median(map(_length_s, windows)) if len(windows) >= _ENOUGH else 0.0
    threshold_s = min(max(FLOOR_S, _FACTOR * normal_s), CEILING_S)
    long = [window for window in windows if _length_s(window) > threshold_s]
    lengths_s = [_length_s(window) for window in long]
    return Unavailability(
        longest_s=max(lengths_s, default=0.0),
        total_s=sum(lengths_s),
        windows=long,
        open_ended=bool(long) and late is None and long[-1].end_s >= end_s,
        threshold_s=threshold_s,
    )


def _length_s(window: Window) -> float:
    return window.end_s - window.start_s


def _windows(asked: Sequence[Operation], start_s: float, end_s: float) -> list[Window]:
    """Every window without success, in order, however short."""
    answers = sorted(_end_s(o) for o in asked if o.outcome == "ok" and start_s <= _end_s(o) <= end_s)
    by_end = sorted(asked, key=_end_s)
    ends = [_end_s(o) for o in by_end]
    earliest_from = np.minimum.accumulate([o.invoked_s for o in reversed(by_end)])[::-1].tolist()
    windows = []
    for began_s, ended_s in pairwise([start_s, *answers, end_s]):
        first_outstanding = bisect_right(ends, began_s)
        if first_outstanding < len(ends):
            window = Window(max(began_s, earliest_from[first_outstanding]), ended_s)
            windows += [window] if window.start_s < window.end_s else []
    return windows


def _end_s(operation: Operation) -> float:
    return inf if operation.completed_s is None else operation.completed_s
