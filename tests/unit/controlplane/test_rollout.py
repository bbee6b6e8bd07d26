"""The arithmetic of rolling updates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ha.controlplane.controller_manager.rollout import Limits, Size, limits, next_sizes
from ha.controlplane.controller_manager.zone import zone_state


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", Limits(3, 2)),
        (4, "25%", "25%", Limits(1, 1)),
        (1, "25%", "25%", Limits(1, 0)),
        (10, 2, 0, Limits(2, 0)),
        (0, "25%", "25%", Limits(0, 1)),
        (3, 0, "10%", Limits(0, 1)),
        (2, 0, 5, Limits(0, 2)),
    ],
)
def test_percentages_round_in_favour_of_progress_and_of_availability(
    replicas: int, surge: object, unavailable: object, expected: Limits
) -> None:
    assert limits(replicas, surge, unavailable) == expected


@pytest.mark.parametrize(
    ("new", "old", "replicas", "bounds", "expected"),
    [
        (Size(0), {"a": Size(4, 4, 4)}, 4, Limits(1, 1), (1, {"a": 4})),
        (Size(1, 1, 0), {"a": Size(4, 4, 4)}, 4, Limits(1, 1), (1, {"a": 3})),
        (Size(1, 1, 0), {"a": Size(3, 3, 3)}, 4, Limits(1, 1), (2, {"a": 3})),
        (Size(2, 2, 0), {"a": Size(3, 3, 3)}, 4, Limits(1, 1), (2, {"a": 3})),
        (Size(2, 2, 2), {"a": Size(3, 3, 3)}, 4, Limits(1, 1), (2, {"a": 1})),
        (Size(4, 4, 4), {"a": Size(0)}, 4, Limits(1, 1), (4, {"a": 0})),
        (Size(6, 6, 6), {}, 4, Limits(1, 1), (4, {})),
        # broken old pods go before serving ones, but no more than the new ones leave room for
        (Size(1, 1, 0), {"a": Size(4, 4, 2)}, 4, Limits(1, 1), (1, {"a": 3})),
        (Size(2, 2, 2), {"a": Size(2, 2, 0), "b": Size(1, 1, 1)}, 4, Limits(1, 1), (2, {"a": 0, "b": 1})),
    ],
)
def test_next_step_of_a_rollout(
    new: Size, old: dict[str, Size], replicas: int, bounds: Limits, expected: tuple[int, dict[str, int]]
) -> None:
    assert next_sizes(new, old, replicas, bounds) == expected


sizes = st.integers(0, 8).flatmap(
    lambda spec: st.integers(0, spec).map(lambda available: Size(spec, spec, available)),
)


@given(sizes, st.lists(sizes, max_size=3), st.integers(0, 8), st.integers(0, 4), st.integers(0, 4))
def test_no_step_exceeds_the_surge_or_takes_away_what_must_be_available(
    new: Size, old: list[Size], replicas: int, surge: int, unavailable: int
) -> None:
    bounds = limits(replicas, surge, unavailable)
    by_name = {f"r{i}": size for i, size in enumerate(old)}
    before = new.spec + sum(s.spec for s in old)
    grown, shrunk = next_sizes(new, by_name, replicas, bounds)
    after = grown + sum(shrunk.values())
    assert after <= max(before, replicas + bounds.surge)
    available = min(new.available, grown) + sum(s.available for s in old)
    left = min(new.available, grown) + sum(min(by_name[n].available, size) for n, size in shrunk.items())
    assert left >= min(available, replicas - bounds.unavailable)
    assert all(0 <= size <= by_name[n].spec for n, size in shrunk.items())


@given(st.integers(1, 8), st.integers(0, 8), st.integers(0, 4), st.integers(0, 4))
def test_every_rollout_ends(replicas: int, old: int, surge: int, unavailable: int) -> None:
    bounds = limits(replicas, surge, unavailable)
    new, rest = 0, old
    for _ in range(100):
        grown, shrunk = next_sizes(Size(new, new, new), {"a": Size(rest, rest, rest)}, replicas, bounds)
        if (grown, shrunk["a"]) == (new, rest):
            break
        new, rest = grown, shrunk["a"]
    assert (new, rest) == (replicas, 0)


@pytest.mark.parametrize(
    ("ready", "not_ready", "state"),
    [(5, 0, "normal"), (0, 0, "normal"), (4, 1, "normal"), (1, 2, "normal"), (2, 3, "partial"), (0, 1, "full")],
)
def test_cluster_in_trouble_evicts_nothing(ready: int, not_ready: int, state: str) -> None:
    assert zone_state(ready, not_ready) == state
