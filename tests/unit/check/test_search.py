from __future__ import annotations

import math

from ha.check.search import Found, Step, search
from ha.check.timeline import Timeline


def put(value, start_s, end_s=math.inf):
    return Step(start_s, end_s, lambda _state: (value,))


def get(value, start_s, end_s):
    return Step(start_s, end_s, sees=lambda state: state == value)


def verdict(*steps, budget=1000):
    return search(steps, "", budget=budget)


def test_nothing_has_an_order():
    assert verdict().verdict is True


def test_concurrent_steps_may_come_in_any_order():
    assert verdict(put("a", 0, 9), put("b", 0, 9), get("b", 1, 2), get("a", 3, 4)).verdict is True


def test_real_time_is_respected():
    found = verdict(put("a", 0, 1), put("b", 2, 3), get("a", 4, 5))
    assert found.verdict is False
    assert found.stuck == 2


def test_steps_that_meet_at_one_instant_are_concurrent():
    assert verdict(put("a", 0, 1), get("", 1, 2)).verdict is True


def test_step_that_never_returned_may_take_effect_late_or_never():
    assert verdict(put("a", 0), get("", 5, 6)).verdict is True
    assert verdict(put("a", 0), get("", 5, 6), get("a", 7, 8)).verdict is True


def test_step_takes_effect_once():
    assert verdict(put("a", 0), put("b", 1, 2), get("a", 3, 4), put("c", 5, 6), get("a", 7, 8)).verdict is False


def test_step_with_several_effects_is_tried_with_each():
    either = Step(0, 1, lambda _state: ("a", "b"))
    assert verdict(either, get("a", 2, 3)).verdict is True
    assert verdict(either, get("b", 2, 3)).verdict is True
    assert verdict(either, get("a", 2, 3), get("b", 4, 5)).verdict is False


def test_budget_ends_the_search_without_a_verdict():
    steps = [put(str(i), 0) for i in range(8)] + [get("never", 1, 2)]
    assert verdict(*steps, budget=5) == Found(None, 5, limit="budget")
    assert verdict(*steps, budget=100_000).verdict is False


def test_memory_ends_the_search_without_a_verdict(monkeypatch):
    steps = [put(str(i), 0) for i in range(8)] + [get("never", 1, 2)]
    monkeypatch.setattr("ha.check.search.MEMORY_BYTES", 10_000)
    found = verdict(*steps, budget=100_000)
    assert (found.verdict, found.limit) == (None, "memory")


def test_step_that_reads_may_be_one_that_changes_as_well():
    """A read that moves the state where it cannot be taken as it is."""
    moving = Step(2, 3, lambda state: ("b",) if state == "a" else (), sees=lambda state: state == "b")
    assert verdict(put("a", 0, 1), moving, get("b", 4, 5)).verdict is True
    assert verdict(put("a", 0, 1), moving, get("a", 4, 5)).verdict is False
    assert verdict(put("b", 0, 1), moving, get("b", 4, 5)).verdict is True


def test_history_that_was_prepared_can_be_searched_again():
    timeline = Timeline([put(str(i), 0, 9) for i in range(8)] + [get("7", 10, 11), get("6", 12, 13)])
    assert search(timeline, "", budget=2).verdict is None
    assert [search(timeline, "", budget=100_000, backwards=way).verdict for way in (False, True)] == [False, False]
