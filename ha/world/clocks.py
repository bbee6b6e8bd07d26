"""How far the wall clock of a node is off, in either world: offsets are summed, rates multiplied."""

from __future__ import annotations

from collections.abc import Callable

from ha.world import ClockOffset, ClockRate

__all__ = ["NodeClock"]


class NodeClock:
    """What disturbs one node's wall clock. `steady`: seconds by a clock that neither jumps nor drifts."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._disturbances: list[ClockOffset | ClockRate] = []
        self._drift_s = 0.0
        self._since = 0.0

    @property
    def is_right(self) -> bool:
        """Whether nothing disturbs it."""
        return not self._disturbances

    @property
    def rate(self) -> float:
        """How fast it runs; 1: as it should."""
        rate = 1.0
        for one in self._disturbances:
            if isinstance(one, ClockRate):
                rate *= one.rate
        return rate

    @property
    def ahead_s(self) -> float:
        """By how much it is ahead now."""
        return sum(one.offset_s for one in self._disturbances if isinstance(one, ClockOffset)) + self._drifted()

    def impose(self, disturbance: ClockOffset | ClockRate) -> None:
        """Disturb it from now on."""
        self._drift_s, self._since = self._drifted(), self._steady()
        self._disturbances.append(disturbance)

    def lift(self, disturbance: ClockOffset | ClockRate) -> None:
        """End that. What a wrong rate has added up to is put right with the last one."""
        self._drift_s, self._since = self._drifted(), self._steady()
        self._disturbances.remove(disturbance)
        if not any(isinstance(one, ClockRate) for one in self._disturbances):
            self._drift_s = 0.0

    def _drifted(self) -> float:
        return self._drift_s + (self.rate - 1.0) * (self._steady() - self._since)
