"""Real time: what was complete before an operation began lies below it in the order of revisions.

Each entry has a *position* that it cannot be below: a write its revision, a read the revision that it saw, an absence
the deletion before it. The *floor* of an entry is the highest position among those that were answered before it began.
A write must come above its floor; the interval of a read, which ends with the next version (its *ceiling*), must reach
above it. An absence may lie in one of several intervals, so its position depends on its floor, and others' floors on
its position: they are raised until nothing moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from ha.check.binding import Binding
from ha.check.chains import NEVER, Chains
from ha.check.said import Said
from ha.history.columns import NONE, Integers

__all__ = ["Placed", "place"]


@dataclass(frozen=True, slots=True)
class Placed:
    """By entry: everything up to the floor was taken before it began; it lies below the ceiling."""

    floor: Integers
    ceiling: Integers


def place(said: Said, chains: Chains, binding: Binding) -> Placed:
    """Hold all entries against real time. Raises Conviction for the first one that does not fit."""
    sweep = _Sweep(said)
    absences = _Absences(said, chains, binding)
    ceiling = np.full(len(said), NEVER)
    reads = np.flatnonzero(said.is_read & (said.revision > 0))
    if len(reads):
        ceiling[reads] = chains.following(chains.at(said.revision[reads]))
    position = np.maximum(said.revision, 0)
    while True:
        floor = sweep.floors(position)
        raised = absences.positions(floor)
        if np.array_equal(raised, position[absences.entries]):
            break
        position[absences.entries] = raised
    ceiling[absences.entries] = absences.ceilings
    below = (said.revision != NONE) & (said.revision <= floor)
    wrong = np.flatnonzero(np.where(said.is_read, floor >= ceiling, below))
    if len(wrong):
        first = int(wrong[np.argmin(said.start_s[wrong])])
        raise _conviction(said, chains, first, int(ceiling[first]), sweep.above(first, position))
    return Placed(floor, ceiling)


def _conviction(said: Said, chains: Chains, entry: int, ceiling: int, above: int) -> Exception:
    if not said.is_read[entry]:
        reason = f"time travel: revision {said.revision[entry]} after {said.revision[above]} was complete"
        return said.conviction(reason, entry, above)
    key = said.key_name(entry)
    if said.revision[entry] == 0:
        return said.conviction(f"lost: {key} existed from before the read began, yet was absent", entry, above)
    reason = f"stale read: {key} was overwritten at revision {ceiling} before the read began"
    overwrite = int(chains.entry[chains.at(np.array([ceiling]))][0])
    return said.conviction(reason, entry, *([] if overwrite == NONE else [overwrite]), above)


class _Sweep:
    """The order of answers. At one instant invocations come first: what meets is concurrent."""

    def __init__(self, said: Said) -> None:
        answered = np.flatnonzero(said.end_s < inf)
        self._by_end = answered[np.argsort(said.end_s[answered], kind="stable")]
        self._before = np.searchsorted(said.end_s[self._by_end], said.start_s, side="left")

    def floors(self, position: Integers) -> Integers:
        """Of every entry."""
        highest = np.concatenate([[0], np.maximum.accumulate(position[self._by_end])])
        return highest[self._before]

    def above(self, entry: int, position: Integers) -> int:
        """Who raised the floor of an entry."""
        earlier = self._by_end[: self._before[entry]]
        return int(earlier[np.argmax(position[earlier])])


class _Absences:
    """Reads that found nothing: where their key was absent, as far as known writes tell. Where an open write may have
    deleted it that may have been anywhere.
    """

    def __init__(self, said: Said, chains: Chains, binding: Binding) -> None:
        self.entries = np.flatnonzero(said.is_read & (said.revision == 0))
        key = said.key[self.entries]
        deletable = [k for k, open_ in binding.open.items() if any(said.deletes[write] for write in open_)]
        anywhere = np.isin(key, np.array(deletable, np.int64))
        self._first = np.where(anywhere, NEVER, chains.first(len(said.columns.keys))[key])
        """Until when it was never there yet."""
        self.ceilings = self._first.copy()
        self._gaps: list[tuple[Integers, Integers, Integers]] = []
        deletions = np.flatnonzero(chains.deletes & np.isin(chains.key, key[~anywhere]))
        for k in np.unique(chains.key[deletions]).tolist():
            rows = deletions[chains.key[deletions] == k]
            where = np.flatnonzero(key == k)
            starts, ends = chains.revision[rows], chains.following(rows)
            self._gaps.append((where, starts, ends))
            self.ceilings[where] = ends[-1]

    def positions(self, floor: Integers) -> Integers:
        """The beginning of the first gap that reaches above the floor."""
        floors = floor[self.entries]
        found = np.zeros(len(floors), np.int64)
        for where, starts, ends in self._gaps:
            gap = np.searchsorted(ends, floors[where], side="right")
            later = np.where(gap < len(ends), starts[np.minimum(gap, len(ends) - 1)], 0)
            found[where] = np.where(floors[where] < self._first[where], 0, later)
        return found
