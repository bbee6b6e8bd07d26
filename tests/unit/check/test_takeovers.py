"""A Lease that certainly changed hands too early convicts; one that may have been in time does not."""

from __future__ import annotations

from ha.check.takeovers import violations
from ha.history import LeaseChange, Operation
from tests.unit.check.ops import op
from tests.unit.check.store_ops import get, put

LASTS_S = 15.0


def taken(at_s: float, renewed_revision: int, holder: str = "b_2") -> LeaseChange:
    return LeaseChange(at_s=at_s, name="kube-scheduler", holder=holder, revision=90, renewed_revision=renewed_revision)


def wrote(revision: int, asked_s: float, outcome: str = "ok") -> Operation:
    return op("write", "a", asked_s, asked_s + 1, outcome, revision=revision)


def found(change: LeaseChange, *operations: Operation) -> list[str]:
    return [one.reason for one in violations([change], operations, LASTS_S)]


def test_a_lease_is_not_taken_within_its_duration() -> None:
    early = "b_2 took the Lease kube-scheduler within 14.900 s of its last renewal"
    assert found(taken(20.0, 50), wrote(49, 5.1)) == [early]
    assert found(taken(20.0, 50), wrote(49, 5.0)) == []


def test_only_what_was_written_before_the_renewal_dates_it() -> None:
    assert found(taken(20.0, 50), wrote(51, 9.0)) == []
    assert found(taken(20.0, 50), wrote(49, 9.0, "info")) == []
    assert len(found(taken(20.0, 50), wrote(30, 9.0), wrote(40, 2.0))) == 1
    assert len(found(taken(20.0, 50), put("k", "v", 49, 9.0, 9.1))) == 1
    assert found(taken(20.0, 50), get("k", None, 49, 9.0, 9.1)) == []


def test_a_lease_that_nobody_held_may_be_taken() -> None:
    assert found(taken(20.0, 0), wrote(49, 19.0)) == []
    assert found(taken(20.0, 50, holder=""), wrote(49, 19.0)) == []
