"""Durability of what clients put into the store itself: the question of `ha.check.durability`, asked of etcd's answers.

An acknowledged put is lost when a final read, which is linearizable and of everything, is told of a revision below the
put's own, or shows its key as it was before that revision, or not at all, and nobody may have deleted it since. Keys
with a lease may end by themselves; what became of those is the business of `ha.check.leases`. A key that no such read
covers is *unverified*: neither lost nor safe.

`ha.check.store_model` convicts of the same, and of much else: it names whatever answers contradict each other. This
names what is gone, once, which is what an operator asks first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ha.check.durability import LostWrite
from ha.check.store_facts import Change, Facts, Sight, request_of
from ha.history import Operation
from ha.history.store import Range

__all__ = ["lost_writes", "unverified_keys"]


def lost_writes(facts: Facts, final_reads: Sequence[Operation]) -> list[LostWrite]:
    """Every acknowledged put that is lost, each once, in the order of invocation. `final_reads`: those of the store
    that were answered say something; they must be among the operations of the facts.
    """
    final = _consistent(final_reads)
    lost: dict[int, LostWrite] = {}
    for key, sights in sorted(facts.sights.items()):
        for sight in sights:
            if id(sight.by) in final:
                for found in _missing(facts, key, sight):
                    lost.setdefault(id(found.write), found)
    return sorted(lost.values(), key=lambda found: (found.write.invoked_s, found.write.key))


def unverified_keys(facts: Facts, final_reads: Sequence[Operation]) -> list[str]:
    """Keys with an acknowledged put that must still be there, and that no final read covers, sorted."""
    final = _consistent(final_reads)
    covered = {key for key, sights in facts.sights.items() if any(id(sight.by) in final for sight in sights)}
    return sorted(key for key in facts.changes.keys() - covered if any(map(_must_stay, facts.changes[key])))


def _consistent(final_reads: Sequence[Operation]) -> set[int]:
    """The identities of those that tell what is there."""
    return {id(read) for read in final_reads if _is_consistent(read)}


def _must_stay(change: Change) -> bool:
    """Whether it is an acknowledged put of what does not end by itself."""
    return change.value is not None and not change.lease and change.by.outcome == "ok"


def _is_consistent(read: Operation) -> bool:
    request = request_of(read) if read.store is not None else None
    return isinstance(request, Range) and not request.serializable and not request.revision


def _missing(facts: Facts, key: str, sight: Sight) -> Iterator[LostWrite]:
    """Acknowledged puts of a key that a final sight of it shows to be gone."""
    seen = 0 if sight.kv is None else sight.kv.mod_revision
    for change in facts.changes.get(key, []):
        if not _must_stay(change):
            continue
        if change.revision > sight.at:
            yield LostWrite(change.by, sight.by, f"{key}: the store went back to revision {sight.at}")
        elif change.revision > seen and not _may_be_deleted(facts, key, change, sight.at):
            left = f", revision {seen} is back" if seen else ""
            yield LostWrite(change.by, sight.by, f"{key}: acknowledged, then gone{left}")


def _may_be_deleted(facts: Facts, key: str, change: Change, until: int) -> bool:
    """Whether somebody may have deleted the key after this change, or put a value with a lease there, which ended."""
    since = [other for other in facts.changes[key] if change.revision < other.revision <= until]
    maybe = [other for other in facts.possible.get(key, []) if other.after < until and other.until > change.revision]
    return any(o.value is None or o.lease for o in since) or any(o.value is None or o.lease for o in maybe)
