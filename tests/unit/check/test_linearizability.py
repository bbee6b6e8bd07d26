from __future__ import annotations

from random import Random

import pytest

from ha.check.linearizability import check
from tests.unit.check.ops import cas, create, op, read, unknown, write


def convicted(*operations, of: str, guilty=()):
    verdict = check(operations)
    assert verdict.verdict is False
    assert of in verdict.explanation[0]
    assert len(verdict.explanation) == 1 + len(verdict.operations)
    for operation in guilty:
        assert operation in verdict.operations
    return verdict


def holds(*operations):
    verdict = check(operations)
    assert verdict.verdict is True, verdict.explanation
    assert verdict.explanation == []
    return verdict


def test_empty_history_is_linearizable():
    holds()


def test_reads_writes_and_cas_in_order_hold():
    verdict = holds(
        create("a", "1", 5, 0, 1),
        read("a", "1", 5, 2, 3),
        cas("a", "2", 5, 9, 4, 5),
        write("a", "3", 12, 6, 7),
        read("a", "3", 12, 8, 9),
    )
    assert verdict.method == "by revision"


def test_gaps_between_revisions_belong_to_writers_that_nobody_recorded():
    holds(create("a", "1", 5, 0, 1), write("a", "2", 5000, 2, 3))


def test_stale_read_is_convicted():
    stale = read("a", "1", 5, 4, 5)
    overwrite = write("a", "2", 7, 2, 3)
    convicted(create("a", "1", 5, 0, 1), overwrite, stale, of="stale read", guilty=[stale, overwrite])


def test_read_that_overlaps_the_overwrite_may_see_either():
    for seen in (read("a", "1", 5, 2.5, 5), read("a", "2", 7, 2.5, 5)):
        holds(create("a", "1", 5, 0, 1), write("a", "2", 7, 2, 3), seen)


def test_two_reads_may_not_go_back_in_time():
    convicted(
        create("a", "1", 5, 0, 1),
        write("a", "2", 7, 2, 9),
        read("a", "2", 7, 3, 4),
        read("a", "1", 5, 5, 6),
        of="stale read",
    )


def test_stale_read_is_convicted_through_another_key():
    """Revisions order the whole store: whoever saw b at 8 may no longer see a as it was before 7."""
    convicted(
        create("a", "1", 5, 0, 1),
        write("a", "2", 7, 2, 20),
        create("b", "1", 8, 2, 20),
        read("b", "1", 8, 3, 4),
        read("a", "1", 5, 5, 6),
        of="stale read",
    )


def test_lost_update_is_convicted():
    first = cas("a", "2", 5, 7, 2, 3)
    second = cas("a", "3", 5, 9, 2, 4)
    convicted(create("a", "1", 5, 0, 1), first, second, of="lost update", guilty=[first, second])


def test_cas_is_judged_by_revision_and_not_by_value():
    """The value is back, the revision is not: refusing the cas and not applying it is right."""
    holds(
        create("a", "1", 5, 0, 1),
        write("a", "2", 6, 2, 3),
        write("a", "1", 7, 4, 5),
        op("cas", "a", 6, 7, "fail", value="9", expected=5),
        read("a", "1", 7, 8, 9),
    )
    convicted(
        create("a", "1", 5, 0, 1),
        write("a", "2", 6, 2, 3),
        write("a", "1", 7, 4, 5),
        cas("a", "9", 5, 8, 6, 7),
        of="lost update",
    )


def test_duplicate_revision_is_convicted():
    convicted(create("a", "1", 5, 0, 1), create("b", "1", 5, 2, 3), of="two acknowledged writes have revision 5")


def test_time_travel_is_convicted():
    convicted(create("a", "1", 9, 0, 1), create("b", "1", 5, 2, 3), of="time travel")


