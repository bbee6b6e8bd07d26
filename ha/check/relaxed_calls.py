"""What may be left out of a history without revisions: see `ha.check.shrink`.

A read and a refused cas only restrict. A write is left out when nobody left looks at its value, or when whoever does
began after another write had certainly covered it: that one then has to stay, and the one that was left out is shown
again in the end (a *ghost*), for a value that nobody seems to have written explains nothing to the reader.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import msgspec

from ha.check.registers import says_something, step
from ha.check.timeline import ANY, SAME, Shape
from ha.history.calls import Call

__all__ = ["RelaxedCalls"]


@dataclass(frozen=True, slots=True)
class RelaxedCalls:
    """What may be changed once something was left out."""

    pinned: frozenset[Call] = frozenset()
    """Who has to stay."""
    ghosts: Mapping[str | None, Call] = field(default_factory=dict)
    """Who was left out though somebody looks at its value."""

    def until(self, operations: Sequence[Call], time: float) -> list[Call]:
        """See `Relaxation`."""
        cut = [
            call
            if call.end is not None and call.end <= time
            else msgspec.structs.replace(call, outcome="info", end=None)
            for call in operations
            if call.start <= time
        ]
        return [call for call in cut if says_something(call)]

    def end(self, operation: Call) -> float | None:
        """See `Relaxation`."""
        return None if operation.outcome == "info" else operation.end

    def softened(self, operation: Call) -> Call | None:
        """See `Relaxation`."""
        if operation in self.pinned or operation.outcome != "ok" or _shape(operation).makes is SAME:
            return None
        return _forgotten(operation)

    def leave_out(self, dropped: Sequence[Call], rest: Sequence[Call]) -> Self | None:
        """See `Relaxation`."""
        pinned, ghosts = set(self.pinned), dict(self.ghosts)
        for call in dropped:
            if _only_restricts(call):
                continue
            if call.type == "append" or call in pinned or not _is_covered(call, rest, pinned, ghosts):
                return None
        return dataclasses.replace(self, pinned=frozenset(pinned), ghosts=ghosts)

    def with_ghosts(self, operations: Sequence[Call]) -> list[Call]:
        """With one covered writer for each value that somebody looks at and nobody wrote."""
        made = {_shape(call).makes for call in operations if call.type != "append"}
        needed = {_shape(call).needs for call in operations if call.type != "append"}
        ghosts = [ghost for value, ghost in self.ghosts.items() if value in needed and value not in made]
        return sorted([*operations, *ghosts], key=_start)


def _is_covered(call: Call, rest: Sequence[Call], pinned: set[Call], ghosts: dict[str | None, Call]) -> bool:
    """Whether nobody can have seen what a write made. Remembers who covers it, and what was covered."""
    for other in rest:
        if other.type == "append" or _shape(other).avoids is not ANY:
            return False  # it is looked at by whoever sees something else
        if _shape(other).needs == _shape(call).makes:
            cover = _cover(call, other, rest, pinned)
            if cover is None:
                return False
            pinned.add(cover)
            ghosts[call.value] = max(call, ghosts.get(call.value, call), key=_start)
    return True


def _cover(call: Call, other: Call, rest: Sequence[Call], pinned: set[Call]) -> Call | None:
    """The write that certainly came between the two; one that has to stay anyway, if there is one."""
    if call.outcome == "info" or call.end is None:
        return None
    between = [
        one
        for one in rest
        if not _only_restricts(one)
        and one.outcome == "ok"
        and one.end is not None
        and call.end < one.start
        and one.end < other.start
    ]
    return max(between, key=lambda one: (one in pinned, one.start), default=None)


def _shape(call: Call) -> Shape:
    return step(call).shape or Shape()


def _only_restricts(call: Call) -> bool:
    return call.type != "append" and _shape(call).makes is SAME


def _start(call: Call) -> float:
    return call.start


def _forgotten(call: Call) -> Call:
    return msgspec.structs.replace(call, outcome="info", end=None)
