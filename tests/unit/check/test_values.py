from __future__ import annotations

from typing import Any

from ha.check.values import check
from ha.history.calls import Call


def call(type_: str, start: float, end: float | None, value: str | None = None, **fields: Any) -> Call:
    made = {"client": f"{start}", "key": "x", "outcome": "info" if end is None else "ok", **fields}
    return Call(type=type_, value=value, start=start, end=end, **made)


def cas(start: float, end: float | None, expected: str | None, value: str | None, **fields: Any) -> Call:
    return call("cas", start, end, value, expected=expected, **fields)


def verdict(*calls: Call, initial: str | None = None) -> bool | None:
    return check(calls, initial=initial).verdict


def test_empty_history_is_linearizable():
    assert verdict() is True


def test_register_is_empty_in_the_beginning():
    assert verdict(call("read", 0, 1, None)) is True
    assert verdict(call("read", 0, 1, "1")) is False


def test_text_is_empty_in_the_beginning_and_grows():
    grown = call("append", 0, 1, "a"), call("append", 0, 1, "b")
    assert verdict(call("read", 2, 3, "ba"), *grown, initial="") is True
    assert verdict(call("read", 2, 3, "a"), *grown, initial="") is False


def test_text_that_is_replaced_grows_anew():
    calls = call("append", 0, 1, "a"), call("write", 2, 5, ""), call("append", 3, 6, "b")
    assert verdict(*calls, call("read", 7, 8, "b"), initial="") is True
    assert verdict(*calls, call("read", 7, 8, ""), initial="") is True
    assert verdict(*calls, call("read", 7, 8, "ab"), initial="") is False


def test_text_may_be_compared_as_well():
    grown = call("append", 0, 1, "a"), call("append", 2, 9, "b")
    read, refused = call("read", 4, 8, "ab"), cas(3, 7, "a", "9", outcome="fail")
    assert verdict(*grown, read, refused, initial="") is True
    assert verdict(*grown, call("read", 4, 8, "a"), cas(3, 7, "", "", outcome="ok"), initial="") is False


def test_stale_read_is_refuted():
    assert verdict(call("write", 0, 1, "1"), call("write", 2, 3, "2"), call("read", 4, 5, "1")) is False
    assert verdict(call("write", 0, 1, "1"), call("write", 2, 9, "2"), call("read", 4, 5, "1")) is True


def test_refused_cas_found_another_value():
    refused = cas(2, 3, "1", "9", outcome="fail")
    assert verdict(call("write", 0, 1, "1"), refused) is False
    assert verdict(call("write", 0, 1, "2"), refused) is True


def test_cas_needs_its_value_even_if_nobody_sees_what_it_makes():
    writes = call("write", 0, 1, "1"), call("write", 2, 3, "2"), call("write", 6, 7, "3")
    assert verdict(*writes, cas(4, 9, "1", "9"), call("read", 8, 9, "3")) is False
    assert verdict(*writes, cas(4, 9, "2", "9"), call("read", 8, 9, "3")) is True


def test_unknown_write_may_take_effect_late_once_or_never():
    unknown = call("write", 0, None, "1")
    assert verdict(unknown, call("write", 2, 3, "2"), call("read", 4, 5, "2"), call("read", 6, 7, "1")) is True
    assert verdict(unknown, call("read", 6, 7, None)) is True
    reads = call("read", 4, 5, "1"), call("write", 6, 7, "2"), call("read", 8, 9, "1")
    assert verdict(unknown, *reads) is False
    assert verdict(unknown, call("write", 1, None, "1"), *reads) is True


def test_unknown_write_may_take_effect_after_its_client_gave_up():
    gave_up = call("write", 0, 1, "1", outcome="info")
    assert verdict(gave_up, call("read", 2, 3, None), call("read", 4, 5, "1")) is True


def test_what_was_certainly_not_done_was_not_seen():
    refused = call("write", 0, 1, "1", outcome="fail")
    assert verdict(refused, call("read", 2, 3, "1")) is False


def test_created_where_nothing_is_and_deleted_where_something_is():
    assert verdict(call("create", 0, 1, "1"), call("delete", 2, 3), call("create", 4, 5, "2")) is True
    assert verdict(call("create", 0, 1, "1"), call("create", 4, 5, "2")) is False
    assert verdict(call("delete", 0, 1)) is False
    assert verdict(call("delete", 0, None), call("create", 2, 3, "1")) is True


def test_keys_are_independent():
    other = call("write", 0, 1, "1", key="y")
    assert verdict(other, call("read", 2, 3, None)) is True
    found = check([other, call("read", 2, 3, "1")], initial=None)
    assert found.verdict is False
    assert [one.key for one in found.operations] == ["x"]


def hard(key: str) -> list[Call]:
    """Writes of unknown outcome that lead from each value to each other one, and an answer that none of them gives."""
    values = "012345678"
    leading = [cas(0, None, a, b, key=key, client=a + b) for a in values for b in values if a != b]
    return [call("write", 1, 2, "0", key=key), *leading, call("read", 3, 4, "never", key=key)]


def test_exhausted_budget_is_unknown_and_never_a_verdict():
    found = check(hard("x"), initial=None, budget=10)
    assert found.verdict is None
    assert found.explanation == ["undecided after 10 configurations, when the budget was used up: x"]
    assert found.limit == "budget"
    assert found.operations == ()


def test_hopeless_key_hides_no_other_one():
    easy = [call("write", n, n + 0.5, "1", key="easy") for n in range(80)]
    found = check([*hard("x"), *easy, call("read", 90, 91, "2", key="easy")], initial=None, budget=3000)
    assert found.verdict is False
    assert found.operations[0].key == "easy"


def test_writes_that_nobody_sees_cost_nothing():
    """A thousand clients write at once, and nobody looks: there is nothing to choose."""
    calls = [call("write", 0, 10, f"{n}") for n in range(1000)]
    assert check(calls, initial=None, budget=10).verdict is True


def test_unknown_writes_of_one_value_cost_nothing():
    calls = [call("write", n / 100, None, "1") for n in range(200)]
    calls += [call("read", 10 + n, 10.5 + n, "1") for n in range(0, 100, 2)]
    calls += [call("write", 11 + n, 11.5 + n, "2") for n in range(0, 100, 2)]
    assert check(calls, initial=None, budget=500).verdict is True


def test_progress_is_told_within_a_key_as_well():
    told = []
    check(hard("x"), initial=None, budget=5000, progress=lambda keys, visited: told.append((keys, visited)))
    assert told[0] == (1, 0)
    assert (1, 1000) in told
