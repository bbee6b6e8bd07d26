"""At most one leader per term: what members say of themselves."""

from __future__ import annotations

from ha.check.leaders import violations
from ha.history import MemberSample


def said(member: str, term: int | None, leader: str | None, at_s: float = 1.0) -> MemberSample:
    return MemberSample(at_s=at_s, member=member, node=member, reachable=term is not None, term=term, leader=leader)


def test_two_members_that_lead_in_one_term_are_convicted_once() -> None:
    samples = [said("a", 2, "a", 1.0), said("b", 2, "b", 2.5), said("b", 2, "b", 3.0), said("a", 2, "a", 4.0)]
    (found,) = violations(samples)
    assert found.reason == "a and b both led in term 2"
    assert found.shown_by == ["a at 1.000 s", "b at 2.500 s"]


def test_a_deposed_leader_that_does_not_know_is_no_violation() -> None:
    assert violations([said("a", 2, "a"), said("b", 3, "b"), said("a", 2, "a"), said("c", 3, "b")]) == []


def test_a_member_may_lead_again() -> None:
    assert violations([said("a", 2, "a"), said("a", None, None), said("a", 2, "a"), said("a", 4, "a")]) == []


def test_what_a_follower_says_of_others_does_not_count() -> None:
    assert violations([said("a", 2, "a"), said("b", 2, "c")]) == []
