"""What was one before the faults must be one again: members, caches."""

from __future__ import annotations

from ha.check import convergence, watch_cache
from ha.history import CacheSample, MemberHash


def hashed(member: str, hash_: int | None, *, at_s: float = 9.0, revision: int = 50, **fields: object) -> MemberHash:
    return MemberHash(at_s=at_s, member=member, revision=revision, hash=hash_, **fields)


def cached(node: str, behind: dict[str, tuple[int, int]] | None = None, error: str | None = None) -> CacheSample:
    return CacheSample(at_s=9.0, node=node, objects=4, behind=behind or {}, error=error)


def test_members_that_hold_the_same_have_converged() -> None:
    samples = [hashed("a", 7, at_s=1.0), hashed("a", 8), hashed("b", 8), hashed("c", 8)]
    assert convergence.violations(samples) == []
    assert convergence.unseen(samples, ["a", "b", "c", "d"]) == ["d"]


def test_a_member_that_holds_something_else_is_convicted() -> None:
    (found,) = convergence.violations([hashed("a", 8), hashed("b", 9), hashed("c", 8)])
    assert found.reason == "members hold 2 different things at revision 50"
    assert "a, c: hash 8, compacted to 0" in found.shown_by
    assert convergence.violations([hashed("a", 8, compact_revision=3), hashed("b", 8, compact_revision=4)]) != []


def test_a_member_that_stays_behind_is_convicted() -> None:
    (found,) = convergence.violations([hashed("a", 8), hashed("b", None, error="future revision")])
    assert found.reason == "b did not get to revision 50: future revision"


def test_what_members_held_at_different_revisions_proves_nothing() -> None:
    """The real etcd tells what it holds at the moment."""
    samples = [hashed("a", 8), hashed("b", 9, revision=51), hashed("c", 8)]
    assert convergence.violations(samples) == []
    assert convergence.incomparable(samples) == [50, 51]
    (found,) = convergence.violations([hashed("a", 8), hashed("b", 7), hashed("c", 9, revision=51)])
    assert found.reason == "members hold 2 different things at revision 50"
    assert convergence.incomparable([hashed("a", 8), hashed("b", 7), hashed("c", None, revision=0)]) == []


def test_a_cache_that_caught_up_is_acquitted() -> None:
    samples = [cached("a", {"k": (3, 4)}), cached("a"), cached("b")]
    assert watch_cache.violations(samples) == []
    assert watch_cache.unanswered(samples, ["a", "b"]) == []


def test_a_cache_that_stays_behind_is_convicted() -> None:
    (found,) = watch_cache.violations([cached("a"), cached("b", {"k": (3, 4), "gone": (2, 0)})])
    assert found.reason == "the cache of the API server on b stays behind on 2 objects"
    assert "k: revision 3 in the cache, 4 in the store" in found.shown_by


def test_a_cache_that_nobody_saw_proves_nothing() -> None:
    samples = [cached("a", error="refused"), cached("b", {"k": (3, 4)}, error="refused later")]
    assert watch_cache.unanswered(samples, ["a", "b", "c"]) == ["a", "c"]
