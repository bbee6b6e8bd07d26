"""Looks for two etcd members that led in one term (Raft's election safety: at most one leader per term).

Only what a member said of itself counts: a follower may name the leader of another term than its own for a moment.
Two leaders at one time in different terms are no violation: one of them does not know yet that it was deposed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ha.check.violation import Violation
from ha.history import Event, MemberSample

__all__ = ["violations"]


def violations(events: Sequence[Event]) -> list[Violation]:
    """A violation for each term with two leaders, and each further one."""
    first: dict[int, MemberSample] = {}
    found: dict[tuple[int, str], Violation] = {}
    for event in events:
        if not isinstance(event, MemberSample) or event.term is None or event.leader != event.member:
            continue
        other = first.setdefault(event.term, event)
        if other.member != event.member:
            shown = [f"{one.member} at {one.at_s:.3f} s" for one in (other, event)]
            reason = f"{other.member} and {event.member} both led in term {event.term}"
            found.setdefault((event.term, event.member), Violation(reason, shown))
    return list(found.values())
