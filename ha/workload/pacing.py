"""When a client asks.

In an open loop arrivals come at a fixed rate, whatever the answers do: arrival n is due at ``start + n / rate``
and goes to the first client that is free. While all are busy arrivals wait, and are then taken as fast as
clients can. An operation is recorded from when it was really invoked: its latency is the service's. The wait
before it (what "coordinated omission" leaves out) is kept apart: how many arrivals were late, and by how much.

In a closed loop every client asks again as soon as it was answered.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from ha.world import Random

__all__ = ["Arrivals", "Backoff"]


class Arrivals:
    """One schedule for all clients of a workload. `rate_per_s` None: a closed loop."""

    def __init__(self, rate_per_s: float | None) -> None:
        self.rate_per_s = rate_per_s
        self._start = trio.current_time()
        self.taken = 0
        self.late = 0
        """Arrivals that no client was free for."""
        self.lateness_s_max = 0.0

    async def wait(self, until: trio.Event) -> bool:
        """Wait for the next arrival. False: `until` was set, there is none."""
        if until.is_set():
            return False
        if self.rate_per_s is None:
            self.taken += 1
            return True
        due = self._start + self.taken / self.rate_per_s
        self.taken += 1
        lateness_s = trio.current_time() - due
        if lateness_s > 0:
            self.late += 1
            self.lateness_s_max = max(self.lateness_s_max, lateness_s)
            return True
        with trio.move_on_at(due):
            await until.wait()
            self.taken -= 1
            return False
        return True


class Backoff:
    """Pauses after failures, so that a client does not hammer on what is down: doubling, bounded, jittered."""

    FIRST_S = 0.005
    LONGEST_S = 0.1

    def __init__(self, random: Random) -> None:
        self._random = random
        self._pauses = self._schedule()

    def reset(self) -> None:
        """Served again."""
        self._pauses = self._schedule()

    async def pause(self, until: trio.Event | None = None) -> None:
        """Wait a little; not beyond `until`."""
        with trio.move_on_after(next(self._pauses)):
            await (trio.Event() if until is None else until).wait()

    def _schedule(self) -> Iterator[float]:
        longest_s = self.FIRST_S
        while True:
            yield longest_s * self._random.uniform(0.5, 1.0)
            longest_s = min(2 * longest_s, self.LONGEST_S)
