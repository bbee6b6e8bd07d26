"""What a history of a store says: which changes were made at which revision, which may have been, and what was seen.

A store has one history of revisions, and every answer is about one moment of it, whoever gives it and however
late. So an answer breaks up into facts that hold for everybody:

* a *change*: at this revision this key became this (acknowledged, or of unknown outcome and seen later);
* a *possible* change: an unknown outcome, which may have taken effect once, at a revision that did not exist yet
  when it was asked for;
* a *sight*: at this revision this key was this version, or was not there.

No two puts write the same value, so a value names the put that wrote it: that is how a write of unknown outcome is
found out (and one that took effect twice, or was refused and took effect all the same). Keys with a lease may
vanish at any time; when they must is the business of `ha.check.leases`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf

from ha.check.describe import describe
from ha.check.violation import Violation
from ha.history import Operation
from ha.history.store import Delete, Put, Range, StoreAnswer, StoreRequest, Txn, TxnOp, Version

__all__ = ["Change", "Facts", "Floors", "Possible", "Sight", "answer_of", "is_effective", "request_of"]


@dataclass(frozen=True, slots=True)
class Change:
    """What a key became at a revision: a value, or (None) nothing."""

    revision: int
    value: str | None
    lease: int
    by: Operation


@dataclass(frozen=True, slots=True)
class Possible:
    """A change that may have happened, once, at a revision above `after` and not above `until`."""

    value: str | None
    lease: int
    by: Operation
    after: int
    until: float = inf


@dataclass(frozen=True, slots=True)
class Sight:
    """A key as it was at a revision: this version, or (None) not there."""

    at: int
    kv: Version | None
    by: Operation


@dataclass(frozen=True, slots=True)
class _Author:
    put: Put
    by: Operation
    branch: bool | None
    """Of a transaction: the one that the put stands in."""


class Floors:
    """Which revision certainly existed at a time: every answer that was given before proves one."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        told = sorted(
            (o.completed_s, o.store.answer.revision)
            for o in operations
            if o.completed_s is not None and o.store is not None and o.store.answer is not None
        )
        self._times = [at_s for at_s, _ in told]
        self._highest = [0, *accumulate((revision for _, revision in told), max)]

    def at(self, invoked_s: float) -> int:
        """The highest that anybody had been told before."""
        return self._highest[bisect_left(self._times, invoked_s)]


