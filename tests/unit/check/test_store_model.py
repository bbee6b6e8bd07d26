"""Each rule of the store's model convicts what breaks it, and lets stand what an unknown outcome may explain."""

from __future__ import annotations

import pytest

from ha.check.store_facts import Facts
from ha.check.store_model import violations
from ha.history import Operation
from ha.history.store import Compact, Compare, Delete, Put, Range, StoreAnswer, Txn
from tests.unit.check.store_ops import asked, compact, delete, get, kv, put


def convicted(*operations: Operation, of: str, sole: bool = True) -> None:
    found = list(map(str, violations(Facts.of(operations), sole=sole)))
    assert any(of in sentence for sentence in found), found


def acquitted(*operations: Operation, sole: bool = True) -> None:
    assert violations(Facts.of(operations), sole=sole) == []


A5 = put("a", "v", 5, 0, 1)
SEEN = kv("a", "v", 5)
LATE = asked(Put("a", "w"), 2, None)
"""A put that nobody answered."""


def test_what_a_correct_store_answers_is_acquitted() -> None:
    acquitted(
        A5,
        put("a", "w", 6, 1.1, 2),
        get("a", kv("a", "w", 6, 5, 2), 6, 2.1, 3),
        get("a", SEEN, 6, 2.1, 3, revision=5),
        get("a", SEEN, 5, 3.1, 4, serializable=True),
        delete("a", 8, 4, 5),
        get("a", None, 8, 5.1, 6),
        delete("a", 8, 6.1, 7, count=0),
        put("a", "x", 9, 7.1, 8),
        get("a", kv("a", "x", 9), 9, 8.1, 9),
    )


@pytest.mark.parametrize(
    ("read", "of"),
    [
        (get("a", None, 6, 2, 3), "an acknowledged write is not there at revision 6"),
        (get("a", SEEN, 4, 2, 3), "the store went back"),
        (get("a", kv("a", "zzz", 5), 5, 2, 3), "shows what nobody wrote there"),
        (get("b", kv("b", "v", 5), 5, 2, 3), "shows what nobody wrote there"),
        (get("a", kv("a", "v", 5, lease=7), 5, 2, 3), "shows what nobody wrote there"),
        (get("a", kv("a", "v", 6), 6, 2, 3), "was written at revision 5 and is seen as of 6"),
        (get("a", kv("a", "v", 5, create=4, version=2), 5, 2, 3), "version 2 after 1 puts"),
        (get("a", kv("a", "v", 5, create=4), 5, 2, 3), "contradict each other"),
        (get("a", kv("a", "v", 5, version=0), 5, 2, 3), "contradict each other"),
        (get("a", SEEN, 6, 2, 3, revision=7), "does not exist yet"),
        (get("a", SEEN, 6, 2, 3, revision=4), "shows a later one"),
        (asked(Range("a"), 2, 3, StoreAnswer(5, kvs=[SEEN], count=2)), "not counted"),
    ],
)
def test_a_read_that_the_model_does_not_explain_is_convicted(read: Operation, of: str) -> None:
    convicted(A5, read, of=of)


def test_a_serializable_read_may_be_old_and_not_wrong() -> None:
    old = get("a", None, 4, 3, 4, serializable=True)
    acquitted(A5, put("a", "w", 6, 1.1, 2), old)
    torn = get("a", SEEN, 6, 3, 4, serializable=True)
    convicted(A5, put("a", "w", 6, 1.1, 2), torn, of="an acknowledged write is not seen at revision 6")


def test_a_write_that_was_lost_is_convicted_by_whoever_looks_later() -> None:
    """Although the read came first in the file, and the write was acknowledged after it: state is by revision."""
    convicted(get("a", None, 7, 0, 1), put("a", "v", 6, 0, 2), of="an acknowledged write is not there")