def test_absence_proves_the_deletion_that_it_needs():
    """Whoever began after a was seen to be absent may not see b as it was before a was deleted."""
    earlier = [create("b", "1", 3, 0, 1), create("a", "1", 5, 0, 1), op("delete", "a", 1, 99, revision=7)]
    earlier += [write("b", "2", 6, 1, 99)]
    absent = read("a", None, 0, 2, 3)
    holds(*earlier, absent, read("b", "2", 6, 4, 5))
    convicted(*earlier, absent, read("b", "1", 3, 4, 5), of="stale read", guilty=[absent])


def test_lost_write_is_convicted():
    convicted(create("a", "1", 5, 0, 1), read("a", None, 0, 2, 3), of="lost")


def test_phantom_value_is_convicted():
    phantom = read("a", "x", 7, 2, 3)
    convicted(create("a", "1", 5, 0, 1), phantom, of="phantom", guilty=[phantom])


def test_value_of_another_revision_is_convicted():
    convicted(create("a", "1", 5, 0, 1), read("a", "x", 5, 2, 3), of="not the one written there")


def test_refused_write_that_took_effect_is_convicted():
    convicted(
        create("a", "1", 5, 0, 1),
        op("write", "a", 2, 3, "fail", value="2"),
        read("a", "2", 6, 4, 5),
        of="phantom",
    )


def test_unknown_write_may_take_effect_long_after_its_client_gave_up():
    holds(
        create("a", "1", 5, 0, 1),
        unknown("write", "a", "2", 2, 3),
        write("a", "3", 6, 4, 5),
        read("a", "3", 6, 6, 7),
        read("a", "2", 9, 8, 9),
    )


def test_unknown_write_may_never_take_effect():
    holds(create("a", "1", 5, 0, 1), unknown("write", "a", "2", 2), read("a", "1", 5, 8, 9))


def test_unknown_write_may_not_take_effect_before_it_was_asked():
    convicted(
        create("a", "1", 5, 0, 1),
        read("a", "2", 6, 2, 3),
        unknown("write", "a", "2", 4),
        of="time travel",
    )


def test_unknown_write_may_not_take_effect_twice():
    convicted(
        create("a", "1", 5, 0, 1),
        unknown("write", "a", "2", 2),
        read("a", "2", 6, 3, 4),
        write("a", "3", 7, 5, 6),
        read("a", "2", 8, 7, 8),
        of="applied twice",
    )


def test_unknown_cas_may_take_effect_only_over_its_revision():
    base = [create("a", "1", 5, 0, 1), write("a", "2", 6, 2, 3)]
    late = unknown("cas", "a", "3", 2, expected=5)
    holds(*base, late)
    convicted(*base, late, read("a", "3", 7, 4, 5), of="lost update", guilty=[late])


def test_deletion_and_new_creation_hold():
    holds(
        create("a", "1", 5, 0, 1),
        op("delete", "a", 2, 3, revision=6),
        read("a", None, 0, 4, 5),
        create("a", "2", 7, 6, 7),
        read("a", "2", 7, 8, 9),
    )


def test_creation_over_an_existing_object_is_convicted():
    convicted(create("a", "1", 5, 0, 1), create("a", "2", 7, 2, 3), of="created what was there")


def test_deletion_of_what_is_not_there_is_convicted():
    convicted(op("delete", "a", 0, 1, revision=5), of="deleted what was not there")


def test_creation_over_an_unknown_deletion_is_searched():
    verdict = holds(
        create("a", "1", 5, 0, 1), unknown("delete", "a", None, 2), read("a", "1", 5, 3, 4), create("a", "2", 7, 5, 6)
    )
    assert "search" in verdict.method


def test_deletion_without_a_revision_is_searched():
    base = [create("a", "1", 5, 0, 1), op("delete", "a", 2, 3)]
    holds(*base, read("a", None, 0, 4, 5))
    convicted(*base, read("a", "1", 5, 4, 5), of="no order explains a")


