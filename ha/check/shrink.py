"""From a history that no order explains to the few operations that show it.

Only changes that can make a history easier to explain are made (*relaxations*: leaving out a read, leaving out a write
that nobody left can have seen, forgetting how a write ended), so what is left is a proof in itself. First the shortest
prefix that cannot be explained is found by bisection, for a history that has an order has one for each of its prefixes;
then halves, quarters and so on are left out as long as it stays unexplained (Zeller and Hildebrandt, 2002).

Which changes are relaxations depends on the kind of operation: `Relaxation`. Each try is a search, so there is an end
to it: whatever is smallest then is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

__all__ = ["Relaxation", "shrink"]

T = TypeVar("T")

EFFORT = 100_000
"""Operations that are searched, over all tries."""


class Relaxation(Protocol[T]):
    """What may be changed of operations of one kind."""

    def until(self, operations: Sequence[T], time: float) -> list[T]:
        """What had been seen by then: what was not over yet is of unknown outcome."""
        ...

    def end(self, operation: T) -> float | None:
        """When it was answered; None: its outcome is unknown."""
        ...

    def leave_out(self, dropped: Sequence[T], rest: Sequence[T]) -> Self | None:
        """What may be changed then, if every order that explains all explains the rest; else None."""
        ...

    def softened(self, operation: T) -> T | None:
        """The same with an unknown outcome; None: it says what it says only as it is."""
        ...


@dataclass(slots=True)
class _Tries(Generic[T]):
    """Says whether something certainly has no order; no longer when the effort is used up."""

    verdict: Callable[[list[T]], bool]
    left: int = EFFORT

    def is_bad(self, operations: list[T]) -> bool:
        self.left -= len(operations)
        return self.left >= 0 and self.verdict(operations)


R = TypeVar("R", bound=Relaxation[Any])


def shrink(operations: Sequence[T], relax: R, is_bad: Callable[[list[T]], bool]) -> tuple[list[T], R]:
    """The few that no order explains, of operations that none explains (`is_bad` says so); and what may be changed."""
    left = _shortest_prefix(operations, relax, is_bad)
    tries = _Tries(is_bad)
    before: list[T] = []
    while left != before:
        before = left
        left, relax = _leave_out(left, relax, tries)
        left = _soften(left, relax, tries)
    return left, relax


def _shortest_prefix(operations: Sequence[T], relax: R, is_bad: Callable[[list[T]], bool]) -> list[T]:
    ends = sorted(end for end in map(relax.end, operations) if end is not None)
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if is_bad(relax.until(operations, ends[middle])):
            high = middle
        else:
            low = middle + 1
    return relax.until(operations, ends[low])


def _leave_out(operations: list[T], relax: R, tries: _Tries[T]) -> tuple[list[T], R]:
    """In chunks that get smaller and smaller."""
    left = operations
    size = max(1, len(left) // 2)
    while size:
        at = 0
        while at < len(left):
            rest = left[:at] + left[at + size :]
            relaxed = relax.leave_out(left[at : at + size], rest) if rest else None
            if relaxed is not None and tries.is_bad(rest):
                left, relax = rest, relaxed
            else:
                at += size
        size //= 2
    return left, relax


def _soften(operations: list[T], relax: R, tries: _Tries[T]) -> list[T]:
    left = operations
    for at, operation in enumerate(operations):
        softer = relax.softened(operation)
        if softer is not None:
            changed = [*left[:at], softer, *left[at + 1 :]]
            if tries.is_bad(changed):
                left = changed
    return left
