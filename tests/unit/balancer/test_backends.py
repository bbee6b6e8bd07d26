"""States, selection and ejection: pure."""

from __future__ import annotations

import pytest

from ha.balancer.backends import Backend, Finding, Pool, State
from ha.world import Address


def make_pool(*states: State, fall: int = 2, rise: int = 1) -> Pool:
    """Backends a, b, … in these states."""
    names = "abcdef"[: len(states)]
    pool = Pool([(name, Address("127.0.0.1", 1)) for name in names], fall=fall, rise=rise, at=0.0)
    for backend, state in zip(pool.backends, states, strict=True):
        pool.observe(backend, Finding(state, "given"), 0.0)
    return pool


def chosen(pool: Pool, *tried: Backend) -> str | None:
    backend = pool.choose(tried)
    return backend.name if backend else None


@pytest.mark.parametrize("state", ["up", "degraded", "down"])
def test_the_first_finding_decides_at_once(state: State) -> None:
    pool = make_pool(state, fall=9, rise=9)
    assert pool.backends[0].state == state
    assert [t.after for t in pool.transitions] == [state]


@pytest.mark.parametrize(
    ("fall", "rise", "findings", "states"),
    [
        (2, 1, ["down", "down", "up"], ["up", "down", "up"]),
        (2, 2, ["down", "up", "down", "down", "up", "up"], ["up", "up", "up", "down", "down", "up"]),
        (3, 1, ["down", "degraded", "down"], ["up", "up", "down"]),
        (1, 2, ["degraded", "down", "degraded", "degraded", "up", "up"],
         ["degraded", "down", "down", "degraded", "degraded", "up"]),
        (2, 2, ["down", "down", "degraded", "up"], ["up", "down", "down", "up"]),
    ],
)  # fmt: skip
def test_so_many_findings_in_a_row_change_the_state(
    fall: int, rise: int, findings: list[State], states: list[State]
) -> None:
    pool = make_pool("up", fall=fall, rise=rise)
    backend = pool.backends[0]
    seen = []
    for finding in findings:
        pool.observe(backend, Finding(finding, "test"), 1.0)
        seen.append(backend.state)
    assert seen == states


def test_a_transition_tells_what_when_and_why() -> None:
    pool = make_pool("up", fall=1)
    transition = pool.observe(pool.backends[0], Finding("down", "refused"), 12.5)
    assert transition is not None
    assert transition == pool.transitions[-1]
    assert (transition.before, transition.after, transition.at) == ("up", "down", 12.5)
    assert (pool.backends[0].since, pool.backends[0].reason) == (12.5, "refused")


def test_only_the_last_hundred_transitions_are_kept() -> None:
    pool = make_pool("up", fall=1)
    for i in range(200):
        pool.observe(pool.backends[0], Finding("down" if i % 2 == 0 else "up", str(i)), float(i))
    assert len(pool.transitions) == 100
    assert pool.transitions[-1].reason == "199"


@pytest.mark.parametrize(
    ("states", "chosen_from"),
    [
        (["up", "up", "up"], "abc"),
        (["up", "degraded", "down"], "a"),
        (["degraded", "degraded", "down"], "ab"),
        (["down", "down", "down"], ""),
    ],
)
def test_only_backends_of_the_best_state_are_chosen(states: list[State], chosen_from: str) -> None:
    pool = make_pool(*states)
    assert {chosen(pool) for _ in range(6)} == (set(chosen_from) or {None})


def test_the_next_best_is_tried_when_the_best_did_not_take_the_connection() -> None:
    pool = make_pool("up", "degraded", "down")
    a, b, _ = pool.backends
    assert chosen(pool, a) == "b"
    assert chosen(pool, a, b) is None


def test_what_was_not_checked_is_the_last_resort() -> None:
    pool = Pool([(n, Address("127.0.0.1", 1)) for n in "ab"], fall=2, rise=1, at=0.0)
    assert {chosen(pool), chosen(pool)} == {"a", "b"}
    pool.observe(pool.backends[0], Finding("down", "refused"), 0.0)
    assert [chosen(pool) for _ in range(3)] == ["b"] * 3
    pool.observe(pool.backends[0], Finding("degraded", "alive"), 0.0)
    assert [chosen(pool) for _ in range(3)] == ["a"] * 3


def test_the_fewest_connections_win_and_ties_go_round() -> None:
    pool = make_pool("up", "up", "up")
    order = []
    for _ in range(7):
        backend = pool.choose()
        assert backend is not None
        backend.sessions += 1
        order.append(backend.name)
    assert "".join(order) == "abcabca"
    pool.backends[1].sessions = 0
    assert chosen(pool) == "b"


@pytest.mark.parametrize(
    ("states", "unfit"),
    [
        (["up", "up", "up"], ""),
        (["up", "degraded", "down"], "bc"),
        (["degraded", "degraded", "down"], "c"),
        (["down", "down", "down"], "abc"),
    ],
)
def test_connections_are_kept_by_the_best_only_and_never_by_what_is_down(states: list[State], unfit: str) -> None:
    assert "".join(b.name for b in make_pool(*states).unfit()) == unfit
