"""Looks whether a component that takes turns (scheduler, controller-managers) took over too early.

The holder of a Lease acts on it, and has its writes fenced by it, until nearly a lease duration after its last renewal;
whoever takes the Lease before that makes two of them act at once. The times written in Leases are those of clocks that
may be wrong, so they are not looked at. What is certain:

* the takeover happened before it was seen;
* the last renewal that was seen has a revision. Whatever was written at a lower one was written before, hence the
  renewal happened after that was asked for.

If less than a lease duration lies between the two, the Lease was taken too early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from ha.check.store_facts import answer_of, is_effective
from ha.check.violation import Violation
from ha.history import Event, LeaseChange, Operation

__all__ = ["violations"]


def violations(events: Sequence[Event], operations: Sequence[Operation], lease_duration_s: float) -> list[Violation]:
    """What must not be."""
    written = sorted(_written(operations))
    revisions = [revision for revision, _ in written]
    latest_s = [0.0, *accumulate((asked_s for _, asked_s in written), max)]
    found = []
    for change in events:
        if isinstance(change, LeaseChange) and change.renewed_revision and change.holder:
            renewed_s = latest_s[bisect_left(revisions, change.renewed_revision)]
            if change.at_s - renewed_s < lease_duration_s:
                after_s = change.at_s - renewed_s
                reason = f"{change.holder} took the Lease {change.name} within {after_s:.3f} s of its last renewal"
                shown = f"renewed (revision {change.renewed_revision}) after {renewed_s:.3f} s, taken (revision "
                shown += f"{change.revision}) before {change.at_s:.3f} s; it lasts {lease_duration_s:g} s"
                found.append(Violation(reason, [shown]))
    return found


def _written(operations: Sequence[Operation]) -> Iterator[tuple[int, float]]:
    """Revisions that were made, with when that was asked for."""
    for operation in operations:
        if operation.outcome != "ok":
            continue
        answer = answer_of(operation)
        if operation.store is not None and answer is not None and is_effective(operation.store.request, answer):
            yield answer.revision, operation.invoked_s
        elif operation.store is None and operation.type in ("write", "cas", "create") and operation.revision:
            yield operation.revision, operation.invoked_s
