"""Shortcuts through trio, for the time of a simulation: what trio does for real time, for a host's event loop, or for
instruments that nobody has, is a fair part of what a step of a task costs.

Nothing happens otherwise than it did, or in another order: a simulation without this has the same digest.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from math import inf
from types import coroutine
from typing import Any

import outcome
import trio
from trio._core import _run, _traps

from ha.world.sim.clock import SimClock, sleep
from ha.world.sim.replacing import replaced

__all__ = ["shortcuts"]


def shortcuts(clock: SimClock) -> AbstractContextManager[None]:
    """Let components sleep without a cancel scope, and trio and them ask for the time, set deadlines, and put tasks to
    sleep and wake them, by the shortest way.
    """
    shorter: list[tuple[object, str, object]] = [
        (trio, "sleep", sleep),
        (trio, "current_time", clock.current_time),
        (_run, "current_time", clock.current_time),
        (_run.CancelScope, "_might_change_registered_deadline", lambda self: _Registering(self)),  # noqa: PLW0108  (a method)
        (_run.Runner, "reschedule", _reschedule),
        (trio.lowlevel, "wait_task_rescheduled", _wait_task_rescheduled),
        (trio._core, "wait_task_rescheduled", _wait_task_rescheduled),  # noqa: SLF001
    ]
    return replaced(shorter)


class _Registering:
    """What trio's cancel scopes enter and close within, to have their deadline looked after. trio has a generator for
    it, which costs more than a class does.
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: trio.CancelScope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        """Whatever changes is seen afterwards."""

    def __exit__(self, *_: object) -> None:
        scope = self._scope
        is_over = scope._cancel_status is None or scope._cancel_called  # noqa: SLF001
        before, now = scope._registered_deadline, inf if is_over else scope._deadline  # noqa: SLF001
        if before != now:
            scope._registered_deadline = now  # noqa: SLF001
            deadlines = _run.GLOBAL_RUN_CONTEXT.runner.deadlines
            if before != inf:
                deadlines.remove(before, scope)
            if now != inf:
                deadlines.add(now, scope)


class _Nothing:
    """What a task is woken with when nobody has anything to tell it: an `outcome.Value` of None that, unlike those,
    serves any number of times.
    """

    __slots__ = ()

    def unwrap(self) -> None:
        """See `outcome.Outcome`."""


_NOTHING: Any = _Nothing()


def _reschedule(
    runner: _run.Runner,
    task: _run.Task,
    next_send: outcome.Outcome[object] = _run._NO_SEND,  # noqa: SLF001
) -> None:
    """As trio's, which also tells instruments of it, and a host's event loop."""
    assert task._next_send_fn is None  # noqa: SLF001
    task._next_send_fn = task.coro.send  # noqa: SLF001
    task._next_send = _NOTHING if next_send is _run._NO_SEND else next_send  # noqa: SLF001
    task._abort_func = None  # noqa: SLF001
    task.custom_sleep_data = None
    runner.runq.append(task)


@coroutine
def _wait_task_rescheduled(abort: Callable[[Any], trio.lowlevel.Abort]) -> Generator[Any, Any, Any]:
    """As trio's, which is a coroutine around a generator."""
    return (yield _traps.WaitTaskRescheduled(abort)).unwrap()
