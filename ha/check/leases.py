"""Holds what became of leases and their keys against what was promised.

A lease lives at least as long as it was granted or renewed for, counted from when that was asked for: so for all
that time its keys are there, and nobody is told that it does not exist. A change of leaders makes it live longer,
never shorter. It does not live for ever: when nobody can have renewed it, and the store had the time to notice in
peace, its keys are gone. One that was revoked is gone at once, and for good.

Sound for correct stores: *surely alive* counts acknowledged grants and renewals only, *surely over* counts from the
last thing that may have prolonged it (an answer, a fault that ended, a leader that changed) and is generous.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

from ha.check.describe import describe
from ha.check.store_facts import Change, Facts, Sight, answer_of, request_of
from ha.check.violation import Violation
from ha.history import Event, MemberSample, Operation
from ha.history.result import FaultRecord
from ha.history.store import LeaseGrant, LeaseKeepAlive, LeaseRevoke, Put, Range

__all__ = ["PATIENCE_S", "Lease", "concerns", "lifetimes", "violations"]

PATIENCE_S = 10.0
"""How long a store at peace may take to notice that a lease ran out, and to serve what was asked before."""


@dataclass
class Lease:
    """What was asked and answered about one lease."""

    grant: Operation
    ttl_s: int
    renewals: list[Operation] = field(default_factory=list)
    """All but those that certainly were in vain."""
    revocations: list[Operation] = field(default_factory=list)
    """All that may have been done."""
    refusals: list[Operation] = field(default_factory=list)
    """Answers that there is no such lease."""

    @cached_property
    def alive_until_s(self) -> float:
        """It is surely alive from when its grant was answered until then."""
        answered = [self.grant, *(one for one in self.renewals if answer_of(one) is not None)]
        runs_out_s = max(one.invoked_s + _ttl_s(one) for one in answered)
        return min([runs_out_s, *(one.invoked_s for one in self.revocations)])

    @cached_property
    def touched_s(self) -> float:
        """When anything may have prolonged it for the last time."""
        return max(inf if one.completed_s is None else one.completed_s for one in [self.grant, *self.renewals])

    @cached_property
    def revoked(self) -> Operation | None:
        """What certainly ended it."""
        return next((one for one in self.revocations if answer_of(one) is not None), None)


def concerns(facts: Facts) -> bool:
    """Whether anybody was granted a lease."""
    return any(isinstance(request_of(o), LeaseGrant) and o.outcome == "ok" for o in facts.operations)


def violations(facts: Facts, events: Sequence[Event], faults: Sequence[FaultRecord]) -> list[Violation]:
    """What must not be."""
    leases = lifetimes(facts.operations)
    found = [violation for lease in leases.values() for violation in _told(lease)]
    disturbed = sorted(
        [fault.injected_s if fault.undone_s is None else fault.undone_s for fault in faults]
        + [event.at_s for event in events if isinstance(event, MemberSample)]
    )
    for key, sights in sorted(facts.sights.items()):
        for sight in sights:
            if sight.kv is not None:
                found += _lives_on(leases.get(sight.kv.lease), key, sight, disturbed)
            else:
                found += _gone_early(leases, facts, key, sight)
    return found


def lifetimes(asked: Sequence[Operation]) -> dict[int, Lease]:
    """Every lease that was granted, with all that may have prolonged or ended it."""
    leases = {}
    for operation in asked:
        request, answer = request_of(operation), answer_of(operation)
        if isinstance(request, LeaseGrant) and answer is not None:
            leases[request.lease] = Lease(operation, answer.ttl_s)
    for operation in asked:
        request = request_of(operation)
        lease = leases.get(request.lease) if isinstance(request, LeaseKeepAlive | LeaseRevoke | Put) else None
        if lease is None:
            continue
        if operation.store is not None and operation.store.refusal == "lease-not-found":
            lease.refusals.append(operation)
        elif operation.outcome != "fail" and isinstance(request, LeaseKeepAlive):
            lease.renewals.append(operation)
        elif operation.outcome != "fail" and isinstance(request, LeaseRevoke):
            lease.revocations.append(operation)
    return leases


def _ttl_s(operation: Operation) -> int:
    answer = answer_of(operation)
    return answer.ttl_s if answer is not None else 0


def _told(lease: Lease) -> Iterator[Violation]:
    """What was answered about the lease itself."""
    request = request_of(lease.grant)
    if isinstance(request, LeaseGrant) and lease.ttl_s < request.ttl_s:
        yield _violation("a lease was granted for less than was asked for", lease.grant)
    until_s = lease.alive_until_s
    for refusal in lease.refusals:
        if refusal.completed_s is not None and refusal.completed_s < until_s and _after(refusal, lease.grant):
            yield _violation(f"a lease that lasts until {until_s:.3f} s was said not to exist", refusal, *_proof(lease))
    revoked = lease.revoked
    for renewal in lease.renewals:
        if revoked is not None and answer_of(renewal) is not None and _after(renewal, revoked):
            yield _violation("a lease was renewed after it had been revoked", renewal, revoked)


def _lives_on(lease: Lease | None, key: str, sight: Sight, disturbed: Sequence[float]) -> Iterator[Violation]:
    """A key of a lease that must be over."""
    if lease is None or not _is_current(sight):
        return
    revoked = lease.revoked
    if revoked is not None and _after(sight.by, revoked):
        yield _violation(f"{key} is there although its lease was revoked", sight.by, revoked)
        return
    index = bisect_right(disturbed, sight.by.invoked_s)
    peace_s = max(disturbed[index - 1] if index else 0.0, lease.touched_s)
    if index < len(disturbed) and sight.by.completed_s is not None and disturbed[index] <= sight.by.completed_s:
        return
    over_s = peace_s + lease.ttl_s + PATIENCE_S
    if sight.by.invoked_s > over_s:
        yield _violation(f"{key} is there although its lease ran out by {over_s:.3f} s", sight.by, *_proof(lease))


def _gone_early(leases: dict[int, Lease], facts: Facts, key: str, sight: Sight) -> Iterator[Violation]:
    """A key that only the end of its lease can have taken away, and not yet."""
    changes = facts.changes.get(key, [])
    index = bisect_right(changes, sight.at, key=_revision)
    change = changes[index - 1] if index else None
    lease = leases.get(change.lease) if change is not None and change.value is not None else None
    if lease is None or change is None or sight.by.completed_s is None:
        return
    others = [p for p in facts.possible.get(key, []) if p.after < sight.at and p.until > change.revision]
    if any(p.value is None or p.lease for p in others):
        return
    if sight.by.completed_s < lease.alive_until_s:
        reason = f"{key} is gone although its lease lasts until {lease.alive_until_s:.3f} s"
        yield _violation(reason, sight.by, change.by, *_proof(lease))


def _is_current(sight: Sight) -> bool:
    """Whether it shows how things are, and not how they once were."""
    request = request_of(sight.by)
    return not (isinstance(request, Range) and (request.serializable or request.revision))


def _after(later: Operation, earlier: Operation) -> bool:
    return earlier.completed_s is not None and earlier.completed_s < later.invoked_s


def _proof(lease: Lease) -> list[Operation]:
    """The grant, and the last renewal that was answered."""
    return [lease.grant, *[one for one in lease.renewals if answer_of(one) is not None][-1:]]


def _revision(change: Change) -> int:
    return change.revision


def _violation(reason: str, *guilty: Operation) -> Violation:
    return Violation(reason, list(map(describe, guilty)))
