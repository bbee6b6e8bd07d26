from __future__ import annotations

from ha.check.counterexample import of_calls, of_operations
from ha.check.linearizability import check_columns
from ha.check.values import check
from ha.history.columns import Columns
from tests.unit.check.ops import create, op, read, unknown, write
from tests.unit.check.test_values import call, cas


def core(*calls, initial=None):
    found = check(calls, initial=initial)
    assert found.verdict is False
    return of_calls(found, initial)


def words(acts):
    return [act.what for act in acts]


def noise(start):
    """What has nothing to do with it."""
    return [one for n in range(20) for one in _pair(start + 4 * n, f"n{n}")]


def _pair(at, value):
    return call("write", at, at + 1, value), call("read", at + 2, at + 3, value)


def test_few_operations_of_many_are_left():
    stale = [call("write", 200, 201, "1"), call("write", 202, 203, "2"), call("read", 204, 205, "1")]
    acts = core(*noise(0), *stale, *noise(300))
    assert words(acts) == ["write '1' -> ok", "write '2' -> ok", "read -> '1'"]
    assert [act.guilty for act in acts] == [False, False, True]


def test_value_that_nobody_wrote_stands_alone():
    acts = core(*noise(0), call("read", 200, 201, "never"), *noise(300))
    assert words(acts) == ["read -> 'never'"]


def test_overwritten_writer_is_shown_beside_the_write_that_hides_it():
    """Without it, the core would say that nobody wrote what was read."""
    calls = [
        call("write", 0, 1, "1"),
        call("write", 10, 11, "2"),
        call("write", 20, 21, "1"),
        call("write", 30, 31, "3"),
    ]
    assert words(core(*calls, call("read", 40, 41, "1")))[-1] == "read -> '1'"
    assert "write '1' -> ok" in words(core(*calls, call("read", 40, 41, "1")))


def test_what_ended_only_later_is_of_unknown_outcome():
    acts = core(call("append", 0, 1, "a"), call("append", 2, 90, "b"), call("read", 3, 4, "c"), *noise(100), initial="")
    assert [(act.what, act.end) for act in acts] == [
        ("append 'a' -> ok", 1),
        ("append 'b' -> unknown", None),
        ("read -> 'c'", 4),
    ]


def test_refused_cas_keeps_what_it_should_have_found():
    acts = core(*noise(0), call("write", 200, 201, "1"), cas(202, 203, "1", "2", outcome="fail"))
    assert words(acts)[-2:] == ["write '1' -> ok", "cas '1' to '2' -> refused"]


def violation(*operations):
    columns = Columns.of(operations)
    found = check_columns(columns)
    assert found.verdict is False
    return of_operations(found, columns)


def test_what_revisions_convict_is_named_by_them():
    acts = violation(
        create("a", "1", 5, 0, 1), write("a", "2", 7, 2, 3), *(read("a", "2", 7, 4 + n, 4.5 + n) for n in range(50)),
        read("a", "1", 5, 90, 91),
    )  # fmt: skip
    assert len(acts) == 2
    assert [act.what for act in acts if act.guilty] == ["read a -> '1' at revision 5"]


def test_what_a_search_refuted_is_shrunk():
    """A deletion without a revision needs the search, which names only the operation that it got stuck at."""
    before = [create("b", "1", 3, 0, 1), *(read("b", "1", 3, 1 + n, 2 + n) for n in range(50))]
    acts = violation(*before, create("a", "1", 5, 0, 1), op("delete", "a", 60, 61), read("a", "1", 5, 70, 71))
    assert words(acts) == ["create a = '1' -> ok, revision 5", "delete a -> ok", "read a -> '1' at revision 5"]
    assert [act.guilty for act in acts] == [False, False, True]


def test_writer_of_what_was_seen_is_never_left_out():
    acts = violation(
        create("a", "1", 5, 0, 1), unknown("write", "a", "2", 2), unknown("write", "a", "2", 6),
        read("a", "2", 7, 3, 4), write("a", "3", 8, 4.5, 5), read("a", "2", 9, 5.2, 5.5),
    )  # fmt: skip
    assert words(acts)[-1] == "read a -> '2' at revision 9"
    assert "write a = '2' -> unknown" in words(acts)
