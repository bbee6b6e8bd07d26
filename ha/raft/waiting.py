"""Waiting at little cost: callers for an answer, the driver for something to do.

An event and a cancel scope for each call would cost more than all else that a member does for it, so here a task is
put to sleep and woken directly, and one task for all looks after time.
"""

from __future__ import annotations

from math import inf
from typing import NoReturn

import trio

from ha.raft.errors import NotInTimeError, RaftError

__all__ = ["Alarm", "Waiter", "Waits"]


class Waiter:
    """A caller that waits: for the answer to a command, or for a barrier to be passed. It is told once, what is told
    later is ignored.
    """

    __slots__ = ("_task", "answer", "command", "due_s", "error", "is_over", "was_sent")

    def __init__(self, due_s: float, command: bytes = b"") -> None:
        self.due_s = due_s
        self.command = command
        self.was_sent = False
        self.answer: object = None
        self.error: RaftError | None = None
        self.is_over = False
        """Whether it was told, or has given up."""
        self._task: trio.lowlevel.Task | None = None

    def finish(self, answer: object = None) -> None:
        """The answer is there."""
        if not self.is_over:
            self.answer = answer
            self._end()

    def fail(self, error: RaftError) -> None:
        """There will be no answer."""
        if not self.is_over:
            self.error = error
            self._end()

    def _end(self) -> None:
        self.is_over = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)

    async def until_told(self) -> None:
        """Wait for either. Nothing is to be told any more when this has been cancelled."""
        if self.is_over:
            await trio.lowlevel.checkpoint()
        else:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._give_up)

    def _give_up(self, _: object) -> trio.lowlevel.Abort:
        self.is_over = True  # now: the task is woken already, and may be answered before it runs
        return trio.lowlevel.Abort.SUCCEEDED


class Waits:
    """All callers that wait, none longer than `timeout_s` from the beginning of its call; `expire` sees to that."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._waiting: dict[Waiter, None] = {}
        self._looks_s = inf
        self._earlier = trio.lowlevel.ParkingLot()

    def due_s(self) -> float:
        """When a call that begins now has taken too long."""
        return trio.current_time() + self._timeout_s

    async def wait(self, waiter: Waiter) -> object:
        """Wait for the answer. Raises the error, NotInTimeError among others."""
        if waiter.due_s < self._looks_s:
            self._looks_s = waiter.due_s
            self._earlier.unpark_all()
        self._waiting[waiter] = None
        try:
            await waiter.until_told()
        finally:
            del self._waiting[waiter]
        if waiter.error is not None:
            raise waiter.error
        return waiter.answer

    async def expire(self) -> NoReturn:
        """Fail those that wait for too long, until cancelled."""
        while True:
            with trio.move_on_at(self._looks_s):
                await self._earlier.park()
                continue
            now = trio.current_time()
            for waiter in self._waiting:
                if waiter.due_s <= now:
                    waiter.fail(NotInTimeError("no answer came in time"))
            self._looks_s = min((w.due_s for w in self._waiting if w.due_s > now), default=inf)


class Alarm:
    """Wakes one task, when it is rung or when a time has come; `run` looks after the time. A time that recedes costs
    nothing, and those of heartbeats and elections hardly do anything else.
    """

    def __init__(self) -> None:
        self._is_rung = False
        self._due_s = self._set_s = inf
        self._scope = trio.CancelScope()
        self._task: trio.lowlevel.Task | None = None

    def ring(self) -> None:
        """Wake the task that waits, or the next one that is going to."""
        self._is_rung = True
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self, due_s: float) -> None:
        """Wait until it is rung, or for this time at the latest."""
        self._due_s = due_s
        if due_s < self._set_s:
            self._set_s = self._scope.deadline = due_s
        if self._is_rung or due_s <= trio.current_time():
            await trio.lowlevel.checkpoint()
        else:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._forget)
        self._is_rung = False

    def _forget(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def run(self) -> NoReturn:
        """Ring when the time has come, until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._set_s) as self._scope:
                await trio.sleep_forever()
            if self._due_s <= trio.current_time():
                self._set_s = inf
                self.ring()
            else:
                self._set_s = self._due_s
