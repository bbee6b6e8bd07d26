"""Looks for committed entries that changed, or are others on another member (Raft's log matching and state machine
safety), by what the members' own logs say.

Each member tells digests of its log: by index, a running checksum over every entry that it applied up to there (index,
term and command, from the first one on), which it computes again from its own disk when it is started. Members that
never differed have the same digest at the same index, whenever they are asked. So one that applied something else, or
the same in another order, or what was not committed, or that read its log wrong, shows, also where the values that
clients see happen to be the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from ha.check.violation import Violation
from ha.history import Event, MemberDigests

__all__ = ["concerns", "violations"]


def concerns(events: Sequence[Event]) -> bool:
    """Whether any member tells what it applied: the real etcd and stock PySyncObj do not."""
    return any(isinstance(event, MemberDigests) for event in events)


def violations(events: Sequence[Event]) -> list[Violation]:
    """For each two that differ, the first index at which they are seen to: from there on all digests differ."""
    told: dict[int, tuple[int, str, float]] = {}
    found: dict[tuple[str, str], tuple[int, Violation]] = {}
    for event in events:
        if not isinstance(event, MemberDigests):
            continue
        for index, digest in event.digests.items():
            expected, member, at_s = told.setdefault(index, (digest, event.member, event.at_s))
            pair = (min(member, event.member), max(member, event.member))
            if digest != expected and (pair not in found or index < found[pair][0]):
                shown = [_shown(member, at_s, expected), _shown(event.member, event.at_s, digest)]
                found[pair] = (index, Violation(_reason(member, event.member, index), shown))
    return [violation for _, violation in sorted(found.values(), key=lambda item: item[0])]


def _reason(one: str, other: str, index: int) -> str:
    if one == other:
        return f"what {one} has committed up to entry {index} has changed"
    return f"{one} and {other} have committed different entries up to entry {index}"


def _shown(member: str, at_s: float, digest: int) -> str:
    return f"{member} at {at_s:.3f} s: digest {digest:08x}"