def test_undecided_keys_are_judged_together():
    """Alone each key has an order: a is deleted between 4 and 10, b between 31 and 35. So a's deletion is first."""
    creations = [create("a", "1", 4, 0, 99), create("a", "2", 10, 0, 99)]
    creations += [create("b", "1", 31, 0, 99), create("b", "2", 35, 0, 99)]
    holds(*creations, op("delete", "a", 10, 11), op("delete", "b", 12, 13))
    convicted(*creations, op("delete", "a", 12, 13), op("delete", "b", 10, 11), of="no order explains a, b")


def test_two_unknown_writes_of_one_value_are_told_apart_by_search():
    base = [create("a", "1", 5, 0, 1), unknown("write", "a", "2", 2), unknown("write", "a", "2", 6)]
    holds(*base, read("a", "2", 7, 3, 4), write("a", "3", 8, 5, 6), read("a", "2", 9, 7, 8))
    convicted(*base, read("a", "2", 7, 3, 4), write("a", "3", 8, 4.5, 5), read("a", "2", 9, 5.2, 5.5), of="no order")


def test_each_loose_revision_needs_a_writer_of_its_own():
    """Two writes of one value, and revisions that only refusals show: who made which does not matter, how many does."""
    base = [create("a", "1", 5, 0, 1), unknown("write", "a", "2", 2), unknown("write", "a", "2", 2)]
    seen = [op("cas", "a", 3 + i, 3.5 + i, "fail", value="9", expected=4, revision=6 + i) for i in range(3)]
    assert holds(*base, *seen[:2]).method == "by revision"
    convicted(*base, *seen, of="no order explains a")


def test_loose_revision_is_made_by_who_was_asked_before_it_was_seen():
    base = [create("a", "1", 5, 0, 1), unknown("write", "a", "2", 2), unknown("write", "a", "2", 6)]
    assert holds(*base, read("a", "2", 7, 3, 4), read("a", "2", 8, 7, 8)).method == "by revision"
    convicted(*base, read("a", "2", 7, 3, 4), read("a", "2", 8, 4.5, 5), of="no order explains a")


def test_loose_revision_is_made_by_who_wrote_its_value():
    base = [create("a", "1", 5, 0, 1), *(unknown("write", "a", value, 2) for value in ("2", "2", "3"))]
    seen = [read("a", "2", 6 + i, 3 + i, 3.5 + i) for i in range(3)]
    assert holds(*base, *seen[:2]).method == "by revision"
    convicted(*base, *seen, of="no order explains a")


def test_refusal_that_shows_the_current_revision_is_a_read():
    stale = op("cas", "a", 4, 5, "fail", value="9", expected=3, revision=5)
    convicted(create("a", "1", 5, 0, 1), write("a", "2", 6, 2, 3), stale, of="stale read", guilty=[stale])


def test_cas_refused_over_the_revision_that_it_expected_is_convicted():
    convicted(create("a", "1", 5, 0, 1), op("cas", "a", 2, 3, "fail", value="2", expected=5, revision=5), of="refused")


def test_plain_refusal_says_nothing():
    holds(create("a", "1", 5, 0, 1), op("cas", "a", 2, 3, "fail", value="2", expected=5))


def test_exhausted_budget_is_unknown_and_never_a_verdict():
    operations = [create("a", "0", 5, 0, 1)]
    operations += [unknown("write", "a", "x", 2) for _ in range(6)]
    operations += [op("read", "a", 3 + i, 3.5 + i, value="x", revision=10 + i) for i in range(6)]
    operations += [unknown("delete", "a", None, 9), read("a", None, 0, 10, 11)]
    verdict = check(operations, budget=3)
    assert verdict.verdict is None
    assert "undecided after" in verdict.explanation[0]
    assert check(operations).verdict is True


def test_answer_before_the_question_is_refused():
    with pytest.raises(ValueError, match="answered before it was asked"):
        check([read("a", "1", 5, 3, 2)])


