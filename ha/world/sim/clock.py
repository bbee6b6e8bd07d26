"""Virtual time, and whatever happens at a point of it without a task of its own: arrivals, completed syncs.

trio jumps a `MockClock` to the next deadline when no task can run. This one also keeps a queue of events; the jump
goes to whichever comes first, and an event is a plain call: no task, no cancel scope, no Cancelled to throw and catch.
That is what makes a simulated message cheap.

Garbage is collected here and nowhere else during a simulation: where a collection falls would otherwise depend on the
process's past, and what it finalizes (a generator, say) may schedule tasks.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio
import trio.testing

__all__ = ["SimClock", "StuckError", "clock", "sleep", "sleep_until"]

_COLLECT_EVERY = 100_000
"""Events."""
_STUCK_AFTER = 5_000_000
"""How often the time may be asked for without its going on: trio's loop alone asks once a pass."""


class StuckError(BaseException):
    """Virtual time stands still: some task never waits. Not an Exception, so that no component takes it for its own."""


class _MayBeSubclassed:
    """trio declares MockClock final by its ``__init_subclass__``; this one is found before."""

    def __init_subclass__(cls) -> None:
        """Allow it: the run loop asks for a MockClock, and calls nothing but its ``_autojump``."""


class SimClock(_MayBeSubclassed, trio.testing.MockClock):  # type: ignore[misc]  # final, see above
    """Starts at zero, and moves only when nothing can run."""

    def __init__(self) -> None:
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._processed = 0
        self._asked = 0
        self.stuck: str | None = None
        """Why the simulation cannot go on."""
        super().__init__(autojump_threshold=0)

    def current_time(self) -> float:
        """Seconds since the simulation began."""
        self._asked += 1
        if self._asked > _STUCK_AFTER:
            self._give_up()
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """For trio: whether it may wait. How long does not matter, since the clock jumps."""
        return 0 if deadline <= self._now else 86400

    def jump(self, seconds: float) -> None:
        """Let time pass at once; events that were due are handled when nothing can run."""
        self._now += seconds

    def call_at(self, at: float, event: Callable[[], None]) -> None:
        """Call `event` at that time, or as soon as nothing can run if it is past. In order of time, then of calling."""
        heappush(self._events, (at, next(self._order), event))

    def _autojump(self) -> None:
        runner = trio._core._run.GLOBAL_RUN_CONTEXT.runner  # noqa: SLF001  (trio is pinned)
        events = self._events
        runnable = runner.runq
        deadline = runner.deadlines.next_deadline()
        while events and events[0][0] <= deadline:
            at, _, event = heappop(events)
            if at > self._now:
                self._now, self._asked = at, 0
            event()
            self._count()
            if runnable:
                return
            deadline = runner.deadlines.next_deadline()
        if self._now < deadline < inf:
            self._now, self._asked = deadline, 0
            runner.deadlines.expire(deadline)  # as trio would in its next pass

    def _give_up(self) -> None:
        """End the simulation as Ctrl-C would, so that whatever runs is cancelled in order. Raises StuckError when not
        even that ends.
        """
        runner = trio._core._run.GLOBAL_RUN_CONTEXT.runner  # noqa: SLF001  (trio is pinned)
        if self.stuck is None:
            runs = ", ".join(sorted({task.name for task in runner.runq})[:3])
            self.stuck = f"virtual time has stood still at {self._now} s" + (f", with {runs}" if runs else "")
            runner.deliver_ki()
        elif self._asked > 2 * _STUCK_AFTER:
            raise StuckError(self.stuck)

    def _count(self) -> None:
        self._processed += 1
        if self._processed % _COLLECT_EVERY == 0 and not gc.isenabled():
            gc.collect()


def clock() -> SimClock:
    """The clock of the simulation that is running."""
    found = trio._core._run.GLOBAL_RUN_CONTEXT.runner.clock  # noqa: SLF001  (trio is pinned)
    assert isinstance(found, SimClock), "a simulated world needs the clock of a simulation: use simulate()"
    return found


async def sleep_until(at: float) -> None:
    """`trio.sleep_until`, cheaper: no cancel scope."""
    task = trio.lowlevel.current_task()
    waits = True

    def over() -> None:
        if waits:
            trio.lowlevel.reschedule(task)

    def abort(_: object) -> trio.lowlevel.Abort:
        nonlocal waits
        waits = False
        return trio.lowlevel.Abort.SUCCEEDED

    clock().call_at(at, over)
    await trio.lowlevel.wait_task_rescheduled(abort)


async def sleep(seconds: float) -> None:
    """`trio.sleep`, cheaper: no cancel scope. Raises ValueError when `seconds` is negative or not a number."""
    if not seconds >= 0:
        raise ValueError(f"cannot sleep for {seconds} seconds")
    if seconds == 0:
        await trio.lowlevel.checkpoint()
    else:
        await sleep_until(clock().current_time() + seconds)
