from __future__ import annotations

import pytest

from ha.check.availability import FLOOR_S, unavailability
from ha.history.result import Window
from tests.unit.check.ops import op


def writes(*spans, outcome="ok"):
    return [op("write", "a", start_s, end_s, outcome) for start_s, end_s in spans]


def steady(start_s, end_s, every_s=0.05, taking_s=0.004):
    count = round((end_s - start_s) / every_s)
    return writes(*((start_s + i * every_s, start_s + i * every_s + taking_s) for i in range(count)))


def measure(operations, start_s=0.0, end_s=10.0):
    return unavailability(operations, start_s, end_s)["write"]


def test_steady_success_is_available():
    found = measure(steady(0, 10))
    assert (found.longest_s, found.total_s, found.windows) == (0.0, 0.0, [])
    assert found.threshold_s == FLOOR_S


def test_gap_lasts_from_the_first_disappointed_client_to_the_next_success():
    operations = steady(0, 4) + writes((4.0, 4.5), (4.5, 5.0), outcome="info") + writes((5.0, 5.2)) + steady(5.2, 10)
    found = measure(operations)
    assert found.windows == [Window(4.0, 5.2)]
    assert found.longest_s == pytest.approx(1.2)


def test_total_adds_up_and_longest_is_the_longest():
    operations = (
        steady(0, 3)
        + writes((3.0, 3.5), outcome="fail")
        + steady(3.6, 6)
        + writes((6.0, 7.5), outcome="info")
        + steady(7.8, 10)
    )
    found = measure(operations)
    assert len(found.windows) == 2
    assert found.total_s == pytest.approx(0.604 + 1.804)
    assert found.longest_s == pytest.approx(1.804)


def test_an_outage_that_lasts_to_the_end_is_open_ended():
    assert measure(steady(0, 6) + writes((6.0, 10.5), outcome="info")).open_ended
    assert not measure(steady(0, 10)).open_ended


def test_time_in_which_nobody_asked_is_no_evidence():
    assert measure(steady(0, 3) + steady(7, 10)).windows == []


def test_slow_operation_beside_quick_ones_is_no_gap():
    assert measure(steady(0, 10) + writes((2.0, 9.0))).windows == []


def test_gap_at_the_end_ends_with_the_interval():
    found = measure(steady(0, 8) + writes((8.0, None), outcome="info"))
    assert found.windows == [Window(8.0, 10.0)]


def test_group_that_never_succeeded_was_unavailable_from_the_first_request_on():
    assert measure(writes((2.0, 3.0), (3.0, 4.0), outcome="fail")).windows == [Window(2.0, 10.0)]


def test_outage_at_the_end_ends_with_the_answer_to_whoever_asked_before():
    """Who asked later says nothing of the interval."""
    waited = measure([*steady(0, 8), *writes((8.0, 12.0), (9.0, 13.0))])
    assert (waited.windows, waited.open_ended) == ([Window(8.0, 12.0)], False)
    later = measure([*steady(0, 8), *writes((8.0, None), outcome="info"), *writes((10.5, 12.0))])
    assert (later.windows, later.open_ended) == ([Window(8.0, 10.0)], True)


def test_groups_are_measured_apart_and_only_when_asked():
    found = unavailability([*steady(0, 10), op("read", "a", 3.0, 3.5, "info")], 0.0, 10.0)
    assert found["write"].longest_s == 0
    assert found["read"].windows == [Window(3.0, 10.0)]
    assert set(unavailability(steady(0, 10), 0.0, 10.0)) == {"write"}
    assert unavailability(steady(0, 10), 20.0, 30.0) == {}


def test_threshold_follows_the_normal_of_a_slow_service():
    slow = writes(*((i * 0.05, i * 0.05 + 0.05) for i in range(100)))
    found = measure(slow + writes((5.0, 5.3)) + writes((5.3, 5.35)), end_s=5.35)
    assert found.threshold_s == pytest.approx(0.5)
    assert found.windows == []


def test_what_is_slow_throughout_is_not_its_own_excuse():
    """Ten times a median of a second would hide an outage of nine."""
    slow = [op("write", "a", i * 1.0, i * 1.0 + 0.9) for i in range(30)] + writes((30, 38))
    assert measure(slow, end_s=40.0).longest_s == pytest.approx(8)