def test_order_of_the_records_does_not_matter():
    operations = [create("a", "1", 5, 0, 1), write("a", "2", 7, 2, 3), read("a", "1", 5, 4, 5), read("a", "2", 7, 4, 5)]
    for seed in range(10):
        Random(seed).shuffle(operations)
        assert check(operations).verdict is False
        assert check([o for o in operations if o.revision != 5 or o.type != "read"]).verdict is True


def _long_history(length: int) -> list:
    """One writer after the other on 50 keys; every 100th answer is lost, half of those took effect."""
    random = Random(length)
    held, revision, operations = {}, 1, []
    for moment in range(length):
        key = f"k{random.randrange(50)}"
        times = (float(moment), moment + random.random() * 8)
        if random.random() < 0.5 and key in held:
            operations.append(read(key, *held[key], *times))
        elif random.random() < 0.01:
            if random.random() < 0.5 and key in held:
                revision += 1
                held[key] = (f"v{moment}", revision)
            operations.append(unknown("write", key, f"v{moment}", *times))
        else:
            revision += random.randint(1, 3)
            type_ = "write" if key in held else "create"
            held[key] = (f"v{moment}", revision)
            operations.append(op(type_, key, *times, value=f"v{moment}", revision=revision))
    return operations


def test_long_history_with_unknown_outcomes_needs_no_search():
    operations = _long_history(20_000)
    assert check(operations) == check([])
    stale = next(o for o in operations if o.type == "read" and o.revision)
    late = read(stale.key, stale.value, stale.revision, 30_000.0, 30_001.0)
    assert late in check([*operations, late]).operations


def test_what_was_answered_puts_a_floor_under_writers_that_revisions_do_not_name():
    """The read of a was over when b was written, by whichever of the two: so a was written by then, at 9."""
    convicted(
        write("a", "x", 9, 0, 10),
        op("read", "a", 1, 2, value="x"),
        unknown("write", "b", "z", 3),
        unknown("write", "b", "z", 3),
        read("b", "z", 5, 4, 11),
        of="no order explains a, b",
    )
    convicted(
        write("a", "y", 4, 0, 10),
        op("cas", "a", 1, 2, value="w", expected=4),
        unknown("write", "b", "z", 3),
        unknown("write", "b", "z", 3),
        read("b", "z", 1, 4, 5),
        of="no order explains a, b",
    )


def test_an_absence_that_what_is_open_moves_to_a_later_gap_is_a_floor_as_well():
    """The read of a stands at 3 or later, so c was gone at 6 at the earliest, before b was written."""
    convicted(
        write("a", "x", 3, 0, 20),
        op("read", "a", 1, 2, value="x"),
        write("d", "1", 4, 3, 20),
        create("c", "1", 1, 0, 20),
        op("delete", "c", 0, 20, revision=6),
        create("c", "2", 8, 0, 20),
        read("c", None, 0, 4, 5),
        unknown("write", "b", "z", 6),
        unknown("write", "b", "z", 6),
        read("b", "z", 5, 7, 8),
        of="no order explains a, c, b",
    )


def test_one_revision_has_one_value_also_where_its_writer_does_not_tell_it():
    seen = read("a", "x", 3, 2, 3), read("a", "y", 3, 4, 5)
    convicted(create("a", None, 3, 0, 1), *seen, of="seen with two contents", guilty=seen)
    holds(create("a", None, 3, 0, 1), *seen[:1], read("a", "x", 3, 4, 5))
    convicted(op("write", "a", 0, 1), *seen, of="seen with two contents")


def test_values_alone_do_not_change_where_nobody_wrote():
    convicted(
        create("b", "z", 7, 0, 1),
        op("write", "a", 0, 1),
        op("read", "a", 2, 3, value="x"),
        op("read", "a", 4, 5, value="y"),
        of="no order explains a",
    )


def test_the_highest_revision_is_one_like_others():
    highest = (1 << 63) - 2
    holds(write("a", "x", highest, 0, 1), read("a", "x", highest, 2, 3))
