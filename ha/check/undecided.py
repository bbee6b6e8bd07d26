"""The keys that revisions alone do not settle, put to the search together with what revisions do settle.

A state is ``(at, cells)``: `at` is the position reached in the order of revisions, a cell what one key holds:
None, or ``(revision, value)``, where revision -1 stands for one that nobody ever saw. Positions are dense:
between two revisions there is always room for a write that nobody saw, since how many revisions other writers
used is not known.

Keys that were settled take no part. All that they say about the others is when: whatever was complete before
an operation began puts a `floor` under it, whatever began after it was complete puts a `ceiling` over it, and
both are exact because a settled operation's place is an interval. So first each key alone (cheap, and names
the culprit), then all at once, since two undecided keys may each be explicable but not together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import TypeAlias

import numpy as np

from ha.check.entries import Entry
from ha.check.order import Conviction, Order
from ha.check.search import Found, Step, search

__all__ = ["Settled", "settle"]

UNSEEN = -1

Cell: TypeAlias = tuple[int, str | None] | None
State: TypeAlias = tuple[int, tuple[Cell, ...]]
_Labels: TypeAlias = dict[int, str | None]


@dataclass(frozen=True, slots=True)
class Settled:
    """`verdict` True or None (the budget was exhausted on `keys`); a refutation is raised as Conviction."""

    verdict: bool | None
    visited: int
    keys: list[str] = field(default_factory=list)


def settle(order: Order, *, budget: int) -> Settled:
    """Search what `order` left undecided. Raises Conviction.

    Every key gets an equal share of the budget, so that a hopeless one does not hide another's violation.
    """
    undecided = order.undecided()
    if not undecided:
        return Settled(True, 0)
    _set_ceilings(order.entries)
    visited = 0
    unknown = []
    for key in undecided:
        found = _search(order, [key], max(1, budget // len(undecided)))
        visited += found.visited
        unknown += [key] if found.verdict is None else []
    if unknown:
        return Settled(None, visited, unknown)
    together = undecided + order.forked()
    if len(together) > 1:
        found = _search(order, together, budget)
        visited += found.visited
        if found.verdict is None:
            return Settled(None, visited, together)
    return Settled(True, visited, undecided)


def _search(order: Order, keys: Sequence[str], budget: int) -> Found:
    subject = [
        entry
        for key in keys
        for history in [order.keys[key]]
        for entry in (*history.versions, *history.reads, *history.open)
    ]
    subject.sort(key=lambda entry: entry.start_s)
    cells = {key: cell for cell, key in enumerate(keys)}
    labels = {key: _labels(order, key) for key in keys}
    steps = [
        Step(
            entry.start_s,
            entry.end_s,
            partial(_read if entry.is_read else _write, entry, cells[entry.key], labels[entry.key]),
            entry.is_read,
        )
        for entry in subject
    ]
    found = search(steps, (0, (None,) * len(keys)), budget=budget)
    if found.verdict is False:
        assert found.stuck is not None, "a refutation got stuck somewhere"
        names = ", ".join(keys)
        raise Conviction(f"no order explains {names}: every one gets stuck at this operation", subject[found.stuck])
    return found


def _labels(order: Order, key: str) -> _Labels:
    """Revisions that an open write of this key may have made, with the value seen there: those that were seen,
    and those that another open write demands.
    """
    history = order.keys[key]
    demanded = {write.demands: None for write in history.open if write.demands and write.demands not in order.owners}
    return {**demanded, **history.loose}


def _set_ceilings(made: Sequence[Entry]) -> None:
    """An operation stands below everything that began after it was complete."""
    by_start = sorted(made, key=lambda entry: entry.start_s)
    starts = np.array([entry.start_s for entry in by_start])
    highest = np.array([_highest(entry) for entry in by_start])
    lowest_after = np.append(np.minimum.accumulate(highest[::-1])[::-1], inf)
    following = np.searchsorted(starts, [entry.end_s for entry in made], side="right")
    for entry, index in zip(made, following.tolist(), strict=True):
        entry.ceiling = min(entry.ceiling, float(lowest_after[index]))


def _highest(entry: Entry) -> float:
    return entry.ceiling if entry.is_read or entry.revision is None else entry.revision


def _read(entry: Entry, cell: int, _labels: _Labels, state: State) -> Iterable[State]:
    at, cells = state
    if not _sees(entry, cells[cell]):
        return ()
    at = max(at, entry.floor)
    return ((at, cells),) if at < entry.ceiling else ()


def _sees(read: Entry, held: Cell) -> bool:
    if read.revision is None:
        return held is not None and held[1] in (read.value, None)
    if held is None:
        return read.revision == 0
    return held[0] == read.revision and (None in (read.value, held[1]) or held[1] == read.value)


def _write(entry: Entry, cell: int, labels: _Labels, state: State) -> Iterable[State]:
    at, cells = state
    if not _admits(entry, cells[cell]):
        return
    for revision, position in _places(entry, max(at, entry.floor), labels):
        held: Cell = None if entry.deletes else (revision, entry.value)
        yield position, (*cells[:cell], held, *cells[cell + 1 :])


def _admits(write: Entry, held: Cell) -> bool:
    demand = write.demands
    if demand is None:
        return held is not None or not write.deletes
    return held is None if demand == 0 else held is not None and held[0] == demand


def _places(write: Entry, low: int, labels: _Labels) -> Iterable[tuple[int, int]]:
    """(revision, position) that a write may take above `low`."""
    if write.revision is not None:
        if low < write.revision < write.ceiling:
            yield write.revision, write.revision
        return
    if low < write.ceiling:
        yield UNSEEN, low
    if write.deletes:
        return
    for revision, value in labels.items():
        if low < revision < write.ceiling and (None in (value, write.value) or value == write.value):
            yield revision, revision
