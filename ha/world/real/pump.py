"""Bytes from one socket to another, at the least cost that Python has: two system calls and no task for each piece.

A task that receives and sends would be scheduled twice for each piece, and register with trio's epoll twice; that is
three times the cost of the system calls. So one pump in each process has an epoll of its own, in which sockets stay
registered as long as bytes pass; trio wakes the pump's task when any of them is ready, and it serves all that are.
(Rejected: raw sockets in a task for each direction, half as fast with many connections; splice(2), which costs two
descriptors for each direction and helps large bodies only.)

Back-pressure: what the sink does not take at once is kept, and nothing more is read until it is gone. A passage is
given up when a stream must look after its bytes itself (`release`): what was read and not yet sent is handed over.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import trio

from ha.world import Copied

__all__ = ["Passed", "passed", "release"]

_BUFFER_BYTES = 256 * 1024
_AT_ONCE = 64
"""How many sockets are served before other tasks have their turn."""


class Passed(NamedTuple):
    """How a passage ended: None when it was given up. `rest`: what was read and not sent by then."""

    how: Copied | None
    rest: bytes = b""


class _Passage:
    """One direction of a connection. `rest`: what waits until the sink takes more."""

    __slots__ = ("count", "ended", "how", "rest", "sink", "source")

    def __init__(self, source: int, sink: int, count: Callable[[int], None]) -> None:
        self.source, self.sink, self.count = source, sink, count
        self.rest = b""
        self.how: Copied | None = None
        self.ended = trio.Event()


class _Pump:
    """Registered are the sources of passages that may go on, and the sinks of those that wait for theirs."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sources: dict[int, _Passage] = {}
        self._sinks: dict[int, _Passage] = {}
        self._masks: dict[int, int] = {}
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))

    async def run(self) -> NoReturn:
        """Serve until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for fd, events in self._epoll.poll(0, _AT_ONCE):
                    if events & ~select.EPOLLOUT and (passage := self._sources.get(fd)) is not None:
                        self._read(passage)
                    if events & ~select.EPOLLIN and (passage := self._sinks.get(fd)) is not None:
                        self._write(passage)
        finally:
            self._epoll.close()

    def begin(self, passage: _Passage) -> None:
        assert passage.source not in self._sources, "one passage at a time reads from a socket"
        self._sources[passage.source] = passage
        self._watch(passage.source)

    def remove(self, passage: _Passage) -> None:
        """Look after it no longer; the descriptors may be closed afterwards."""
        if self._sources.get(passage.source) is passage:
            del self._sources[passage.source]
            self._watch(passage.source)
        if self._sinks.get(passage.sink) is passage:
            del self._sinks[passage.sink]
            self._watch(passage.sink)

    def release(self, fd: int) -> None:
        both = [*self._sources.values(), *self._sinks.values()]
        for passage in [one for one in both if fd in (one.source, one.sink)]:
            self._end(passage, None)

    def _read(self, passage: _Passage) -> None:
        buffer = self._buffer
        try:
            size = os.readv(passage.source, (buffer,))
        except BlockingIOError:
            return
        except OSError:
            self._end(passage, "source broken")
            return
        if not size:
            self._end(passage, "end")
            return
        passage.count(size)
        try:
            sent = os.write(passage.sink, buffer[:size])
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(passage, "sink broken")
            return
        if sent < size:
            passage.rest = bytes(buffer[sent:size])
            del self._sources[passage.source]
            self._watch(passage.source)
            self._sinks[passage.sink] = passage
            self._watch(passage.sink)

    def _write(self, passage: _Passage) -> None:
        try:
            passage.rest = passage.rest[os.write(passage.sink, passage.rest) :]
        except BlockingIOError:
            return
        except OSError:
            self._end(passage, "sink broken")
            return
        if not passage.rest:
            del self._sinks[passage.sink]
            self._watch(passage.sink)
            self.begin(passage)

    def _end(self, passage: _Passage, how: Copied | None) -> None:
        self.remove(passage)
        passage.how = how
        passage.ended.set()

    def _watch(self, fd: int) -> None:
        """Register a descriptor for what is waited for: not at all when nothing is, for its end would be told again and
        again.
        """
        mask = select.EPOLLIN * (fd in self._sources) | select.EPOLLOUT * (fd in self._sinks)
        before = self._masks.pop(fd, 0)
        if mask:
            self._masks[fd] = mask
        if not before and mask:
            self._epoll.register(fd, mask)
        elif before and not mask:
            self._epoll.unregister(fd)
        elif before != mask:
            self._epoll.modify(fd, mask)


_running: trio.lowlevel.RunVar[_Pump | None] = trio.lowlevel.RunVar("ha.world.real.pump", default=None)


async def passed(source: int, sink: int, count: Callable[[int], None]) -> Passed:
    """Pass on what arrives at one socket to another, until its end, or until either is released. Nobody else may read
    from the one or write to the other meanwhile. Cancelled, it forgets what was read and not sent.
    """
    pump = _running.get()
    if pump is None:
        pump = _Pump()
        _running.set(pump)
        trio.lowlevel.spawn_system_task(pump.run)
    passage = _Passage(source, sink, count)
    pump.begin(passage)
    try:
        await passage.ended.wait()
    finally:
        pump.remove(passage)
    return Passed(passage.how, passage.rest)


def release(fd: int) -> None:
    """Give up the passages of a socket that is to be closed, or whose stream looks after its bytes from now on."""
    pump = _running.get()
    if pump is not None:
        pump.release(fd)
