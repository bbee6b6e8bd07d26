"""The versions of each key in order of revision, and whether each write found there what it demanded.

A cas needs its expected revision as direct predecessor (of revisions, never of values: values repeat), a create
nothing, a delete something. A loose revision is a version as well: who made it is open, not that it was made. Only an
open write can stand in between, so where one explains what was found the key is left to the search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ha.check.binding import Binding
from ha.check.said import Booleans, Said
from ha.history.columns import NONE, Integers

__all__ = ["NEVER", "Chains"]

NEVER = np.iinfo(np.int64).max
"""Above every revision."""


@dataclass(slots=True)
class Chains:
    """One row per version, by key and revision."""

    key: Integers
    revision: Integers
    entry: Integers
    """The write, or `NONE` where it is loose."""
    deletes: Booleans
    _by_revision: Integers

    @classmethod
    def of(cls, said: Said, binding: Binding) -> Chains:
        """All versions that are known to be."""
        writes = np.flatnonzero(~said.is_read & (said.revision > 0))
        loose = np.fromiter(binding.loose, np.int64, len(binding.loose))
        of_loose = said.key[np.fromiter(binding.loose.values(), np.int64, len(loose))]
        key = np.concatenate([said.key[writes], of_loose])
        revision = np.concatenate([said.revision[writes], loose])
        entry = np.concatenate([writes, np.full(len(loose), NONE)])
        order = np.argsort(revision, kind="stable")
        order = order[np.argsort(key[order], kind="stable")]
        entry, revision = entry[order], revision[order]
        deletes = np.where(entry == NONE, False, said.deletes[entry]) if len(said) else np.zeros(0, bool)
        return cls(key[order], revision, entry, deletes, np.argsort(revision, kind="stable"))

    def at(self, revision: Integers) -> Integers:
        """The rows of revisions, all of which are versions."""
        return self._by_revision[np.searchsorted(self.revision, revision, sorter=self._by_revision)]

    def following(self, rows: Integers) -> Integers:
        """The revision of the next version of the same key, or `NEVER`."""
        after = np.minimum(rows + 1, len(self.key) - 1)
        return np.where((after > rows) & (self.key[after] == self.key[rows]), self.revision[after], NEVER)

    def first(self, keys: int) -> Integers:
        """By key: the revision of its first version, or `NEVER`."""
        found = np.full(keys, NEVER)
        found[self.key[::-1]] = self.revision[::-1]
        return found

    def check(self, said: Said, binding: Binding) -> set[int]:
        """The keys on which something was found that only an open write explains. Raises Conviction."""
        rows = np.flatnonzero(self.entry != NONE)
        version = self.entry[rows]
        before = np.maximum(rows - 1, 0)
        there = (rows > 0) & (self.key[before] == self.key[rows])
        found = np.where(there & ~self.deletes[before], self.revision[before], 0)
        demands = said.demands[version]
        odd = np.where(demands == NONE, said.deletes[version] & (found == 0), demands != found)
        suspects = set()
        for row in rows[odd].tolist():
            self._suspect(said, binding, row, there=bool(row and self.key[row - 1] == self.key[row]))
            suspects.add(int(self.key[row]))
        return suspects

    def _suspect(self, said: Said, binding: Binding, row: int, *, there: bool) -> None:
        """Convict, unless an open write may have stood in between."""
        version, before = int(self.entry[row]), int(self.entry[row - 1]) if there else NONE
        open_ = binding.open.get(int(self.key[row]), [])
        demand = int(said.demands[version])
        found = int(self.revision[row - 1]) if there and not self.deletes[row - 1] else 0
        if demand == NONE:
            reason = "deleted what was not there"
            explicable = any(not said.deletes[write] for write in open_)
        elif demand == 0:
            reason = "created what was there already"
            explicable = any(said.deletes[write] for write in open_)
        else:
            reason = f"lost update: replaced revision {demand} although {found or 'nothing'} was current"
            explicable = False
        if not explicable:
            by = [binding.loose[found]] if there and before == NONE else []
            raise said.conviction(reason, version, *([before] if before != NONE else by))
