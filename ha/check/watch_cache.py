"""Looks whether every API server's cache came to show what the store holds, once the cluster had healed.

A cache may lag, but not for ever: one that missed an event, or whose watch died unnoticed, shows the same old object
to everybody who lists without asking the store, controllers first. The evidence: what its list of any age shows of
what the workloads wrote, against consistent reads of each object, compared until they agreed or far more time was
over than a watch may take.
"""

from __future__ import annotations

from collections.abc import Sequence

from ha.check.violation import Violation
from ha.history import CacheSample, Event

__all__ = ["unanswered", "violations"]


def violations(events: Sequence[Event]) -> list[Violation]:
    """A violation for each cache that stayed behind."""
    return [
        Violation(
            f"the cache of the API server on {one.node} stays behind on {_count(len(one.behind), 'object')}",
            [f"{name}: revision {cached} in the cache, {stored} in the store" for name, (cached, stored) in _some(one)],
        )
        for one in _last(events).values()
        if one.behind
    ]


def unanswered(events: Sequence[Event], nodes: Sequence[str]) -> list[str]:
    """API servers of whose cache nothing is known."""
    last = _last(events)
    return [node for node in nodes if node not in last or (last[node].error and not last[node].behind)]


def _last(events: Sequence[Event]) -> dict[str, CacheSample]:
    return {event.node: event for event in events if isinstance(event, CacheSample)}


def _some(sample: CacheSample) -> list[tuple[str, tuple[int, int]]]:
    return sorted(sample.behind.items())[:5]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
