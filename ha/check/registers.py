"""Registers and texts as what a search walks through: what each operation needs of a value, and makes of it.

A register is read, written, compared and set, created and deleted; a text is appended to as well. A text that nobody
replaces only grows, so a state that a coming answer does not begin with is hopeless.

Left out is what says nothing: reads without an answer, and writes that were certainly not done. A cas that was refused
saw another value than it expected; one that changes nothing is a read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from operator import eq, ne

from ha.check.search import Hopeless
from ha.check.timeline import Event, Shape, Step
from ha.history.calls import Call

__all__ = ["Value", "growth", "says_something", "step"]

Value = str | None


def says_something(call: Call) -> bool:
    """Whether an operation tells anything about what is stored, or may have changed it."""
    if call.outcome == "ok":
        return True
    if call.outcome == "fail":
        return call.type == "cas"
    return call.type != "read" and not (call.type == "cas" and call.value == call.expected)


def step(call: Call) -> Step[Value]:  # noqa: PLR0911  (a table)
    """An operation that says something."""
    times = call.start, inf if call.end is None or call.outcome == "info" else call.end
    seen = call.value
    match call.type:
        case "read":
            return Step(*times, sees=partial(eq, seen), shape=Shape(needs=seen))
        case "write":
            return Step(*times, _writing(seen), shape=Shape(makes=seen))
        case "append":
            assert seen is not None, "nothing cannot be appended"
            return Step(*times, partial(_append, seen))
        case "cas" if call.outcome == "fail":
            return Step(*times, sees=partial(ne, call.expected), shape=Shape(avoids=call.expected))
        case "cas" if call.value == call.expected:
            return Step(*times, sees=partial(eq, seen), shape=Shape(needs=seen))
        case "cas":
            return _exchanging(times, call.expected, seen)
        case "create":
            return _exchanging(times, None, seen)
        case "delete":
            if call.outcome == "info":  # where nothing is it does nothing
                return Step(*times, _writing(None), shape=Shape(makes=None))
            return Step(*times, _delete, shape=Shape(avoids=None, makes=None))


def _writing(value: Value) -> Callable[[Value], Iterable[Value]]:
    made = (value,)
    return lambda _: made


def _exchanging(times: tuple[float, float], expected: Value, value: Value) -> Step[Value]:
    made = (value,)
    return Step(*times, lambda state: made if state == expected else (), shape=Shape(needs=expected, makes=value))


def _append(value: str, state: Value) -> Iterable[Value]:
    return ((state or "") + value,)


def _delete(state: Value) -> Iterable[Value]:
    return () if state is None else (None,)


def growth(calls: Sequence[Call], events: Sequence[Event]) -> Hopeless[Value] | None:
    """Of a text: what makes a state hopeless. `events` are those of `calls`. None: nothing does."""
    if not any(call.type == "append" for call in calls):
        return None
    return _Growth(calls, events).is_hopeless


class _Growth:
    """For each event, what is certainly read of the text that is there now, or of what it grows to."""

    def __init__(self, calls: Sequence[Call], events: Sequence[Event]) -> None:
        self._values = [call.value or "" for call in calls]
        returns = {index: at for at, (_, is_return, index) in enumerate(events) if is_return}
        self._replaced: list[int] = []
        """By event: how many replacements were asked for by then."""
        replaced, self._end = 0, len(events)
        for at, (_, is_return, index) in enumerate(events):
            if not is_return and calls[index].type not in ("read", "append"):
                replaced += 1
                self._end = self._end if index in returns else min(self._end, at)  # it may replace it at any time
            self._replaced.append(replaced)
        self._until = {i: self._replaced[at] for i, at in returns.items() if calls[i].type == "read"}
        """By read: how many by the time that it was answered."""
        self._coming: list[int | None] = [None] * (len(events) + 1)
        """By event: of the reads that are not asked for yet the one that is answered first."""
        for at in range(len(events) - 1, -1, -1):
            _, is_return, index = events[at]
            first = self._coming[at + 1]
            if not is_return and calls[index].type == "read" and (first is None or returns[index] < returns[first]):
                first = index
            self._coming[at] = first

    def is_hopeless(self, at: int, state: Value, reads: list[int], replaces: bool) -> bool:  # noqa: FBT001
        """See `ha.check.search.Hopeless`."""
        if replaces or at >= self._end:
            return False
        now, coming = self._replaced[at], self._coming[at]
        for read in reads if coming is None else (*reads, coming):
            if self._until.get(read) == now and not self._values[read].startswith(state or ""):
                return True
        return False