def test_a_change_needs_a_revision_of_its_own() -> None:
    convicted(A5, put("b", "w", 5, 0, 1), of="two changes have revision 5")
    convicted(A5, put("b", "w", 5, 2, 3), of="a change got revision 5, of which somebody had been told")
    convicted(A5, delete("b", 4, 2, 3, count=0), of="the store went back")
    acquitted(A5, delete("b", 5, 2, 3, count=0))


def test_a_deletion_is_seen_and_so_is_what_it_said() -> None:
    gone = delete("a", 6, 2, 3)
    convicted(A5, gone, get("a", SEEN, 7, 4, 5), of="a deletion is not seen")
    convicted(A5, delete("a", 6, 2, 3, count=0), of="an acknowledged write is not there at revision 6")
    alive = get("a", kv("a", "w", 7, 5, 2), 7, 4, 5)
    convicted(A5, gone, put("a", "w", 7, 3, 4), alive, of="deleted at revision 6 and lived on")


def test_what_was_replaced_is_told_as_it_was() -> None:
    def over(*before: object) -> Operation:
        return asked(Put("a", "w", prev_kv=True), 2, 3, StoreAnswer(6, kvs=list(before)))

    acquitted(A5, over(SEEN))
    convicted(A5, over(), of="an acknowledged write is not there at revision 5")
    convicted(A5, over(kv("a", "v", 5, 3, 3)), of="version 3 after 1 puts")


def test_a_key_that_nobody_deleted_is_not_made_anew() -> None:
    convicted(A5, put("a", "w", 6, 1, 2), get("a", kv("a", "w", 6), 6, 3, 4), of="although nobody had deleted it")


def test_two_contents_of_one_version_are_convicted() -> None:
    both = get("a", kv("a", "v", 5, 4, 2), 5, 3, 4)
    convicted(A5, asked(Put("a", "u"), 0, None), get("a", SEEN, 5, 2, 3), both, of="seen with two contents")


# ---- unknown outcomes


def test_a_put_of_unknown_outcome_may_happen_or_not_now_or_late() -> None:
    acquitted(A5, LATE, get("a", SEEN, 9, 8, 9))
    acquitted(A5, LATE, get("a", SEEN, 9, 8, 9), get("a", kv("a", "w", 10, 5, 2), 10, 10, 11))
    acquitted(A5, LATE, get("a", kv("a", "w", 7, 5, 2), 9, 8, 9))


def test_a_put_of_unknown_outcome_happens_once() -> None:
    first, second = get("a", kv("a", "w", 7, 5, 2), 7, 8, 9), get("a", kv("a", "w", 8, 5, 3), 8, 10, 11)
    convicted(A5, LATE, first, second, of="took effect twice")
    convicted(A5, LATE, get("a", kv("a", "w", 8, 5, 3), 8, 8, 9), of="version 3 after 2 puts")


def test_a_put_of_unknown_outcome_that_was_seen_stays() -> None:
    seen = get("a", kv("a", "w", 7, 5, 2), 7, 8, 9)
    convicted(A5, LATE, seen, get("a", SEEN, 9, 10, 11), of="an acknowledged write is not seen at revision 9")


def test_a_put_of_unknown_outcome_happens_after_it_was_asked_for() -> None:
    """Revision 8 was told to somebody before the put was asked for."""
    told = put("b", "x", 8, 0, 1)
    convicted(A5, told, LATE, get("a", kv("a", "w", 7, 5, 2), 9, 8, 9), of="before it was asked for")


def test_a_put_that_was_refused_has_no_effect() -> None:
    refused = asked(Put("a", "w"), 2, 3, refusal="other")
    convicted(A5, refused, get("a", kv("a", "w", 6, 5, 2), 6, 4, 5), of="shows what was refused")


def test_a_deletion_of_unknown_outcome_explains_that_a_key_is_gone() -> None:
    acquitted(A5, asked(Delete("a"), 2, None), get("a", None, 9, 3, 4))
    acquitted(A5, asked(Delete("a"), 2, None), put("a", "w", 7, 3, 4), get("a", kv("a", "w", 7), 7, 5, 6))


