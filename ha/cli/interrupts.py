"""Ctrl-C (and SIGTERM): the first one ends the work in order, the second one at once.

Either way nothing stays behind: every process of a run dies with the process that started it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from ha.cli import exits
from ha.experiment.failures import innermost
from ha.world.real.daemon import abandon

__all__ = ["InterruptedByUserError", "run_interruptible"]

T = TypeVar("T")


class InterruptedByUserError(Exception):
    """The user asked to stop, and everything was undone."""


def run_interruptible(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in trio. Raises InterruptedByUserError when it was stopped by a signal."""

    async def supervised() -> T:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            await nursery.start(_watch_signals, scope)
            with scope:
                result = await work()
                nursery.cancel_scope.cancel()
                return result
            nursery.cancel_scope.cancel()
        raise InterruptedByUserError("interrupted: faults undone, nothing left running")

    try:
        return trio.run(supervised)
    except BaseExceptionGroup as group:
        raise innermost(group) from None


async def _watch_signals(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if scope.cancel_called:
                abandon(exits.INTERRUPTED)
            print("ha: stopping; once more to stop at once", file=sys.stderr)
            scope.cancel()
