"""What is seen of a load balancer from outside."""

from __future__ import annotations

from typing import Any

import msgspec

from ha.cluster.observer import BackendNews, BalancerStats


def stats(*changes: tuple[str, str, float], **states: str) -> BalancerStats:
    told: dict[str, Any] = {
        "backends": {name: {"state": state} for name, state in states.items()},
        "transitions": [
            {"backend": name, "before": "?", "after": after, "at": at, "reason": "r"} for name, after, at in changes
        ],
    }
    return msgspec.convert(told, BalancerStats)


def told(news: BackendNews, seen: BalancerStats) -> list[tuple[str, bool]]:
    return [(name, up) for name, up, _ in news.of(seen)]


def test_an_ejection_between_two_looks_is_seen() -> None:
    news = BackendNews()
    assert told(news, stats(a="up", b="up")) == [("a", True), ("b", True)]
    first, second = ("a", "degraded", 1.0), ("a", "up", 1.08)
    assert told(news, stats(first, second, a="up", b="up")) == [("a", False), ("a", True)]
    assert told(news, stats(first, second, a="up", b="up")) == []
    assert told(news, stats(second, ("b", "down", 2.0), a="up", b="down")) == [("b", False)]


def test_a_balancer_that_was_started_anew_or_says_nothing_changes_nothing_by_that() -> None:
    news = BackendNews()
    assert told(news, stats(("a", "up", 1.0), a="up")) == [("a", True)]
    assert told(news, BalancerStats()) == []
    assert told(news, stats(("a", "up", 9.0), a="up")) == []


def test_what_is_only_degraded_is_not_up() -> None:
    news = BackendNews()
    assert told(news, stats(("a", "down", 1.0), ("a", "degraded", 2.0), a="degraded")) == [("a", False)]
