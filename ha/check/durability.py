"""Looks whether everything that was acknowledged is still there once the cluster has healed.

Stated apart from linearizability, because it is the question that an operator asks first, and because it
names what is gone. The evidence is the *final reads*: consistent reads of every key, made after the last fault
was undone, one `Operation` of type read per key (revision 0: nothing there).

An acknowledged write is lost when the final read of its key

* finds nothing, and no deletion that may have taken effect explains it;
* finds a revision below the write's own: the store went back;
* finds, at or above its revision, something that no recorded write can have put there;

or when, before the end, a cas replaced it without having seen it (a lost update). What was superseded by a
later revision is not lost. A key that no final read covers is *unverified*: neither lost nor safe.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ha.check.describe import describe
from ha.history import Operation

__all__ = ["LostWrite", "lost_writes", "unverified_keys"]


@dataclass(frozen=True, slots=True)
class LostWrite:
    """An acknowledged write that vanished, and the operation that shows it."""

    write: Operation
    shown_by: Operation
    reason: str

    def __str__(self) -> str:
        return f"{self.reason}: {describe(self.write)}; shown by {describe(self.shown_by)}"


@dataclass(slots=True)
class _Key:
    acknowledged: list[Operation] = field(default_factory=list)
    """Writes (no deletions) that were acknowledged."""
    unknown: list[Operation] = field(default_factory=list)
    deletions: list[Operation] = field(default_factory=list)
    """Deletions that took effect or may have."""


def lost_writes(operations: Sequence[Operation], final_reads: Sequence[Operation]) -> list[LostWrite]:
    """Every acknowledged write that is lost, in the order of invocation. Final reads without an answer say
    nothing; several of one key must agree with the history each.
    """
    keys = _by_key(operations)
    lost = {id(found.write): found for key in keys.values() for found in _lost_updates(key)}
    for final in final_reads:
        if _answered(final) and final.key in keys:
            for found in _missing(keys[final.key], final):
                lost.setdefault(id(found.write), found)
    return sorted(lost.values(), key=lambda found: (found.write.invoked_s, found.write.key))


def unverified_keys(operations: Sequence[Operation], final_reads: Sequence[Operation]) -> list[str]:
    """Keys with an acknowledged write that no final read covers, sorted."""
    covered = {final.key for final in final_reads if _answered(final)}
    return sorted(key for key, record in _by_key(operations).items() if record.acknowledged and key not in covered)


def _answered(final: Operation) -> bool:
    return final.type == "read" and final.outcome == "ok" and final.revision is not None


def _by_key(operations: Sequence[Operation]) -> dict[str, _Key]:
    keys: dict[str, _Key] = defaultdict(_Key)
    for operation in operations:
        if operation.type == "read" or operation.outcome == "fail":
            continue
        record = keys[operation.key]
        if operation.type == "delete":
            record.deletions.append(operation)
        elif operation.outcome == "ok":
            record.acknowledged.append(operation)
        else:
            record.unknown.append(operation)
    return keys


def _missing(key: _Key, final: Operation) -> list[LostWrite]:
    """Acknowledged writes that a final read shows to be gone."""
    if not final.revision:
        return [
            LostWrite(write, final, "acknowledged, then gone")
            for write in key.acknowledged
            if not any(_may_follow(deletion, write) for deletion in key.deletions)
        ]
    seen = final.revision
    lost = [
        LostWrite(write, final, f"the store went back to revision {seen}")
        for write in key.acknowledged
        if write.revision is not None and write.revision > seen
    ]
    if not _legitimate(key, final):
        before = [write for write in key.acknowledged if write.revision is None or write.revision <= seen]
        if before:
            latest = max(before, key=lambda write: (write.revision or 0, write.invoked_s))
            lost.append(LostWrite(latest, final, f"replaced at revision {seen} by what nobody wrote there"))
    return lost


def _may_follow(deletion: Operation, write: Operation) -> bool:
    """Whether a deletion can have removed what a write put there."""
    if deletion.outcome == "ok" and deletion.revision is not None and write.revision is not None:
        return deletion.revision > write.revision
    return deletion.outcome == "info" or deletion.completed_s is None or deletion.completed_s >= write.invoked_s


def _legitimate(key: _Key, final: Operation) -> bool:
    """Whether some write can have put there what a final read found."""
    for write in (*key.acknowledged, *key.unknown):
        same_revision = write.revision in (None, final.revision)
        if same_revision and (final.value is None or write.value in (None, final.value)):
            return True
    return False


def _lost_updates(key: _Key) -> list[LostWrite]:
    """Writes between the revision that a cas demanded and the one that it made."""
    known = sorted((write for write in key.acknowledged if write.revision), key=_revision)
    revisions = [_revision(write) for write in known]
    found = []
    for cas in known:
        if cas.expected:
            low = bisect_left(revisions, cas.expected + 1)
            high = bisect_left(revisions, _revision(cas))
            reason = f"replaced at revision {cas.revision} by a cas that had not seen it"
            found += [LostWrite(write, cas, reason) for write in known[low:high]]
    return found


def _revision(write: Operation) -> int:
    assert write.revision is not None, "only writes with a revision are compared by it"
    return write.revision
