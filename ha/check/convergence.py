"""Looks whether all etcd members came to hold the same once the cluster had healed.

The evidence: the hash of each member's keys at one revision, asked for again and again until all agreed or far more
time was over than any of them may take. A member that never got to that revision did not converge; neither did
members that hold something else there: what a replicated log made of equal commands must be equal. The real etcd
tells the hash of what it holds at the moment, and its revision: those that were never asked at the same one cannot be
compared, which is no violation, and no proof either.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ha.check.violation import Violation
from ha.history import Event, MemberHash

__all__ = ["incomparable", "unseen", "violations"]


def violations(events: Sequence[Event]) -> list[Violation]:
    """What the last samples show."""
    last = _last(events)
    behind = [
        Violation(f"{one.member} did not get to revision {one.revision}: {one.error or 'it cannot tell'}")
        for one in last.values()
        if one.hash is None
    ]
    found = []
    for revision in sorted({one.revision for one in last.values()}):
        groups: dict[tuple[int, int], list[str]] = {}
        for one in last.values():
            if one.hash is not None and one.revision == revision:
                groups.setdefault((one.hash, one.compact_revision), []).append(one.member)
        if len(groups) > 1:
            shown = [
                f"{', '.join(members)}: hash {hash_}, compacted to {compacted}"
                for (hash_, compacted), members in groups.items()
            ]
            found.append(Violation(f"members hold {len(groups)} different things at revision {revision}", shown))
    return [*found, *behind]


def incomparable(events: Sequence[Event]) -> list[int]:
    """The revisions at which members told what they hold, sorted, where these are several; else nothing."""
    revisions = sorted({one.revision for one in _last(events).values() if one.hash is not None})
    return revisions if len(revisions) > 1 else []


def unseen(events: Sequence[Event], members: Collection[str]) -> list[str]:
    """Members of which nobody asked, sorted."""
    return sorted(set(members) - set(_last(events)))


def _last(events: Sequence[Event]) -> dict[str, MemberHash]:
    return {event.member: event for event in events if isinstance(event, MemberHash)}