@dataclass(slots=True)
class Facts:
    """All of a history. Changes are in order of revision. `violations` are what the facts alone refute."""

    operations: Sequence[Operation]
    """Those on a store."""
    floors: Floors
    changes: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    possible: dict[str, list[Possible]] = field(default_factory=lambda: defaultdict(list))
    sights: dict[str, list[Sight]] = field(default_factory=lambda: defaultdict(list))
    owners: dict[int, Operation] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    _authors: dict[str, _Author] = field(default_factory=dict)
    _bound: dict[int, tuple[int, bool | None]] = field(default_factory=dict)
    """By identity of an operation of unknown outcome: the revision it made, and the branch that it took."""
    _keys: list[str] = field(default_factory=list)
    """Every key that anybody ever wrote, sorted."""

    @classmethod
    def of(cls, history: Iterable[Operation]) -> Facts:
        """Those of a history. Raises ValueError when two puts write the same value."""
        operations = [operation for operation in history if operation.store is not None]
        facts = cls(operations, Floors(operations))
        for operation in operations:
            facts._enrol(operation)
        facts._keys = sorted({author.put.key for author in facts._authors.values()})
        for operation in operations:
            answer = answer_of(operation)
            if answer is not None:
                facts._take(operation, request_of(operation), answer)
        for key, sights in list(facts.sights.items()):
            for sight in sights:
                if sight.kv is not None:
                    facts._attribute(key, sight, sight.kv)
        for operation in operations:
            if operation.outcome != "fail" and answer_of(operation) is None:
                facts._suppose(operation)
        for changes in facts.changes.values():
            changes.sort(key=lambda change: change.revision)
        return facts

    def keys(self, op: Range | Delete) -> list[str]:
        """Every key that was ever written, in a range."""
        if not op.range_end:
            return [op.key]
        return self._keys[bisect_left(self._keys, op.key) : bisect_left(self._keys, op.range_end)]

    def convict(self, reason: str, *guilty: Operation) -> None:
        """Take note of what must not be."""
        self.violations.append(Violation(reason, list(dict.fromkeys(map(describe, guilty)))))

    def _enrol(self, operation: Operation) -> None:
        for branch, op in _branches(request_of(operation)):
            if isinstance(op, Put):
                if op.value in self._authors:
                    raise ValueError(f"{op.value!r} is written twice: nobody can tell by whom it was")
                self._authors[op.value] = _Author(op, operation, branch)

    # What was answered

    def _take(self, by: Operation, request: StoreRequest, answer: StoreAnswer) -> None:
        match request:
            case Range():
                self._see_range(by, request, answer, request.revision or answer.revision, {})
            case Put() | Delete() | Txn():
                effective = is_effective(request, answer)
                if effective:
                    self._own(answer.revision, by)
                before = answer.revision - 1 if effective else answer.revision
                if isinstance(request, Txn):
                    self._take_branch(by, request, answer, before)
                else:
                    self._take_op(by, request, answer, answer.revision, before, {})

    def _take_branch(self, by: Operation, request: Txn, answer: StoreAnswer, before: int) -> None:
        ops = request.success if answer.succeeded else request.failure
        if len(ops) != len(answer.responses):
            self.convict(f"{len(ops)} operations of a transaction have {len(answer.responses)} answers", by)
            return
        made: dict[str, str | None] = {}
        for op, response in zip(ops, answer.responses, strict=True):
            self._take_op(by, op, response, answer.revision, before, made)

    def _take_op(
        self, by: Operation, op: TxnOp, answer: StoreAnswer, revision: int, before: int, made: dict[str, str | None]
    ) -> None:
        """`made`: what earlier operations of the same transaction made of their keys."""
        match op:
            case Range():
                self._see_range(by, op, answer, op.revision or before, {} if op.revision else made)
            case Put():
                if op.prev_kv:
                    self._see(by, op.key, next(iter(answer.kvs), None), before, made)
                self.changes[op.key].append(Change(revision, op.value, op.lease, by))
                made[op.key] = op.value
            case Delete():
                self._delete(by, op, answer, revision, before, made)

    def _delete(
        self, by: Operation, op: Delete, answer: StoreAnswer, revision: int, before: int, made: dict[str, str | None]
    ) -> None:
        keys = self.keys(op)
        if op.prev_kv or answer.count == 0:
            self._see_range(by, Range(op.key, op.range_end), answer, before, made)
            keys = [kv.key for kv in answer.kvs]
        for key in keys:
            if op.prev_kv or not op.range_end:
                self.changes[key].append(Change(revision, None, 0, by))
            elif answer.count:
                self.possible[key].append(Possible(None, 0, by, before, revision))
            made[key] = None

    def _see_range(self, by: Operation, op: Range, answer: StoreAnswer, at: int, made: dict[str, str | None]) -> None:
        found = {kv.key: kv for kv in answer.kvs}
        keys = self.keys(op)
        if len(found) != answer.count or list(found) != sorted(found) or len(answer.kvs) != len(found):
            self.convict("the keys of an answer are not counted, or not in order", by)
        for key in dict.fromkeys([*keys, *found]):
            self._see(by, key, found.get(key), at, made)

    def _see(self, by: Operation, key: str, kv: Version | None, at: int, made: dict[str, str | None]) -> None:
        if key not in made:
            self.sights[key].append(Sight(at, kv, by))
        elif made[key] != (None if kv is None else kv.value):
            self.convict(f"{key}: a transaction does not see its own change", by)

    # Whose it was

    def _attribute(self, key: str, sight: Sight, kv: Version) -> None:
        author = self._authors.get(kv.value)
        if author is None or author.put.key != key or author.put.lease != kv.lease:
            self.convict(f"{key} shows what nobody wrote there", sight.by, *([] if author is None else [author.by]))
            return
        by, answer = author.by, answer_of(author.by)
        if by.outcome == "fail":
            self.convict(f"{key} shows what was refused", sight.by, by)
        elif answer is not None:
            if answer.revision != kv.mod_revision:
                reason = f"{key} was written at revision {answer.revision} and is seen as of {kv.mod_revision}"
                self.convict(reason, sight.by, by)
            elif author.branch is not None and author.branch != answer.succeeded:
                self.convict(f"{key} shows what the branch not taken would have written", sight.by, by)
        else:
            self._bind(author, kv.mod_revision, sight)

    def _bind(self, author: _Author, revision: int, sight: Sight) -> None:
        """A write of unknown outcome was seen: it took effect, at this revision."""
        known = self._bound.setdefault(id(author.by), (revision, author.branch))
        if known != (revision, author.branch):
            self.convict("a write took effect twice", author.by, sight.by)
            return
        if revision <= self.floors.at(author.by.invoked_s):
            self.convict(f"a write took effect at revision {revision}, before it was asked for", author.by, sight.by)
        self._own(revision, author.by)

    def _own(self, revision: int, by: Operation) -> None:
        other = self.owners.setdefault(revision, by)
        if other is not by:
            self.convict(f"two changes have revision {revision}", other, by)

    # What nobody answered

    def _suppose(self, operation: Operation) -> None:
        """What an operation of unknown outcome changed, or may have changed."""
        bound = self._bound.get(id(operation))
        after = self.floors.at(operation.invoked_s)
        for branch, op in _branches(request_of(operation)):
            if isinstance(op, Range) or (bound is not None and branch != bound[1]):
                continue
            value, lease = (op.value, op.lease) if isinstance(op, Put) else (None, 0)
            for key in [op.key] if isinstance(op, Put) else self.keys(op):
                if bound is None:
                    self.possible[key].append(Possible(value, lease, operation, after))
                elif value is not None:
                    self.changes[key].append(Change(bound[0], value, lease, operation))
                else:  # a deletion, if there was anything
                    self.possible[key].append(Possible(None, 0, operation, bound[0] - 1, bound[0]))


def request_of(operation: Operation) -> StoreRequest:
    """What was asked of the store."""
    assert operation.store is not None, "operations on objects are judged elsewhere"
    return operation.store.request


def answer_of(operation: Operation) -> StoreAnswer | None:
    """What the store answered, if it did."""
    return operation.store.answer if operation.store is not None else None


def is_effective(request: StoreRequest, answer: StoreAnswer) -> bool:
    """Whether an answer tells of a change, hence of a revision of its own."""
    match request:
        case Put():
            return True
        case Delete():
            return answer.count > 0
        case Txn():
            ops = request.success if answer.succeeded else request.failure
            return any(is_effective(op, response) for op, response in zip(ops, answer.responses, strict=False))
        case _:
            return False


def _branches(request: StoreRequest) -> Iterator[tuple[bool | None, TxnOp]]:
    """Every operation that a request may come to, with the branch that it stands in."""
    match request:
        case Range() | Put() | Delete():
            yield None, request
        case Txn():
            yield from ((True, op) for op in request.success)
            yield from ((False, op) for op in request.failure)
