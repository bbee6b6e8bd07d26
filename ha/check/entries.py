"""What each recorded operation says about the store: the checker's view of a history.

An operation becomes an `Entry` only if it says anything:

* a read that was answered saw a revision (0: nothing there);
* an acknowledged write took effect, at the revision in its answer if that told;
* a write of unknown outcome may have taken effect, at any time after its invocation, also long after its
  client gave up;
* a refused operation says something only if the refusal showed the current revision: then it is a read.

All else (reads without an answer, plain refusals) says nothing and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from ha.history import Operation

__all__ = ["Entry", "KeyHistory", "entries", "group"]


@dataclass(slots=True, eq=False)
class Entry:
    """One operation that says something. `end_s` is infinite unless it was answered definitely."""

    operation: Operation
    start_s: float
    end_s: float
    is_read: bool
    revision: int | None
    """A read: the one it saw (None: only a value). A write: the one it made (None: not known, yet or ever)."""
    value: str | None
    """None: not known."""
    floor: int = 0
    """Every position up to this one was taken before the operation began."""
    ceiling: float = math.inf
    """The operation's position lies below this revision."""

    @property
    def key(self) -> str:
        """The object's name."""
        return self.operation.key

    @property
    def must_happen(self) -> bool:
        """It was acknowledged; otherwise it may have happened."""
        return self.end_s < math.inf

    @property
    def deletes(self) -> bool:
        """It leaves nothing behind."""
        return self.operation.type == "delete"

    @property
    def demands(self) -> int | None:
        """The revision that the object had to be at, 0 for an absent one; None: no such demand."""
        if self.is_read:
            return None
        return 0 if self.operation.type == "create" else self.operation.expected


@dataclass(slots=True)
class KeyHistory:
    """The entries of one key, by role. `versions` are the writes whose revision is known, in that order."""

    versions: list[Entry] = field(default_factory=list)
    reads: list[Entry] = field(default_factory=list)
    open: list[Entry] = field(default_factory=list)
    """Writes whose revision is not known."""
    undecided: bool = False
    """Revisions alone do not settle it: left to the search."""
    forked: bool = False
    """Some read may stand in one of several intervals: settled alone, but not beside an undecided key."""
    loose: dict[int, str | None] = field(default_factory=dict)
    """Revisions that were seen and whose writer is open, with the value seen there (None: not known)."""


def entries(operations: Iterable[Operation]) -> list[Entry]:
    """All that is said. Raises ValueError for an operation that was answered before it was asked."""
    made = []
    for operation in operations:
        if operation.completed_s is not None and operation.completed_s < operation.invoked_s:
            raise ValueError(f"answered before it was asked: {operation}")
        entry = _entry(operation)
        if entry is not None:
            made.append(entry)
    return made


def group(made: Iterable[Entry]) -> dict[str, KeyHistory]:
    """Entries by key; versions not sorted yet."""
    keys: dict[str, KeyHistory] = {}
    for entry in made:
        history = keys.get(entry.operation.key)
        if history is None:
            history = keys[entry.operation.key] = KeyHistory()
        if entry.is_read:
            history.reads.append(entry)
        elif entry.revision is None:
            history.open.append(entry)
        else:
            history.versions.append(entry)
    return keys


def _entry(operation: Operation) -> Entry | None:
    is_read = operation.type == "read"
    start_s = operation.invoked_s
    end_s = math.inf if operation.completed_s is None else operation.completed_s
    if operation.outcome == "info":
        return None if is_read else Entry(operation, start_s, math.inf, False, None, operation.value)
    if operation.outcome == "fail":
        return None if operation.revision is None else Entry(operation, start_s, end_s, True, operation.revision, None)
    if is_read and operation.revision is None and operation.value is None:
        return None
    # No store writes at revision 0: such an answer did not tell.
    revision = operation.revision if is_read else operation.revision or None
    return Entry(operation, start_s, end_s, is_read, revision, operation.value)
