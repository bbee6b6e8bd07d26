"""Who may read from a socket, at less cost than trio's own waiting, which registers a socket anew for each wait.

Here a socket is registered once, in an epoll of our own, which tells of every arrival once (edge-triggered). One task
in each process waits for that epoll and wakes who waits for the sockets that it names. What arrives while nobody waits
is remembered, so whoever comes later does not wait in vain.
"""

from __future__ import annotations

import select
from typing import NoReturn

import trio

__all__ = ["Readable"]

_ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_AT_ONCE = 256
"""How many arrivals are taken from the kernel before other tasks have their turn."""


class _Arrivals:
    """The epoll of this process, and who is told of what it says."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._told: dict[int, Readable] = {}

    async def run(self) -> NoReturn:
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, events in self._epoll.poll(0, _AT_ONCE):
                    readable = self._told.get(descriptor)
                    if readable is not None:
                        readable.tell(ended=bool(events & _ENDED))
        finally:
            self._epoll.close()

    def add(self, descriptor: int, readable: Readable) -> None:
        self._told[descriptor] = readable
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def remove(self, descriptor: int) -> None:
        del self._told[descriptor]
        if not self._epoll.closed:  # as it is for what is closed last of all
            self._epoll.unregister(descriptor)


_running: trio.lowlevel.RunVar[_Arrivals | None] = trio.lowlevel.RunVar("ha.world.real.readiness", default=None)


def _arrivals() -> _Arrivals:
    found = _running.get()
    if found is None:
        found = _Arrivals()
        _running.set(found)
        trio.lowlevel.spawn_system_task(found.run)
    return found


class Readable:
    """Whether one socket may have something to be read; to be closed before the socket is. Who has waited reads at
    once, lest what arrives meanwhile be taken for read, and calls `expect_more` if that was not all of it.
    """

    __slots__ = ("_arrivals", "_descriptor", "_has_ended", "_is_closed", "_may_have", "_task")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._may_have = self._has_ended = self._is_closed = False
        self._task: trio.lowlevel.Task | None = None
        self._arrivals = _arrivals()
        self._arrivals.add(descriptor, self)

    def expect_more(self) -> None:
        """There may be more."""
        self._may_have = True

    def tell(self, *, ended: bool) -> None:
        """Something arrived, or the connection ended."""
        self._may_have = True
        self._has_ended |= ended
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self) -> None:
        """Wait until something may be there, all of which is going to be read. The end of the connection can be read
        again and again. Raises BusyResourceError, ClosedResourceError.
        """
        if self._task is not None:
            raise trio.BusyResourceError("another task is receiving")
        if self._may_have:
            await trio.lowlevel.checkpoint()
        else:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._forget)
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed")
        self._may_have = self._has_ended

    def _forget(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

    def close(self) -> None:
        """Nothing is to be read any more; who waits is told."""
        self._is_closed = True
        self._arrivals.remove(self._descriptor)
        self.tell(ended=True)
