"""Loose revisions, explained by distinct writes of unknown outcome.

A loose revision was made by one of several writes. Whichever it was, no other entry can tell: its place in the order is
fixed. So a key is explained as soon as each loose revision has a writer of its own: one that was asked for before
anything at or above that revision was complete, wrote the value seen there, and found what it demanded in the version
before. That is a matching in a graph of two sides (Kuhn, 1955), and all other open writes may never have happened. It
proves that there is an order; where there is none of this kind, writes that nobody saw may still explain the key, and
the search decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ha.check.binding import Binding
from ha.check.chains import Chains
from ha.check.said import Said
from ha.history.columns import NONE, Integers

__all__ = ["explains"]


def explains(said: Said, chains: Chains, binding: Binding, floor: Integers, key: int) -> bool:
    """Whether each loose revision of a key has a writer of its own."""
    low, high = np.searchsorted(chains.key, [key, key + 1])
    rows = low + np.flatnonzero(chains.entry[low:high] == NONE)
    open_ = np.array([write for write in binding.open[key] if not said.deletes[write]], np.int64)
    candidates = []
    for row in rows.tolist():
        revision = int(chains.revision[row])
        there = row > low and not chains.deletes[row - 1]
        before = int(chains.revision[row - 1]) if there else 0
        value = binding.seen(binding.loose[revision])[1]
        fits = (floor[open_] < revision) & ((said.demands[open_] == NONE) | (said.demands[open_] == before))
        if value != NONE:
            fits &= (said.value[open_] == value) | (said.value[open_] == NONE)
        candidates.append(open_[fits].tolist())
    return _match(candidates)


def _match(candidates: Sequence[Sequence[int]]) -> bool:
    """Whether everybody can have a candidate of his own."""
    holder: dict[int, int] = {}
    held: dict[int, int] = {}
    for one in range(len(candidates)):
        asked_by: dict[int, int] = {}
        asking = [one]
        free = None
        while asking and free is None:
            who = asking.pop()
            for candidate in candidates[who]:
                if candidate not in asked_by:
                    asked_by[candidate] = who
                    if candidate not in holder:
                        free = candidate
                        break
                    asking.append(holder[candidate])
        if free is None:
            return False
        while free is not None:  # whoever gives up what is asked for takes what he asked for himself
            who = asked_by[free]
            given_up = held.get(who)
            holder[free], held[who] = who, free
            free = given_up
    return True
