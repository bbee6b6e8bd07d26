from __future__ import annotations

from ha.check import committed
from ha.history import MemberDigests, MemberSample


def told(at_s: float, member: str, **digests: int) -> MemberDigests:
    return MemberDigests(at_s=at_s, member=member, digests={int(index[1:]): one for index, one in digests.items()})


def test_members_that_tell_the_same_at_the_same_index_are_right_however_far_each_came() -> None:
    events = [told(1, "a", i64=7, i70=8), told(1, "b", i64=7), told(2, "b", i128=9), told(3, "a", i128=9)]
    assert committed.violations(events) == []


def test_two_members_that_differ_at_one_index_are_named_with_the_first_such_index() -> None:
    events = [told(1, "a", i64=7, i128=9, i192=1), told(2, "b", i192=2, i64=7, i128=8), told(2, "c", i64=7, i128=9)]
    [found] = committed.violations(events)
    assert found.reason == "a and b have committed different entries up to entry 128"
    assert found.shown_by == ["a at 1.000 s: digest 00000009", "b at 2.000 s: digest 00000008"]


def test_a_member_whose_committed_entries_changed_is_convicted_by_itself() -> None:
    [found] = committed.violations([told(1, "a", i64=7), told(5, "a", i64=6)])
    assert found.reason == "what a has committed up to entry 64 has changed"


def test_it_has_no_say_about_members_that_tell_nothing() -> None:
    sample = MemberSample(at_s=1, member="a", node="a", reachable=True, term=1, leader="a", revision=1)
    assert not committed.concerns([sample])
    assert committed.concerns([sample, told(1, "a", i64=7)])
