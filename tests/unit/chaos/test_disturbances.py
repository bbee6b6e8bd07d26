from __future__ import annotations

import pytest

from ha.chaos.disturbances import Disturb, between
from ha.world import ClockRate, Cut, Delay, DiskFull, Disturbance, Refuse, SlowDisk

_ABC = ["a", "b", "c"]


def both(here: list[str], there: list[str]) -> Cut:
    return Cut(between(here, there) + between(there, here))


@pytest.mark.parametrize(
    ("disturbance", "hinders"),
    [
        (both(["a"], ["b"]), True),
        (Delay(between(["b"], ["a"]), 0.1), True),
        (DiskFull("a"), True),
        (DiskFull("c"), False),
        (ClockRate("x", 2.0), True),
        (both(["c"], ["a", "b", "x"]), False),
        (Cut(between(["c"], ["a", "b"])), False),
        (both(["c"], ["x"]), False),
        (both(["c"], ["b"]), True),
        (Cut(between(["a"], ["c"])), True),
        (Delay(between(["c"], ["a", "b"]), 0.1), True),
        (Refuse(between(["x"], ["c"])), False),
        (Refuse(between(["a"], ["c"])), True),
        (both(["y"], ["a", "x"]), False),
        (SlowDisk("c", 0.1), True),
        (Delay(between(["y"], ["c"]), 0.1), True),
    ],
)
def test_what_keeps_a_core_from_serving(disturbance: Disturbance, hinders: bool) -> None:  # noqa: FBT001
    """The members are a, b and c, of which a and b are in the core with x; y is outside and no member. What lets c lead
    one of a and b only must go (found by fuzzing: a bridge of which c was the middle), and so must what is slow (found
    likewise: an API server that asks a slow member loses every race, and its clients time out).
    """
    assert Disturb("it", disturbance).hinders(["a", "b", "x"], _ABC) == hinders