def test_a_deletion_is_not_older_than_its_request() -> None:
    """At revision 6, of which somebody had been told, it cannot have happened."""
    late = asked(Delete("a"), 2, None)
    convicted(A5, put("b", "x", 6, 0, 1), late, get("a", None, 6, 3, 4), of="is not there at revision 6")


def test_a_key_with_a_lease_may_vanish() -> None:
    acquitted(put("a", "v", 5, 0, 1, lease=7), get("a", None, 6, 2, 3))


# ---- transactions


def txn(then: bool, revision: int, *compare: Compare, start_s: float = 2) -> Operation:  # noqa: FBT001
    request = Txn(list(compare), [Put("a", f"t{revision}")], [Range("b")])
    answer = StoreAnswer(revision, succeeded=then, responses=[StoreAnswer()])
    return asked(request, start_s, start_s + 0.5, answer)


TRUE = [
    Compare("a", "mod", "equal", 5),
    Compare("a", "mod", "less", 6),
    Compare("a", "value", "equal", "v"),
    Compare("a", "value", "not_equal", "w"),
    Compare("b", "version", "equal", 0),
]
FALSE = [Compare("a", "mod", "greater", 5), Compare("a", "value", "equal", "w"), Compare("b", "value", "not_equal", "")]


@pytest.mark.parametrize("compare", TRUE)
def test_a_condition_that_holds_takes_the_first_branch(compare: Compare) -> None:
    acquitted(A5, txn(True, 6, compare))
    convicted(A5, txn(False, 5, compare), of="although every condition holds")


@pytest.mark.parametrize("compare", FALSE)
def test_a_condition_that_does_not_hold_takes_the_other(compare: Compare) -> None:
    acquitted(A5, txn(False, 5, TRUE[0], compare))
    convicted(A5, txn(True, 6, TRUE[0], compare), of="although a condition does not hold")


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (Compare("a", "version", "equal", 2), True),
        (Compare("a", "create", "less", 6), True),
        (Compare("a", "version", "greater", 2), False),
    ],
)
def test_figures_that_somebody_saw_are_compared(compare: Compare, holds: bool) -> None:  # noqa: FBT001
    known = A5, put("a", "w", 6, 1.1, 2), get("a", kv("a", "w", 6, 5, 2), 6, 3, 4)
    revision = 7 if holds else 6
    acquitted(*known, txn(holds, revision, compare, start_s=5))
    convicted(*known, txn(not holds, 13 - revision, compare, start_s=5), of="condition")


def test_a_condition_on_what_is_not_known_convicts_nobody() -> None:
    unseen = asked(Put("a", "w"), 0.5, None)
    for then, revision in ((True, 6), (False, 5)):
        acquitted(A5, unseen, txn(then, revision, TRUE[0]))


def test_what_was_seen_later_tells_what_a_condition_met() -> None:
    """Nobody knows whether the put of w happened, until a read at revision 9 shows that it had not."""
    unseen, read = asked(Put("a", "w"), 0.5, None), get("a", SEEN, 9, 3, 4)
    convicted(A5, unseen, txn(False, 8, TRUE[0]), read, of="although every condition holds")


def test_a_transaction_is_one_revision_and_sees_itself() -> None:
    request = Txn([], [Put("a", "w"), Range("a"), Delete("b"), Range("b")], [])
    mine = StoreAnswer(kvs=[kv("a", "w", 6, 5, 2)], count=1)

    def answered(*responses: StoreAnswer) -> Operation:
        return asked(request, 2, 3, StoreAnswer(6, succeeded=True, responses=list(responses)))

    acquitted(A5, answered(StoreAnswer(), mine, StoreAnswer(), StoreAnswer()))
    old = StoreAnswer(kvs=[SEEN], count=1)
    convicted(A5, answered(StoreAnswer(), old, StoreAnswer(), StoreAnswer()), of="does not see its own change")
    convicted(A5, answered(StoreAnswer(), mine), of="4 operations of a transaction have 2 answers")


