"""A wall clock that drifts. Timers do not follow it."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike
from ha.world import ClockRate

__all__ = ["FAULT"]


class _ClockRate:
    name = "clock-rate"
    summary = "the wall clock of a node runs too fast or too slow"
    attestation = "what the clock has drifted by the end"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        rate = strike.fault.rate
        assert rate is not None, "validated"
        return [Disturb(node, ClockRate(node, rate)) for node in strike.nodes]


FAULT = _ClockRate()
