"""Virtual time for tests: the simulated world's own clock in place of trio's."""

from __future__ import annotations

import pytest

from ha.world.sim.clock import SimClock


@pytest.fixture
def autojump_clock() -> SimClock:
    return SimClock()
