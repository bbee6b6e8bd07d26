"""A wall clock that jumps, as NTP or an operator lets it. Timers do not follow it."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike
from ha.world import ClockOffset

__all__ = ["FAULT"]


class _ClockOffset:
    name = "clock-offset"
    summary = "the wall clock of a node jumps, forward or back"
    attestation = "the clock before and after the jump, as the processes of the node read it"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        offset_s = strike.fault.offset_s
        assert offset_s is not None, "validated"
        return [Disturb(node, ClockOffset(node, offset_s)) for node in strike.nodes]


FAULT = _ClockOffset()
