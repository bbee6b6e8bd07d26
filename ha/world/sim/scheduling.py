"""What makes trio deterministic, and lets it hold the tasks of a paused process. The only file that does either.

trio orders each batch of runnable tasks at random, from a private generator, after sorting them by age only if a
private flag says so. `simulate` sets the flag and seeds the generator, for the time of the simulation, whatever they
were before (pytest-trio and Hypothesis set them as well when they are imported, so nothing is taken for granted).
The rest of trio's order is that of insertion, but for sets of tasks and for equal deadlines, which both only make
tasks runnable, and those are sorted. `self_test` runs a schedule that any of this would disturb.

A paused process (SIGSTOP) is one whose tasks are not run: whatever becomes runnable is kept aside until it resumes.
Deadlines and arrivals go on meanwhile, so on resuming its tasks find that time has passed, as after SIGCONT.
Which process a task belongs to stands in a context variable, which its children inherit.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator, MutableSequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from random import Random
from typing import Any, TypeVar

import outcome
import trio
from trio._core import _run

from ha.world.sim.clock import SimClock, StuckError
from ha.world.sim.escape import watched
from ha.world.sim.shortcuts import shortcuts

__all__ = ["PROCESS", "Gate", "deterministic", "self_test", "simulate"]

T = TypeVar("T")

_ASK_EVERY = 256
"""Passes of trio's loop."""

PROCESS: ContextVar[object | None] = ContextVar("PROCESS", default=None)
"""The simulated process that the current task belongs to; None outside of all."""

assert trio.__version__ == "0.35.0", (
    f"the private names used here and in shortcuts are those of trio 0.35.0, not {trio.__version__}"
)


def simulate(main: Callable[[], Awaitable[T]], *, seed: int) -> T:
    """Run `main` in virtual time, deterministically. Raises EscapeError when a component escaped from it (real clock,
    threads, unseeded randomness), StuckError when a task never waits, and whatever `main` raises.
    """
    clock = SimClock()
    watch = watched(lambda: PROCESS.get() is not None)
    with deterministic(seed), _without_io(), shortcuts(clock), _collected_on_purpose(), watch:
        try:
            # Ctrl-C must not fall into a component: whatever is raised there is its own exit, or a parser's bad input.
            return trio.run(main, clock=clock, restrict_keyboard_interrupt_to_checkpoints=True)
        except BaseException as error:
            if clock.stuck is not None:
                raise StuckError(clock.stuck) from error
            raise


class _Order(Random):
    """Nearly all batches are of one task, and shuffling them is a fair part of what a step of a task costs."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        if len(x) > 1:
            super().shuffle(x)


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Make the order in which trio runs tasks a function of `seed`."""
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r  # noqa: SLF001
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]  # noqa: SLF001
    _run._r = _Order(seed)  # noqa: SLF001
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r = before  # type: ignore[misc]  # noqa: SLF001


@contextmanager
def _without_io() -> Iterator[None]:
    """Ask the system for events only now and then: all that can come is Ctrl-C."""
    trio_run: Any = _run
    original: Any = trio_run.TheIOManager

    class Seldom(original):  # type: ignore[misc]  # which class it is depends on the platform
        passes = 0

        def get_events(self, timeout: float) -> object:
            self.passes += 1
            return super().get_events(timeout) if self.passes % _ASK_EVERY == 0 else []

    trio_run.TheIOManager = Seldom
    try:
        yield
    finally:
        trio_run.TheIOManager = original


@contextmanager
def _collected_on_purpose() -> Iterator[None]:
    """Leave garbage to the clock; see `ha.world.sim.clock`. What was imported is none."""
    was_enabled = gc.isenabled()
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Gate:
    """Holds the tasks of paused processes. One at a time is open, for as long as a world is."""

    def __init__(self) -> None:
        self._held: dict[object, list[_run.Task]] = {}
        self._reschedule = _run.Runner.reschedule

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let every task pass through this gate when it becomes runnable, as long as it holds anybody."""
        try:
            yield
        finally:
            _run.Runner.reschedule = self._reschedule  # type: ignore[method-assign]

    def _stand_in_the_way(self) -> None:
        original, held = self._reschedule, self._held

        def reschedule(
            runner: _run.Runner,
            task: _run.Task,
            next_send: outcome.Outcome[object] = _run._NO_SEND,  # noqa: SLF001
        ) -> None:
            original(runner, task, next_send)
            process = task.context.get(PROCESS)
            if process in held:
                runner.runq.pop()
                held[process].append(task)

        _run.Runner.reschedule = reschedule  # type: ignore[method-assign, assignment]

    def close(self, process: object) -> None:
        """Run none of the process's tasks from now on."""
        runnable = _run.GLOBAL_RUN_CONTEXT.runner.runq
        stopped = [task for task in runnable if task.context.get(PROCESS) is process]
        for task in stopped:
            runnable.remove(task)
        if not self._held:
            self._stand_in_the_way()
        self._held[process] = stopped

    def open(self, process: object) -> None:
        """Run them again, and what became runnable meanwhile."""
        _run.GLOBAL_RUN_CONTEXT.runner.runq.extend(self._held.pop(process, ()))
        if not self._held:
            _run.Runner.reschedule = self._reschedule  # type: ignore[method-assign]

    def is_closed(self, process: object) -> bool:
        """Whether the process is paused."""
        return process in self._held


def self_test(seed: int) -> list[int]:
    """A schedule that depends on all that trio leaves open: sets of tasks, equal deadlines, the order of batches."""
    ran: list[int] = []

    async def waits(number: int, event: trio.Event, until: float) -> None:
        with trio.move_on_at(until):
            await event.wait()
        ran.append(number)
        with trio.move_on_at(until + 1):
            await trio.sleep_forever()
        ran.append(-number)

    async def main() -> None:
        event = trio.Event()
        async with trio.open_nursery() as nursery:
            for number in range(1, 50):
                nursery.start_soon(partial(waits, number, event, 1.0 if number % 2 else 2.0))
            await trio.sleep(1)
            event.set()

    with deterministic(seed):
        trio.run(main, clock=SimClock())
    return ran
