"""What each recorded operation says about the store: the checker's view of a history.

An operation becomes an *entry* only if it says anything:

* a read that was answered saw a revision (0: nothing there);
* an acknowledged write took effect, at the revision in its answer if that told;
* a write of unknown outcome may have taken effect, at any time after its invocation, also long after its client gave
  up;
* a refused operation says something only if the refusal showed the current revision: then it is a read.

All else (reads without an answer, plain refusals) says nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from ha.check.describe import describe
from ha.history import Operation
from ha.history.columns import NONE, OUTCOMES, TYPES, Columns, Floats, Integers

__all__ = ["Booleans", "Conviction", "Said", "say"]

Booleans = NDArray[np.bool_]


class Conviction(Exception):  # noqa: N818  (it ends a proof, it is no error)
    """No order can explain these operations."""

    def __init__(self, reason: str, *guilty: Operation, keys: Sequence[str] = ()) -> None:
        """`keys`: all of their operations together show it, if not those that are named alone."""
        super().__init__(reason)
        self.keys = keys
        self.operations = list(dict.fromkeys(guilty))
        self.explanation = [reason, *map(describe, self.operations)]


@dataclass(slots=True)
class Said:
    """The entries of a history as columns, in its order; numbers of revisions and values may be `NONE`: not known."""

    columns: Columns
    row: Integers
    """Of the operation, in `columns`."""
    start_s: Floats
    end_s: Floats
    """Infinite unless it was answered definitely: then it must have happened."""
    is_read: Booleans
    deletes: Booleans
    """A write that leaves nothing behind."""
    key: Integers
    value: Integers
    revision: Integers
    """A read: the one it saw (none: only a value). A write: the one it made."""
    demands: Integers
    """The revision that a write needs the object to be at, 0 for an absent one; none: no such demand."""

    def __len__(self) -> int:
        return len(self.row)

    def operation(self, entry: int) -> Operation:
        """The operation of an entry."""
        return self.columns.operation(int(self.row[entry]))

    def conviction(self, reason: str, *guilty: int) -> Conviction:
        """What to raise."""
        return Conviction(reason, *(self.operation(entry) for entry in guilty))

    def key_name(self, entry: int) -> str:
        """The object's name."""
        return self.columns.keys[int(self.key[entry])]


def say(columns: Columns) -> Said:
    """All that is said. Raises ValueError for an operation that was answered before it was asked."""
    early = np.flatnonzero(columns.end_s < columns.start_s)
    if len(early):
        raise ValueError(f"answered before it was asked: {columns.operation(int(early[0]))}")
    reads = columns.type == TYPES["read"]
    ok, unknown = columns.outcome == OUTCOMES["ok"], columns.outcome == OUTCOMES["info"]
    told = columns.revision != NONE
    says = np.where(unknown, ~reads, told | (ok & ~(reads & (columns.value == NONE))))
    row = np.flatnonzero(says)
    reads, ok, unknown = reads[row], ok[row], unknown[row]
    is_read = reads | ~(ok | unknown)
    revision = columns.revision[row]
    # No store writes at revision 0: such an answer did not tell. What is unknown did not either.
    revision = np.where(unknown | (~is_read & (revision == 0)), NONE, revision)
    types = columns.type[row]
    demands = np.where(types == TYPES["create"], 0, columns.expected[row])
    return Said(
        columns=columns,
        row=row,
        start_s=columns.start_s[row],
        end_s=np.where(unknown, inf, columns.end_s[row]),
        is_read=is_read,
        deletes=(types == TYPES["delete"]) & ~is_read,
        key=columns.key[row],
        value=np.where(reads | ~is_read, columns.value[row], NONE),
        revision=revision,
        demands=np.where(is_read, NONE, demands),
    )