def test_a_transaction_of_unknown_outcome_takes_one_branch() -> None:
    unknown = asked(Txn([], [Put("a", "t"), Put("b", "u")], [Put("b", "f")]), 2, None)
    a, b = kv("a", "t", 6, 5, 2), kv("b", "u", 6)
    acquitted(A5, unknown, get("a", a, 6, 3, 4), get("b", b, 6, 3, 4))
    convicted(A5, unknown, get("a", a, 6, 3, 4), get("b", None, 6, 3, 4), of="is not there at revision 6")
    convicted(A5, unknown, get("a", a, 6, 3, 4), get("b", kv("b", "f", 6), 6, 3, 4), of="took effect twice")
    convicted(A5, unknown, get("a", a, 6, 3, 4), get("b", kv("b", "u", 7), 7, 3, 4), of="took effect twice")


def test_the_branch_not_taken_wrote_nothing() -> None:
    done = asked(
        Txn([], [Put("a", "t")], [Put("a", "f")]), 2, 3, StoreAnswer(6, succeeded=True, responses=[StoreAnswer()])
    )
    convicted(A5, done, get("a", kv("a", "f", 6, 5, 2), 6, 4, 5), of="the branch not taken")


# ---- compaction


REFUSED = asked(Range("a", revision=5), 5, 6, refusal="compacted")


def test_the_compacted_revision_itself_stays_readable() -> None:
    other = put("a", "w", 6, 1.1, 2)
    acquitted(A5, other, compact(5, 3, 4), get("a", SEEN, 50, 5, 6, revision=5))
    convicted(A5, other, compact(5, 3, 4), REFUSED, of="refused as compacted, and nobody compacted it")
    acquitted(A5, other, compact(6, 3, 4), REFUSED)
    acquitted(A5, other, asked(Compact(6), 3, None), REFUSED)
    acquitted(A5, other, compact(5, 3, 4), REFUSED, sole=False)


def test_what_was_compacted_is_not_served() -> None:
    convicted(A5, compact(6, 3, 4), get("a", SEEN, 50, 5, 6, revision=5), of="served although it had been compacted")
    acquitted(A5, compact(6, 3, 4), get("a", SEEN, 50, 5, 6, revision=5, serializable=True))
    acquitted(A5, compact(6, 3, 6), get("a", SEEN, 50, 5, 6, revision=5))


def test_a_revision_is_compacted_once_and_not_below() -> None:
    convicted(compact(6, 1, 2), compact(6, 1, 2), of="compacted twice")
    convicted(compact(6, 1, 2), compact(5, 3, 4), of="served although")
    again = asked(Compact(6), 3, 4, refusal="compacted")
    acquitted(compact(6, 1, 2), again)
    convicted(compact(5, 1, 2), again, of="nobody compacted it")


def test_a_revision_that_existed_is_not_future() -> None:
    convicted(A5, asked(Range("a", revision=5), 2, 3, refusal="future"), of="refused as future, and 5 existed")
    acquitted(A5, asked(Range("a", revision=6), 2, 3, refusal="future"))
    acquitted(A5, asked(Range("a", revision=5, serializable=True), 2, 3, refusal="future"))


def test_equal_values_are_refused() -> None:
    with pytest.raises(ValueError, match="written twice"):
        Facts.of([A5, put("b", "v", 6, 2, 3)])


def test_a_conviction_names_the_operations() -> None:
    (sentence,) = map(str, violations(Facts.of([A5, get("a", None, 6, 2, 3)]), sole=True))
    assert "store client 0 at etcd-1: range a -> revision 6, 0 keys [2.000000 s to 3.000000 s]" in sentence
    assert "put a = 'v' -> revision 5" in sentence
