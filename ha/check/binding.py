"""Who made what was seen.

A *sighting* is an entry that saw a revision: a read, or a write that demanded one. Every revision that was seen was
made by one write of that key and value: an acknowledged one, whose answer names it, or one of unknown outcome. Where
only one of those can have made it, it is *bound* to it; a bound write may have seen a revision itself, hence the loop.
What is left is *loose*: it was certainly made, by one of several.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import inf

import numpy as np

from ha.check.said import Said
from ha.history.columns import NONE, TYPES, Integers

__all__ = ["Binding", "refusals"]


class Binding:
    """From what is said to who wrote what. Sets the revisions of the writes that are bound. Raises Conviction."""

    def __init__(self, said: Said) -> None:
        self._said = said
        self.owners: dict[int, int] = {}
        """The write of a revision, of those that were bound."""
        self.open: dict[int, list[int]] = defaultdict(list)
        """By key: writes whose revision is not known."""
        self.loose: dict[int, int] = {}
        """By revision: an entry that saw it, one that tells the value if there is one."""
        self._acknowledged()
        self._by_value: dict[tuple[int, int], list[int]] = defaultdict(list)
        for entry in np.flatnonzero(~said.is_read & (said.revision == NONE)).tolist():
            self.open[int(said.key[entry])].append(entry)
            if not said.deletes[entry]:
                self._by_value[int(said.key[entry]), int(said.value[entry])].append(entry)
        self._bind()

    def owner(self, revision: int) -> int:
        """The write of a revision, or `NONE`."""
        index = int(np.searchsorted(self._revisions, revision))
        if index < len(self._revisions) and self._revisions[index] == revision:
            return int(self._writes[index])
        return self.owners.get(revision, NONE)

    def seen(self, by: int) -> tuple[int, int]:
        """Revision and value that a sighting shows."""
        said = self._said
        return (int(said.revision[by]), int(said.value[by])) if said.is_read[by] else (int(said.demands[by]), NONE)

    def _acknowledged(self) -> None:
        """Acknowledged revisions are distinct."""
        said = self._said
        writes = np.flatnonzero(~said.is_read & (said.revision > 0))
        self._writes: Integers = writes[np.argsort(said.revision[writes], kind="stable")]
        self._revisions: Integers = said.revision[self._writes]
        twice = np.flatnonzero(self._revisions[1:] == self._revisions[:-1])
        if len(twice):
            first, second = self._writes[twice[0] : twice[0] + 2].tolist()
            raise said.conviction(f"two acknowledged writes have revision {self._revisions[twice[0]]}", first, second)

    def _bind(self) -> None:
        unowned: dict[int, int] = {}
        for by in self._sighted():
            self._unite(unowned, by)
        while True:
            bound = []
            for revision in sorted(unowned):
                writer = self._only_writer(unowned[revision])
                if writer != NONE:
                    del unowned[revision]
                    self._adopt(revision, writer)
                    bound.append(writer)
            if not bound:
                break
            for by in bound:
                if self._said.demands[by] > 0 and self._said.end_s[by] == inf:
                    self._see(unowned, by)
        self.loose = unowned

    def _sighted(self) -> Iterable[int]:
        """The sightings of what no acknowledged write has made; the others fit who made it."""
        said = self._said
        writes = (said.demands > 0) & ((said.revision > 0) | (said.end_s < inf))
        by = np.flatnonzero(np.where(said.is_read, said.revision > 0, writes))
        revision = np.where(said.is_read[by], said.revision[by], said.demands[by])
        if not len(self._writes):
            return by.tolist()
        index = np.minimum(np.searchsorted(self._revisions, revision), len(self._writes) - 1)
        known = self._revisions[index] == revision
        owner = self._writes[index[known]]
        sighted = by[known]
        seen = np.where(said.is_read[sighted], said.value[sighted], NONE)
        written = said.value[owner]
        differs = (seen != NONE) & (written != NONE) & (seen != written)
        wrong = np.flatnonzero((said.key[owner] != said.key[sighted]) | said.deletes[owner] | differs)
        if len(wrong):
            self._match(int(sighted[wrong[0]]), int(owner[wrong[0]]))
        untold = written == NONE
        if untold.any():
            self._agree(sighted[untold & (seen != NONE)])
        return by[~known].tolist()  # type: ignore[no-any-return]

    def _agree(self, reads: Integers) -> None:
        """Reads of one revision saw one value, also where its writer did not tell it."""
        said = self._said
        reads = reads[np.argsort(said.revision[reads], kind="stable")]
        first, second = reads[:-1], reads[1:]
        differ = (said.revision[first] == said.revision[second]) & (said.value[first] != said.value[second])
        for at in np.flatnonzero(differ)[:1].tolist():
            raise self._two_contents(int(first[at]), int(second[at]))

    def _two_contents(self, first: int, second: int) -> Exception:
        revision = self.seen(first)[0]
        return self._said.conviction(f"revision {revision} was seen with two contents", first, second)

    def _see(self, unowned: dict[int, int], by: int) -> None:
        owner = self.owner(self.seen(by)[0])
        if owner == NONE:
            self._unite(unowned, by)
        else:
            self._match(by, owner)

    def _match(self, by: int, owner: int) -> None:
        said = self._said
        revision, value = self.seen(by)
        if said.key[owner] != said.key[by]:
            reason = f"revision {revision} was seen on {said.key_name(by)} but written to {said.key_name(owner)}"
            raise said.conviction(reason, by, owner)
        if said.deletes[owner]:
            raise said.conviction(f"revision {revision} was seen but is that of a deletion", by, owner)
        if NONE not in (value, said.value[owner]) and value != said.value[owner]:
            raise said.conviction(f"the value seen at revision {revision} is not the one written there", by, owner)

    def _unite(self, unowned: dict[int, int], by: int) -> None:
        revision, value = self.seen(by)
        other = unowned.setdefault(revision, by)
        known = self.seen(other)[1]
        if self._said.key[other] != self._said.key[by] or (NONE not in (known, value) and known != value):
            raise self._two_contents(other, by)
        if known == NONE:
            unowned[revision] = by

    def _only_writer(self, by: int) -> int:
        """The only write that can have made what was seen, or `NONE`. Raises Conviction where none can."""
        said, key, value = self._said, int(self._said.key[by]), self.seen(by)[1]
        if value == NONE:
            if any(not said.deletes[write] for write in self.open[key]):
                return NONE
            raise self._phantom(by)
        candidates = self._by_value[key, value]
        vague = self._by_value[key, NONE]
        if not candidates and not vague:
            raise self._phantom(by)
        return candidates[0] if len(candidates) == 1 and not vague else NONE

    def _phantom(self, by: int) -> Exception:
        said = self._said
        revision, value = self.seen(by)
        twins = np.flatnonzero(
            ~said.is_read & (said.revision > 0) & (said.key == said.key[by]) & (said.value == value) & (value != NONE)
        )
        if len(twins):
            twin = int(twins[0])
            shown = said.operation(by).value
            reason = f"{shown!r} was seen at revision {revision} but written at {said.revision[twin]}: applied twice"
            return said.conviction(reason, by, twin)
        reason = f"phantom: no recorded write can have made revision {revision} of {said.key_name(by)}"
        return said.conviction(reason, by)

    def _adopt(self, revision: int, writer: int) -> None:
        said = self._said
        key = int(said.key[writer])
        said.revision[writer] = revision
        self.owners[revision] = writer
        self.open[key].remove(writer)
        self._by_value[key, int(said.value[writer])].remove(writer)


def refusals(said: Said) -> Integers:
    """Entries that were refused, and showed the current revision."""
    return np.flatnonzero(said.is_read & (said.columns.type[said.row] != TYPES["read"]))
