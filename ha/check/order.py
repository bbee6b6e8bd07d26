"""The order that revisions give: version chains per key, one clock for the whole store.

Kubernetes' resourceVersion is etcd's mod_revision: one counter for all keys, raised by every write, also by writers
that no client records. So an acknowledged write names its own place in the order of *all* writes, and a read names the
write that it saw: it lies in ``[mod_revision, next write of that key)``. What remains is arithmetic (Gibbons and
Korach, 1997: with this information the problem is easy), on columns (`ha.check.said`), sorted and never looped over:

1. acknowledged revisions are distinct, and every revision that was seen was made by one write of that key and value
   (`ha.check.binding`);
2. within a key each write found what it demanded (`ha.check.chains`);
3. real time is respected (`ha.check.realtime`);
4. revisions whose writer is open have one each (`ha.check.matching`).

Every conviction is sound. Gaps between revisions prove nothing (others write too), and a write of unknown outcome that
nobody saw may be taken for one that never happened: it could only hide behind other writes. Except where something
needs it: a create over an object that an unknown delete may have removed, a cas over a revision that nobody saw, an
acknowledged write whose revision the answer did not tell. Those keys are undecided and left to `ha.check.undecided`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import numpy as np

from ha.check.binding import Binding, refusals
from ha.check.chains import NEVER, Chains
from ha.check.matching import explains
from ha.check.realtime import place
from ha.check.said import Booleans, Said, say
from ha.history import Operation
from ha.history.columns import NONE, Columns, Integers

__all__ = ["Entry", "KeyHistory", "Order", "establish"]


@dataclass(slots=True, eq=False)
class Entry:
    """One entry of a key that the search has to settle. `end_s` is infinite unless it was answered definitely."""

    operation: Operation
    start_s: float
    end_s: float
    is_read: bool
    deletes: bool
    revision: int | None
    """A read: the one it saw (None: only a value). A write: the one it made (None: not known)."""
    value: str | None
    """None: not known."""
    demands: int | None
    floor: int
    """Every position up to this one was taken before the operation began."""
    ceiling: float
    """The operation's position lies below this revision."""


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """The entries of one key."""

    entries: list[Entry]
    loose: dict[int, str | None] = field(default_factory=dict)
    """Revisions that were seen and whose writer is open, with the value seen there (None: not known)."""


