"""A lock of which two were certain convicts, and so does a fenced write that came too late."""

from __future__ import annotations

from typing import Any

from ha.check.locks import concerns, violations
from ha.check.store_facts import Facts
from ha.history import Operation
from ha.history.store import Compare, Delete, LeaseKeepAlive, Put, StoreAnswer, Txn
from tests.unit.check.store_ops import asked, grant, put, renew, revoke

TTL_S = 3


def take(client: int, token: int, start_s: float, end_s: float, **more: Any) -> Operation:
    request = Txn([Compare("l", "create", "equal", 0)], [Put("l", f"v{token}", client)], [])
    answer = more.pop("answer", StoreAnswer(token, succeeded=True, responses=[StoreAnswer()]))
    return asked(request, start_s, end_s, answer, client=client, **more)


def holder(client: int, token: int, start_s: float) -> list[Operation]:
    """A lease granted at once, the lock taken a second later: certain from then on, for two seconds."""
    return [grant(client, TTL_S, start_s, start_s), take(client, token, start_s, start_s + 1)]


def fenced(token: int, revision: int, *, lock: str = "l", done: bool = True) -> Operation:
    request = Txn([Compare(lock, "create", "equal", token)], [Put(f"{lock}/guarded", f"w{revision}")], [])
    return asked(request, 0, 1, StoreAnswer(revision, succeeded=done, responses=[StoreAnswer()] * done))


def found(*operations: Operation) -> list[str]:
    return [one.reason for one in violations(Facts.of(operations))]


def test_two_must_not_be_certain_at_once() -> None:
    assert found(*holder(1, 5, 0), *holder(2, 9, 3)) == []
    assert found(*holder(1, 5, 0), *holder(2, 9, 1)) == ["l was held by two"]
    assert found(*holder(2, 9, 1), *holder(1, 5, 0)) == ["l was held by two"]


def test_a_holder_is_certain_for_as_long_as_its_lease_was_renewed() -> None:
    later = holder(2, 9, 3)
    assert found(*holder(1, 5, 0), renew(1, TTL_S, 2, 2.5), *later) == ["l was held by two"]
    assert found(*holder(1, 5, 0), renew(1, TTL_S, 0.9, 2.5), *later) == []
    assert found(*holder(1, 5, 0), asked(LeaseKeepAlive(1), 2, 2.5), *later) == []


def test_whoever_gives_it_up_is_not_certain_any_more() -> None:
    later = holder(2, 9, 1.5)
    assert found(*holder(1, 5, 0), *later) == ["l was held by two"]
    deletion = Txn([Compare("l", "create", "equal", 5)], [Delete("l")], [])
    assert found(*holder(1, 5, 0), asked(deletion, 2, None), *later) == []
    assert found(*holder(1, 5, 0), revoke(1, 2, 2.2), *later) == []
    other = Txn([Compare("l", "create", "equal", 4)], [Delete("l")], [])
    assert found(*holder(1, 5, 0), asked(other, 2, None), *later) == ["l was held by two"]


def test_nobody_is_certain_who_was_not_told() -> None:
    first = [grant(1, TTL_S, 0, 0), take(1, 5, 0, 1, answer=None)]
    refused = [grant(1, TTL_S, 0, 0), take(1, 5, 0, 1, answer=StoreAnswer(5))]
    unknown_lease = [asked(Put("x", "y"), 0, 1), take(1, 5, 0, 1)]
    for operations in (first, refused, unknown_lease):
        assert found(*operations, *holder(2, 9, 1)) == []
    assert not concerns(Facts.of(first))
    assert not concerns(Facts.of(refused))
    assert concerns(Facts.of(holder(2, 9, 1)))


def test_a_fenced_write_comes_before_the_next_holder() -> None:
    late = "l: a write with token 5 was let through after it was taken with token 9"
    assert found(*holder(1, 5, 0), *holder(2, 9, 3), fenced(5, 8), fenced(9, 10)) == []
    assert found(*holder(1, 5, 0), *holder(2, 9, 3), fenced(5, 10)) == [late]
    assert found(*holder(1, 5, 0), *holder(2, 9, 3), fenced(5, 10, done=False)) == []
    assert found(*holder(1, 5, 0), *holder(2, 9, 3), fenced(5, 10, lock="m")) == []


def test_tokens_rise_though_nobody_was_told_of_the_taking() -> None:
    assert found(fenced(9, 10), fenced(5, 11)) == [
        "l: a write with token 5 was let through after it was taken with token 9"
    ]


def test_other_transactions_take_no_lock() -> None:
    plain = asked(
        Txn([Compare("l", "create", "equal", 0)], [Put("l", "v")], []),
        0,
        1,
        StoreAnswer(5, succeeded=True, responses=[StoreAnswer()]),
    )
    assert not concerns(Facts.of([plain, put("l", "w", 6, 0, 1, lease=3)]))
