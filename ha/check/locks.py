"""Looks whether locks exclude: whether two were certain of one lock at once, and whether fencing kept the others out.

A lock is known by how it is taken: a transaction that puts a key with a lease if the key is not there. Its holder is
certain of it from when it was answered so, until the lease may have run out by its own clock (counted from when the
grant or the last answered renewal was *asked for*), or it began to give the lock up. In that time nobody else may be
certain of it.

The token of a holder is the create revision of the lock's key. What is written on condition of a token is written
before anybody takes the lock after it: so tokens only rise, in order of revision.

What nobody was answered makes nobody certain. (Kleppmann, "How to do distributed locking"; etcd's lock recipe in
``client/v3/concurrency``; issues 11456 and 11457 of etcd.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from ha.check import leases
from ha.check.describe import describe
from ha.check.store_facts import Facts, answer_of, request_of
from ha.check.violation import Violation
from ha.history import Operation
from ha.history.store import Compare, Delete, Put, Txn

__all__ = ["concerns", "violations"]


@dataclass(frozen=True, slots=True)
class _Holding:
    """Somebody was certain of a lock in ``(from_s, until_s)``."""

    by: Operation
    from_s: float
    until_s: float

    @property
    def who(self) -> str:
        return f"{self.by.workload} client {self.by.client}"


@dataclass(frozen=True, slots=True)
class _Taking:
    """A lock was taken at revision `token`; known from the taking itself, or from a write on condition of it."""

    token: int
    by: Operation


def concerns(facts: Facts) -> bool:
    """Whether anybody took a lock."""
    return any(_taken(operation) is not None for operation in facts.operations)


def violations(facts: Facts) -> list[Violation]:
    """What must not be."""
    holdings: dict[str, list[_Holding]] = defaultdict(list)
    takings: dict[str, list[_Taking]] = defaultdict(list)
    writes: dict[str, list[tuple[int, _Taking]]] = defaultdict(list)
    lifetimes = leases.lifetimes(facts.operations)
    given_up = _given_up(facts)
    for operation in facts.operations:
        answer = answer_of(operation)
        taken, fenced = _taken(operation), _fenced(operation)
        if answer is None or operation.completed_s is None:
            continue
        if taken is not None:
            takings[taken.key].append(_Taking(answer.revision, operation))
            lease = lifetimes.get(taken.lease)
            if lease is not None:
                until_s = min(lease.alive_until_s, given_up.get((taken.key, answer.revision), lease.alive_until_s))
                holdings[taken.key].append(_Holding(operation, operation.completed_s, until_s))
        elif fenced is not None:
            taking = _Taking(int(fenced.operand), operation)
            takings[fenced.key].append(taking)
            writes[fenced.key].append((answer.revision, taking))
    found = [one for lock in sorted(holdings) for one in _held_by_two(lock, holdings[lock])]
    return found + [one for lock in sorted(writes) for one in _fenced_too_late(lock, writes[lock], takings[lock])]


def _taken(operation: Operation) -> Put | None:
    """The put that took a lock; None: it did not."""
    request, answer = request_of(operation), answer_of(operation)
    match request:
        case Txn(compare=[Compare(target="create", result="equal", operand=0) as absent], success=[Put() as put]):
            return put if put.lease and put.key == absent.key and answer is not None and answer.succeeded else None
    return None


def _fenced(operation: Operation) -> Compare | None:
    """The condition of a fenced write that was done."""
    request, answer = request_of(operation), answer_of(operation)
    match request:
        case Txn(compare=[Compare(target="create", result="equal") as token], success=[Put()]) if token.operand:
            return token if answer is not None and answer.succeeded else None
    return None


def _given_up(facts: Facts) -> dict[tuple[str, int], float]:
    """By lock and token: when its holder asked for the first time to have it deleted."""
    found: dict[tuple[str, int], float] = {}
    for operation in facts.operations:
        match request_of(operation):
            case Txn(compare=[Compare(target="create", result="equal") as token], success=[Delete(key=key)]):
                lock = key, int(token.operand)
                found[lock] = min(operation.invoked_s, found.get(lock, operation.invoked_s))
    return found


def _held_by_two(lock: str, holdings: list[_Holding]) -> Iterator[Violation]:
    """Each holder against whoever was certain for the longest before it."""
    longest: _Holding | None = None
    for holding in sorted(holdings, key=attrgetter("from_s")):
        if longest is not None and holding.from_s < min(longest.until_s, holding.until_s):
            until_s = min(longest.until_s, holding.until_s)
            shown = f"{longest.who} and {holding.who} were certain of it from {holding.from_s:.3f} s to {until_s:.3f} s"
            yield Violation(f"{lock} was held by two", [shown, describe(longest.by), describe(holding.by)])
        if longest is None or holding.until_s > longest.until_s:
            longest = holding


def _fenced_too_late(lock: str, writes: list[tuple[int, _Taking]], takings: list[_Taking]) -> Iterator[Violation]:
    for revision, mine in writes:
        later = next((one for one in takings if mine.token < one.token < revision), None)
        if later is not None:
            reason = (
                f"{lock}: a write with token {mine.token} was let through after it was taken with token {later.token}"
            )
            yield Violation(reason, [describe(mine.by), describe(later.by)])
