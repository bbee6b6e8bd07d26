from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ha.raft.sessions import Request, Sessions


def request(sequence: int, *, floor: int = 0, incarnation: int = 1, member: str = "a") -> Request:
    return Request(member, incarnation, sequence, floor, b"")


def test_a_request_is_admitted_once() -> None:
    sessions = Sessions()
    assert sessions.admit(request(5))
    assert not sessions.admit(request(5))
    assert sessions.admit(request(5, member="b"))


def test_requests_may_arrive_out_of_order() -> None:
    sessions = Sessions()
    assert sessions.admit(request(6))
    assert sessions.admit(request(5))


def test_what_is_below_the_floor_is_never_admitted() -> None:
    sessions = Sessions()
    assert sessions.admit(request(9, floor=8))
    assert not sessions.admit(request(7))


def test_an_earlier_incarnation_is_never_admitted() -> None:
    sessions = Sessions()
    assert sessions.admit(request(0, incarnation=2))
    assert not sessions.admit(request(1, incarnation=1))


def test_memory_is_bounded_by_what_is_outstanding() -> None:
    sessions = Sessions()
    for sequence in range(10_000):
        sessions.admit(request(sequence, floor=max(0, sequence - 9)))
    [(_, _, floor, applied)] = sessions.rows()
    assert floor == 9990
    assert len(applied) == 10


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(0, 20), st.integers(0, 20)), max_size=60),
    st.integers(0, 60),
)
def test_nothing_is_admitted_twice_not_even_over_a_snapshot(
    requests: list[tuple[str, int, int, int]], snapshot_at: int
) -> None:
    sessions = Sessions()
    admitted: list[tuple[str, int, int]] = []
    for position, (member, incarnation, sequence, floor) in enumerate(requests):
        if position == snapshot_at:
            rows = sessions.rows()
            sessions = Sessions()
            sessions.restore(rows)
            assert sessions.rows() == rows
        if sessions.admit(Request(member, incarnation, sequence, floor, b"")):
            assert sessions.has_applied(member, incarnation, sequence)
            admitted.append((member, incarnation, sequence))
    assert len(admitted) == len(set(admitted))
