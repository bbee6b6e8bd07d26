"""Holds every answer of a store against the model that etcd promises: keys with versions, one history of revisions.

The facts (`ha.check.store_facts`) are put in order of revision and replayed, key by key:

* what was changed is seen by everybody who looks at that revision or a later one, until it is changed again:
  so no acknowledged write is lost, and no answer is stale;
* what is seen was written by somebody, at the revision that it names, once;
* version and create revision count the puts since the key was made; keys vanish only where somebody may have
  deleted them, or a lease may have ended;
* a transaction takes the branch that its conditions ask for, as the keys were before it;
* real time: an answer that need not be linearizable apart, nobody is told of a revision below one that somebody
  had been told before; and a change gets a revision that nobody had;
* a compacted revision can be read, one below it cannot, and neither can be compacted again.

Sound for correct stores, whatever is unknown: an operation without an answer may have taken effect once, at any
revision that did not exist when it was asked for, or never. Serializable answers may be old, never wrong. It is
assumed that nobody else writes these keys and that they do not exist in the beginning; others may write other keys.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from math import inf

from ha.check.store_facts import Change, Facts, Possible, Sight, answer_of, is_effective, request_of
from ha.check.violation import Violation
from ha.history import Operation
from ha.history.store import Compact, Compare, Delete, Put, Range, Txn, Version

__all__ = ["violations"]


def violations(facts: Facts, *, sole: bool) -> list[Violation]:
    """What no store may answer, with the operations that show it; empty: the model explains it all.

    `sole`: nobody else compacts this store.
    """
    facts, asked = replace(facts, violations=facts.violations.copy()), facts.operations
    _real_time(facts, asked)
    _compactions(facts, asked, sole=sole)
    keys = cache(partial(_Key, facts))
    for key in sorted({*facts.sights, *facts.changes}):
        keys(key).replay()
    for operation in asked:
        request = request_of(operation)
        if isinstance(request, Txn):
            _branch(facts, operation, request, keys)
    return facts.violations


def _real_time(facts: Facts, asked: Sequence[Operation]) -> None:
    for operation in asked:
        request, answer = request_of(operation), answer_of(operation)
        if answer is None or not isinstance(request, Range | Put | Delete | Txn):
            continue
        floor = facts.floors.at(operation.invoked_s)
        if isinstance(request, Range) and request.revision > answer.revision:
            facts.convict("a revision was read that does not exist yet", operation)
        if isinstance(request, Range) and request.serializable:
            continue
        if answer.revision < floor:
            facts.convict(f"the store went back: somebody had been told of revision {floor} before", operation)
        elif answer.revision == floor and is_effective(request, answer):
            facts.convict(f"a change got revision {floor}, of which somebody had been told before", operation)


# ---- compaction


def _compactions(facts: Facts, asked: Sequence[Operation], *, sole: bool) -> None:
    compactions = [o for o in asked if isinstance(request_of(o), Compact) and o.outcome != "fail"]
    done: dict[int, Operation] = {}
    for operation in compactions:
        if operation.outcome == "ok":
            first = done.setdefault(_compacted(operation), operation)
            if first is not operation:
                facts.convict("the same revision was compacted twice", first, operation)
    for operation in asked:
        request = request_of(operation)
        if isinstance(request, Range | Compact) and request.revision:
            _refused(facts, operation, request, compactions, sole=sole)
            if operation.outcome == "ok" and not (isinstance(request, Range) and request.serializable):
                _served(facts, operation, request, list(done.values()))


def _compacted(operation: Operation) -> int:
    request = request_of(operation)
    assert isinstance(request, Compact), "a compaction"
    return request.revision


def _refused(
    facts: Facts, operation: Operation, request: Range | Compact, compactions: Sequence[Operation], *, sole: bool
) -> None:
    """A refusal needs a compaction that may have been done by then, or a revision that may not have been there."""
    refusal = operation.store and operation.store.refusal
    least = request.revision + (1 if isinstance(request, Range) else 0)
    if refusal == "compacted" and sole:
        ended_s = inf if operation.completed_s is None else operation.completed_s
        if not any(
            _compacted(other) >= least and other.invoked_s <= ended_s and other is not operation
            for other in compactions
        ):
            facts.convict(f"revision {request.revision} was refused as compacted, and nobody compacted it", operation)
    elif refusal == "future" and not (isinstance(request, Range) and request.serializable):
        floor = facts.floors.at(operation.invoked_s)
        if floor >= request.revision:
            facts.convict(f"revision {request.revision} was refused as future, and {floor} existed", operation)


def _served(facts: Facts, operation: Operation, request: Range | Compact, compactions: Sequence[Operation]) -> None:
    least = request.revision + (1 if isinstance(request, Range) else 0)
    for other in compactions:
        if _compacted(other) >= least and other.completed_s is not None and other.completed_s < operation.invoked_s:
            facts.convict(f"revision {request.revision} was served although it had been compacted", operation, other)
            return


# ---- keys


@dataclass(frozen=True, slots=True)
class _Known:
    """What a key was; `mod` 0: it was not there. None: not known."""

    mod: int
    value: str
    create: int | None
    version: int | None


class _Key:
    """One key's changes, possible changes and sights, to be replayed; and what it was before a transaction."""

    def __init__(self, facts: Facts, key: str) -> None:
        self._facts = facts
        self._key = key
        self._changes = facts.changes.get(key, [])
        self._revisions = [change.revision for change in self._changes]
        self._possible = facts.possible.get(key, [])
        self._sights = facts.sights.get(key, [])
        self._latest: dict[int, Sight] = {}
        """By the revision of a version: the sight of it at the highest revision."""
        for sight in self._sights:
            if sight.kv is not None:
                known = self._latest.setdefault(sight.kv.mod_revision, sight)
                self._latest[sight.kv.mod_revision] = max(known, sight, key=lambda one: one.at)

    def replay(self) -> None:
        """Hold every sight against the changes."""
        contents: dict[int, tuple[Version, Operation]] = {}
        for sight in self._sights:
            if sight.kv is None:
                self._absent(sight)
                continue
            first, by = contents.setdefault(sight.kv.mod_revision, (sight.kv, sight.by))
            if first != sight.kv:
                self._convict(f"one version (revision {first.mod_revision}) was seen with two contents", by, sight.by)
            self._current(sight, sight.kv)
            if first is sight.kv:
                self._counted(sight, sight.kv)

    def before(self, at: int) -> _Known | None:
        """What the key certainly was at a revision; None: that is not known."""
        change = self._last(at)
        made = change.revision if change else 0
        if change is None or change.value is None:
            return None if any(p.value is not None for p in self._possibly(made, at)) else _Known(0, "", 0, 0)
        seen = self._latest.get(made)
        if (seen is None or seen.at < at) and (change.lease or any(self._possibly(made, at))):
            return None
        if seen is None or seen.kv is None:
            return _Known(made, change.value, None, None)
        return _Known(made, seen.kv.value, seen.kv.create_revision, seen.kv.version)

    def _absent(self, sight: Sight) -> None:
        change = self._last(sight.at)
        if change is not None and change.value is not None and not self._may_vanish(change, sight.at):
            self._convict(f"an acknowledged write is not there at revision {sight.at}", sight.by, change.by)

    def _current(self, sight: Sight, kv: Version) -> None:
        if kv.mod_revision > sight.at:
            self._convict(f"revision {sight.at} shows a later one", sight.by)
        change = self._last(sight.at)
        if change is not None and change.revision > kv.mod_revision:
            what = "an acknowledged write is not seen" if change.value is not None else "a deletion is not seen"
            self._convict(f"{what} at revision {sight.at}", sight.by, change.by)

    def _counted(self, sight: Sight, kv: Version) -> None:
        """Version and create revision against the changes in between."""
        if not 1 <= kv.version <= kv.mod_revision - kv.create_revision + 1 or (
            (kv.version == 1) != (kv.create_revision == kv.mod_revision)
        ):
            self._convict("version, create and mod revision contradict each other", sight.by)
            return
        low = bisect_right(self._revisions, kv.create_revision - 1)
        since = self._changes[low : bisect_right(self._revisions, kv.mod_revision)]
        for change in since:
            if change.value is None:
                self._convict(f"it was deleted at revision {change.revision} and lived on", sight.by, change.by)
                return
        unknown = {id(p.by) for p in self._possibly(kv.create_revision - 1, kv.mod_revision) if p.value is not None}
        if not len(since) <= kv.version <= len(since) + len(unknown):
            self._convict(f"version {kv.version} after {len(since)} puts", sight.by, *(c.by for c in since[-3:]))
        elif kv.version == len(since) and since[0].revision != kv.create_revision:
            self._convict("nobody made it at its create revision", sight.by, since[0].by)
        earlier = self._changes[low - 1] if low else None
        if earlier is not None and earlier.value is not None and not self._may_vanish(earlier, kv.create_revision - 1):
            self._convict("it was made anew although nobody had deleted it", sight.by, earlier.by)

    def _last(self, at: int) -> Change | None:
        index = bisect_right(self._revisions, at)
        return self._changes[index - 1] if index else None

    def _possibly(self, above: int, until: int) -> Iterator[Possible]:
        """What may have changed it in ``(above, until]``."""
        return (p for p in self._possible if p.after < until and p.until > above)

    def _may_vanish(self, change: Change, until: int) -> bool:
        """Whether it may be gone at a revision although this put is the last change known."""
        possibly = self._possibly(change.revision, until)
        return bool(change.lease) or any(p.value is None or p.lease for p in possibly)

    def _convict(self, reason: str, *guilty: Operation) -> None:
        self._facts.convict(f"{self._key}: {reason}", *guilty)


# ---- transactions


def _branch(facts: Facts, operation: Operation, request: Txn, keys: Callable[[str], _Key]) -> None:
    answer = answer_of(operation)
    if answer is None:
        return
    before = answer.revision - 1 if is_effective(request, answer) else answer.revision
    found = [_holds(compare, keys(compare.key).before(before)) for compare in request.compare]
    if answer.succeeded and False in found:
        facts.convict("a transaction went ahead although a condition does not hold", operation)
    elif not answer.succeeded and all(found):
        facts.convict("a transaction took the other branch although every condition holds", operation)


def _holds(compare: Compare, known: _Known | None) -> bool | None:
    """None: that cannot be told."""
    if known is None:
        return None
    if compare.target == "value" and not known.mod:
        return False
    figures = {"mod": known.mod, "create": known.create, "version": known.version, "value": known.value}
    found = figures[compare.target]
    return None if found is None else _compare(compare.result, found, compare.operand)


def _compare(result: str, found: int | str, operand: int | str) -> bool:
    if result in ("equal", "not_equal"):
        return (found == operand) == (result == "equal")
    less = str(found) < str(operand) if isinstance(found, str) else found < int(operand)
    return less if result == "less" else not less and found != operand
