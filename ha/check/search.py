"""Just-in-time linearization: a bounded depth-first search for one order that explains every answer.

After Wing and Gong (1993) and Lowe (2017). Time is swept from left to right; an operation is put into the
order only when one that returns now needs it (*just in time*), so that the branching is that of the
operations in flight and not of the whole history. Configurations (event, state, operations taken) that were
seen are not entered again. A step that reads without changing the state is taken as soon as it can be: any
continuation without it stays valid with it.

The search knows nothing of registers or revisions: states are hashable values and a step is a function from
a state to the states that it may lead to (none: impossible here; several: the outcome left it open). It gives
up after `budget` configurations, because the problem is NP-complete (Gibbons and Korach, 1997), and then says
None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

__all__ = ["Found", "Step", "search"]

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Step(Generic[S]):
    """One operation. `returned_s` infinite: it may take effect any time after its invocation, or never."""

    invoked_s: float
    returned_s: float
    apply: Callable[[S], Iterable[S]]
    reads_only: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The answer: True, False or None (budget exhausted). `stuck`: the step that no order got past."""

    verdict: bool | None
    visited: int
    stuck: int | None = None


_Event: TypeAlias = tuple[float, int, int]  # time, 0 invoked | 1 returned, index of the step


def search(steps: Sequence[Step[S]], initial: S, *, budget: int) -> Found:
    """Look for an order of `steps` that respects real time and that `apply` admits from `initial` on.

    Two steps are ordered by real time when one returned strictly before the other was invoked. `stuck` is
    the step whose return was the latest that any order reached.
    """
    events = _events(steps)
    pending = _pending(events)
    seen: set[tuple[int, S, int]] = set()
    stack: list[tuple[int, S, int]] = [(0, initial, 0)]
    farthest = -1
    while stack:
        at, state, taken = stack.pop()
        at, taken = _settle(steps, events, pending, (at, state, taken))
        if at == len(events):
            return Found(True, len(seen))
        if (at, state, taken) in seen:
            continue
        if len(seen) >= budget:
            return Found(None, len(seen))
        seen.add((at, state, taken))
        farthest = max(farthest, at)
        for index in pending[at]:
            if not taken >> index & 1:
                stack.extend((at, after, taken | 1 << index) for after in steps[index].apply(state))
    return Found(False, len(seen), events[farthest][2])


def _events(steps: Sequence[Step[S]]) -> list[_Event]:
    """Invocations and returns in time order. At one instant invocations come first: the two are concurrent."""
    events = [(step.invoked_s, 0, index) for index, step in enumerate(steps)]
    events += [(step.returned_s, 1, index) for index, step in enumerate(steps) if step.returned_s < math.inf]
    return sorted(events)


def _pending(events: Sequence[_Event]) -> list[tuple[int, ...]]:
    """For each return: what was invoked and had not returned before it. The returning step comes last, to be
    tried first.
    """
    current: dict[int, None] = {}
    pending: list[tuple[int, ...]] = []
    for _, is_return, index in events:
        if not is_return:
            current[index] = None
            pending.append(())
        else:
            del current[index]
            pending.append((*current, index))
    return pending


def _settle(
    steps: Sequence[Step[S]], events: Sequence[_Event], pending: Sequence[tuple[int, ...]], node: tuple[int, S, int]
) -> tuple[int, int]:
    """Go as far as there is nothing to choose."""
    at, state, taken = node
    while True:
        at, taken = _advance(events, at, taken)
        if at == len(events):
            return at, taken
        before = taken
        taken = _take_reads(steps, pending[at], state, taken)
        if taken == before:
            return at, taken


def _advance(events: Sequence[_Event], at: int, taken: int) -> tuple[int, int]:
    """Pass invocations, and returns of what is in the order already."""
    while at < len(events):
        _, is_return, index = events[at]
        if is_return:
            if not taken >> index & 1:
                break
            taken ^= 1 << index
        at += 1
    return at, taken


def _take_reads(steps: Sequence[Step[S]], pending: Iterable[int], state: S, taken: int) -> int:
    for index in pending:
        step = steps[index]
        if step.reads_only and not taken >> index & 1 and tuple(step.apply(state)) == (state,):
            taken |= 1 << index
    return taken