class Order:
    """What revisions settle, and which keys they do not."""

    def __init__(self, said: Said) -> None:
        self._said = said
        self._binding = Binding(said)
        self._chains = Chains.of(said, self._binding)
        suspects = self._chains.check(said, self._binding)
        _check_refusals(said)
        self._placed = place(said, self._chains, self._binding)
        in_doubt = self._in_doubt()
        in_doubt[list(suspects)] = True
        matched = []
        for key in self._keys_with_loose():
            if not in_doubt[key]:
                in_doubt[key] = not explains(said, self._chains, self._binding, self._placed.floor, key)
                matched += [] if in_doubt[key] else [key]
        self.undecided: list[int] = np.flatnonzero(in_doubt).tolist()
        """Keys that need a search, by number, in the order of their first operation."""
        self.forked: list[int] = np.flatnonzero(self._absent() & self._deleted() & ~in_doubt).tolist()
        """Keys that a search of others must take along: their reads may stand in several places."""
        self.leaning: list[int] = self._leaning(matched, in_doubt) if self.undecided else []
        """The same of keys whose revisions have several writers to choose from: which can it be?"""

    def name(self, key: int) -> str:
        """The name of a key."""
        return self._said.columns.keys[key]

    def has_writer(self, revision: int) -> bool:
        """Whether it is known who wrote a revision."""
        return self._binding.owner(revision) != NONE

    def history(self, key: int) -> KeyHistory:
        """All of one key, for a search. Ceilings are those of `ceilings`."""
        said, ceilings = self._said, self.ceilings
        made = []
        for entry in np.flatnonzero(said.key == key).tolist():
            operation = said.operation(entry)
            ceiling = int(ceilings[entry])
            made.append(
                Entry(
                    operation,
                    start_s=float(said.start_s[entry]),
                    end_s=float(said.end_s[entry]),
                    is_read=bool(said.is_read[entry]),
                    deletes=bool(said.deletes[entry]),
                    revision=_known(said.revision[entry]),
                    value=None if said.value[entry] == NONE else operation.value,
                    demands=_known(said.demands[entry]),
                    floor=int(self._placed.floor[entry]),
                    ceiling=inf if ceiling == NEVER else ceiling,
                )
            )
        loose = {revision: by for revision, by in self._binding.loose.items() if said.key[by] == key}
        return KeyHistory(made, {revision: self._seen(by) for revision, by in loose.items()})

    @cached_property
    def ceilings(self) -> Integers:
        """By entry: it stands below everything that began after it was complete."""
        said, placed = self._said, self._placed
        highest = np.where(said.is_read | (said.revision == NONE), placed.ceiling, said.revision)
        by_start = np.argsort(said.start_s, kind="stable")
        lowest_after = np.append(np.minimum.accumulate(highest[by_start][::-1])[::-1], NEVER)
        following = np.searchsorted(said.start_s[by_start], said.end_s, side="right")
        ceilings: Integers = np.minimum(placed.ceiling, lowest_after[following])
        return ceilings

    def _seen(self, by: int) -> str | None:
        return None if self._binding.seen(by)[1] == NONE else self._said.operation(by).value

    def _keys_with_loose(self) -> list[int]:
        return sorted({int(self._said.key[by]) for by in self._binding.loose.values()})

    def _leaning(self, matched: Sequence[int], in_doubt: Booleans) -> list[int]:
        said = self._said
        forked = np.isin(said.key, self.forked)
        movable = in_doubt[said.key] | (forked & said.is_read & (said.revision == 0))
        return [key for key in matched if self._leans(key, movable)]

    def _leans(self, key: int, movable: Booleans) -> bool:
        """Whether an entry whose place depends on what is in doubt was answered before a writer of a loose revision may
        have begun, and may stand above that revision.
        """
        said = self._said
        lowest = min(revision for revision, by in self._binding.loose.items() if said.key[by] == key)
        latest_s = max(said.start_s[write] for write in self._binding.open[key])
        return bool((movable & (said.end_s < latest_s) & (self.ceilings > lowest)).any())

    def _in_doubt(self) -> Booleans:
        """By key: a write that happened, nobody knows when; a read of a value alone; an absence that an open deletion
        may explain.
        """
        said = self._said
        unplaced = (said.revision == NONE) & (said.is_read | (said.end_s < inf))
        deletable = self._keys_of(~said.is_read & (said.revision == NONE) & said.deletes)
        return self._keys_of(unplaced) | (deletable & self._absent())

    def _absent(self) -> Booleans:
        return self._keys_of(self._said.is_read & (self._said.revision == 0))

    def _deleted(self) -> Booleans:
        return self._keys_of(self._said.deletes & (self._said.revision > 0))

    def _keys_of(self, entries: Booleans) -> Booleans:
        keys = np.zeros(len(self._said.columns.keys), bool)
        keys[self._said.key[entries]] = True
        return keys


def establish(columns: Columns) -> Order:
    """Order a history by its revisions. Raises Conviction, and ValueError for one that cannot be."""
    return Order(say(columns))


def _known(number: int) -> int | None:
    return None if number == NONE else int(number)


def _check_refusals(said: Said) -> None:
    refused = refusals(said)
    wrong = refused[said.columns.expected[said.row[refused]] == said.revision[refused]]
    wrong = wrong[said.revision[wrong] > 0]
    if len(wrong):
        raise said.conviction("refused although the expected revision was current", int(wrong[0]))
