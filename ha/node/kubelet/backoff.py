"""When an ended container may start again: CrashLoopBackOff. Pure.

The first restart comes at once; each further one waits twice as long as the one before, from `base_s` up to `max_s`.
A container that ran well for twice `max_s` (10 minutes with upstream's 300 s) begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RestartBackoff"]


@dataclass(slots=True)
class RestartBackoff:
    """The back-off of one container. Times are seconds on one clock."""

    base_s: float
    max_s: float
    delay_s: float = 0.0
    """What the container waits before its next start, counted from its end; 0 when it starts at once."""
    _restarts: int = 0
    _ended: object = None

    def ended(self, identity: object, ran_s: float) -> None:
        """An attempt ended after running for `ran_s`. Saying it twice of the same attempt changes nothing."""
        if identity == self._ended:
            return
        self._ended = identity
        if ran_s >= 2 * self.max_s:
            self._restarts = 0
        exponent = min(self._restarts - 1, 32)
        self.delay_s = 0.0 if self._restarts == 0 else min(self.base_s * 2.0**exponent, self.max_s)
        self._restarts += 1
