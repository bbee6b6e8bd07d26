"""What was put into the store and is gone in the end."""

from __future__ import annotations

from ha.check.store_durability import lost_writes, unverified_keys
from ha.check.store_facts import Facts
from ha.history import Operation
from ha.history.store import Delete, Put
from tests.unit.check.store_ops import asked, delete, get, kv, put

A5 = put("a", "v", 5, 0, 1)
GONE = get("a", None, 9, 8, 9)


def lost(*operations: Operation, final: Operation = GONE) -> list[tuple[Operation, str]]:
    return [(found.write, found.reason) for found in lost_writes(Facts.of([*operations, final]), [final])]


def test_a_put_that_nobody_deleted_must_be_there_in_the_end() -> None:
    assert lost(A5) == [(A5, "a: acknowledged, then gone")]
    assert lost(A5, final=get("a", kv("a", "v", 5), 9, 8, 9)) == []
    other = put("b", "w", 6, 2, 3)
    assert lost(A5, other, final=get("a", kv("a", "v", 5), 9, 8, 9)) == []


def test_what_is_lost_is_named_with_who_shows_it() -> None:
    (found,) = lost_writes(Facts.of([A5, GONE]), [GONE])
    assert "put a = 'v' -> revision 5" in str(found)
    assert "shown by store client 0 at etcd-1: range a -> revision 9, 0 keys" in str(found)


def test_an_older_version_that_is_back_shows_the_loss_of_what_came_after() -> None:
    newer = put("a", "w", 6, 2, 3)
    assert lost(A5, newer, final=get("a", kv("a", "v", 5), 9, 8, 9)) == [
        (newer, "a: acknowledged, then gone, revision 5 is back")
    ]


def test_a_store_that_went_back_lost_what_came_after() -> None:
    assert lost(A5, final=get("a", None, 4, 8, 9)) == [(A5, "a: the store went back to revision 4")]


def test_what_was_superseded_is_not_lost() -> None:
    newer = put("a", "w", 6, 2, 3)
    assert lost(A5, newer, final=get("a", kv("a", "w", 6, 5, 2), 9, 8, 9)) == []
    assert lost(A5, asked(Put("a", "w"), 2, None), final=get("a", kv("a", "w", 7, 5, 2), 9, 8, 9)) == []


def test_deletions_that_took_effect_or_may_have_explain_what_is_gone() -> None:
    assert lost(A5, delete("a", 6, 2, 3)) == []
    assert lost(A5, asked(Delete("a"), 2, None)) == []
    assert lost(delete("a", 4, 0, 0.5, count=0), A5) == [(A5, "a: acknowledged, then gone")]


def test_what_had_a_lease_or_was_never_acknowledged_may_be_gone() -> None:
    assert lost(put("a", "v", 5, 0, 1, lease=7)) == []
    assert lost(A5, put("a", "w", 6, 2, 3, lease=7)) == []
    assert lost(asked(Put("a", "v"), 0, None)) == []


def test_an_answer_that_may_be_old_proves_nothing() -> None:
    assert lost(A5, final=get("a", None, 4, 8, 9, serializable=True)) == []
    assert lost(A5, final=get("a", None, 9, 8, 9, revision=4)) == []


def unverified(*operations: Operation, final: Operation) -> list[str]:
    return unverified_keys(Facts.of([*operations, final]), [final])


def test_a_key_that_no_consistent_final_read_covers_is_unverified() -> None:
    other = put("b", "w", 6, 2, 3)
    assert unverified(A5, other, final=GONE) == ["b"]
    assert unverified(A5, final=get("a", kv("a", "v", 5), 9, 8, 9, serializable=True)) == ["a"]
    assert unverified_keys(Facts.of([A5]), []) == ["a"]


def test_what_may_be_gone_needs_no_final_read() -> None:
    leased, unknown = put("b", "w", 6, 2, 3, lease=7), asked(Put("c", "x"), 0, None)
    assert unverified(A5, leased, unknown, delete("d", 7, 4, 5), final=GONE) == []
