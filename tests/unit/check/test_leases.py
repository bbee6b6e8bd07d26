"""Leases live as long as was promised, and no longer; what is not certain convicts nobody."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ha.check.leases import PATIENCE_S, concerns, violations
from ha.check.store_facts import Facts
from ha.history import Event, MemberSample, Operation
from ha.history.result import FaultRecord
from ha.history.store import Delete, LeaseKeepAlive, LeaseRevoke, Put
from tests.unit.check.store_ops import asked, delete, get, grant, kv, put, renew, revoke

GRANT = grant(7, 3, 0, 1)
"""Alive at least until 3 s."""
PUT = put("a", "v", 5, 1, 2, lease=7)
OVER_S = 1 + 3 + PATIENCE_S


def found(*operations: Operation, events: Sequence[Event] = (), faults: Sequence[FaultRecord] = ()) -> list[str]:
    return [violation.reason for violation in violations(Facts.of(operations), events, faults)]


def there(start_s: float, end_s: float, at: int = 9, **request: object) -> Operation:
    return get("a", kv("a", "v", 5, lease=7), at, start_s, end_s, **request)


def absent(start_s: float, end_s: float, at: int = 9) -> Operation:
    return get("a", None, at, start_s, end_s)


def changed(at_s: float) -> MemberSample:
    return MemberSample(at_s=at_s, member="etcd-1", node="etcd-1", reachable=True, term=3, leader="etcd-1")


def test_a_key_is_there_while_its_lease_is_surely_alive() -> None:
    assert found(GRANT, PUT, there(2.1, 2.9)) == []
    assert found(GRANT, PUT, absent(2.1, 2.9)) == ["a is gone although its lease lasts until 3.000 s"]
    assert found(GRANT, PUT, absent(2.1, 3.1)) == []


def test_a_renewal_prolongs_it_from_when_it_was_asked_for() -> None:
    renewed = renew(7, 3, 2.5, 2.8)
    assert found(GRANT, PUT, renewed, absent(3, 5.4)) == ["a is gone although its lease lasts until 5.500 s"]
    assert found(GRANT, PUT, renewed, absent(3, 5.6)) == []
    unknown = asked(LeaseKeepAlive(7), 2.5, 2.8)
    assert found(GRANT, PUT, unknown, absent(3, 5.4)) == []


def test_somebody_may_have_taken_the_key_away() -> None:
    assert found(GRANT, PUT, asked(Delete("a"), 2, None), absent(2.1, 2.9)) == []
    assert found(GRANT, PUT, delete("a", 6, 2, 2.1), absent(2.2, 2.9)) == []
    assert found(GRANT, PUT, asked(LeaseRevoke(7), 2, None), absent(2.1, 2.9)) == []
    assert found(GRANT, PUT, asked(Put("a", "w", 8), 2, None), absent(2.1, 2.9)) == []


def test_it_is_not_denied_while_it_is_surely_alive() -> None:
    for request in (LeaseKeepAlive(7), Put("b", "w", 7), LeaseRevoke(7)):
        assert len(found(GRANT, asked(request, 1.5, 2.5, refusal="lease-not-found"))) == 1, request
        assert found(GRANT, asked(request, 1.5, 3.5, refusal="lease-not-found")) == []
        assert found(GRANT, asked(request, 0.5, 2.5, refusal="lease-not-found")) == []


def test_a_key_goes_when_nobody_can_have_renewed_its_lease() -> None:
    assert found(GRANT, PUT, there(OVER_S + 0.1, OVER_S + 0.2)) == ["a is there although its lease ran out by 14.000 s"]
    assert found(GRANT, PUT, there(OVER_S - 0.1, OVER_S + 0.2)) == []


def test_whatever_may_have_prolonged_it_counts() -> None:
    late = there(OVER_S + 1, OVER_S + 1.1)
    for unknown in (asked(LeaseKeepAlive(7), 2, 3), asked(LeaseKeepAlive(7), 2, None)):
        assert found(GRANT, PUT, unknown, late) == []
    assert found(GRANT, PUT, asked(LeaseKeepAlive(7), 2, 3, refusal="lease-not-found"), late) != []
    assert found(GRANT, PUT, late, events=[changed(2.5)]) == []
    assert found(GRANT, PUT, late, events=[changed(0.5)]) != []
    fault = FaultRecord(index=0, fault="kill", target="x", nodes=["x"], injected_s=1, undone_s=5, attested=True)
    assert found(GRANT, PUT, late, faults=[fault]) == []


def test_a_change_of_leaders_while_somebody_looks_prolongs_it_too() -> None:
    assert found(GRANT, PUT, there(OVER_S + 1, OVER_S + 2), events=[changed(OVER_S + 1.5)]) == []


def test_what_is_old_shows_nothing_of_now() -> None:
    for request in ({"serializable": True}, {"revision": 6}):
        assert found(GRANT, PUT, there(OVER_S + 1, OVER_S + 2, **request)) == []


def test_a_revoked_lease_takes_its_keys_along_for_good() -> None:
    revoked = revoke(7, 2, 2.5)
    assert found(GRANT, PUT, revoked, absent(2.6, 2.7)) == []
    assert found(GRANT, PUT, revoked, there(2.4, 2.7)) == []
    assert found(GRANT, PUT, revoked, there(2.6, 2.7)) == ["a is there although its lease was revoked"]
    assert found(GRANT, revoked, renew(7, 3, 2.6, 2.7)) == ["a lease was renewed after it had been revoked"]
    assert found(GRANT, revoked, renew(7, 3, 2.4, 2.7)) == []


def test_a_lease_is_not_granted_for_less() -> None:
    short = grant(7, 3, 0, 1)
    assert short.store is not None
    assert found(grant(7, 3, 0, 1)) == []

    answer = replace(short.store.answer, ttl_s=2)
    assert found(replace(short, store=replace(short.store, answer=answer))) == [
        "a lease was granted for less than was asked for"
    ]


def test_there_is_nothing_to_judge_where_nobody_had_a_lease() -> None:
    assert not concerns(Facts.of([put("a", "v", 5, 0, 1)]))
    assert concerns(Facts.of([GRANT]))
