"""Bytes from one socket to another, at the least cost that Python has: two system calls for each piece, and no task.

A task that receives and sends would be scheduled twice for each piece, and register with trio's epoll twice; that is
three times the cost of the system calls. So one pump in each process has an epoll of its own, in which sockets stay
registered as long as bytes pass; trio wakes the pump's task when any of them is ready, and it serves all that are.
(Rejected: raw sockets in a task for each direction, half as fast with many connections.)

Large pieces go through a pipe, by splice(2), so that they are never copied; a pipe is two descriptors, so there is one
only as long as pieces are large.

Back-pressure: what the sink does not take at once is kept, and nothing more is read until it is gone. A passage is
given up when a stream must look after its bytes itself (`release`): what was read and not yet sent is handed over.
"""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import trio

from ha.world import Copied

__all__ = ["Passed", "passed", "release"]

_BUFFER_BYTES = 64 * 1024
_PIPE_BYTES = 1024 * 1024
"""As large as anybody may make one."""
_SMALL_BYTES = 4 * 1024
_NOW = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
_AT_ONCE = 64
"""How many sockets are served before other tasks have their turn."""


class Passed(NamedTuple):
    """How a passage ended: None when it was given up. `rest`: what was read and not sent by then."""

    how: Copied | None
    rest: bytes = b""


class _Passage:
    """One direction of a connection: takes a piece from its source, gives it to its sink, and takes the next one when
    all of it is gone.
    """

    __slots__ = ("_pipe", "_piped_bytes", "_rest", "count", "ended", "how", "sink", "source", "waits")

    def __init__(self, source: int, sink: int, count: Callable[[int], None]) -> None:
        self.source, self.sink, self.count = source, sink, count
        self.waits = False
        """Whether there is something that the sink has not taken yet."""
        self.how: Copied | None = None
        self.ended = trio.Event()
        self._rest: bytes | memoryview = b""
        self._pipe: tuple[int, int] | None = None
        self._piped_bytes = 0

    def take(self, buffer: memoryview) -> int:
        """How much there is now; 0: the end. Raises OSError. What is not given at once must be kept (`keep`)."""
        if self._pipe is not None:
            self._piped_bytes = os.splice(self.source, self._pipe[1], _PIPE_BYTES, flags=_NOW)
            return self._piped_bytes
        size = os.readv(self.source, (buffer,))
        self._rest = buffer[:size]
        return size

    def give(self) -> bool:
        """Whether the sink has taken all of it. Raises OSError."""
        if self._piped_bytes:
            assert self._pipe is not None, "that is where they are"
            self._piped_bytes -= os.splice(self._pipe[0], self.sink, self._piped_bytes, flags=_NOW)
        else:
            self._rest = self._rest[os.write(self.sink, self._rest) :]
        return not (self._piped_bytes or self._rest)

    def keep(self) -> None:
        """The buffer is about to be used by others."""
        self._rest = bytes(self._rest)

    def suit(self, size: int) -> None:
        """Have a pipe as long as pieces are large. The last one, which is gone, was of this size."""
        if self._pipe is None and size == _BUFFER_BYTES:
            try:
                self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
                fcntl.fcntl(self._pipe[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            except OSError:
                pass  # descriptors, or memory for pipes, are short: without one, or with a small one, it is only slower
        elif self._pipe is not None and size < _SMALL_BYTES:
            self.close()

    def close(self) -> bytes:
        """What was taken and not given."""
        rest = bytes(self._rest)
        if self._pipe is not None:
            if self._piped_bytes:
                rest = os.read(self._pipe[0], self._piped_bytes)
            for fd in self._pipe:
                os.close(fd)
            self._pipe = None
        return rest


class _Pump:
    """All passages of this process. Registered are the sources of those that may take, and the sinks of those that have
    something to give.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._by_source: dict[int, _Passage] = {}
        self._by_sink: dict[int, _Passage] = {}
        self._masks: dict[int, int] = {}
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))

    async def run(self) -> NoReturn:
        """Serve until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for fd, events in self._epoll.poll(0, _AT_ONCE):
                    if events & ~select.EPOLLOUT:
                        self._take(fd)
                    if events & ~select.EPOLLIN:
                        self._give(fd)
        finally:
            self._epoll.close()

    def begin(self, passage: _Passage) -> None:
        """Look after it until it has ended or is removed."""
        assert passage.source not in self._by_source, "one passage at a time reads from a socket"
        assert passage.sink not in self._by_sink, "one passage at a time writes to a socket"
        self._by_source[passage.source] = self._by_sink[passage.sink] = passage
        self._watch(passage)

    def remove(self, passage: _Passage) -> None:
        """Look after it no longer; its descriptors may be closed afterwards."""
        if self._by_source.get(passage.source) is passage:
            del self._by_source[passage.source], self._by_sink[passage.sink]
            self._watch(passage)

    def release(self, fd: int) -> None:
        """Give up what passes through a socket, either way."""
        for passage in (self._by_source.get(fd), self._by_sink.get(fd)):
            if passage is not None:
                self._end(passage, None)

    def _take(self, fd: int) -> None:
        passage = self._by_source.get(fd)
        if passage is None or passage.waits:
            return
        try:
            size = passage.take(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            self._end(passage, "source broken")
            return
        if not size:
            self._end(passage, "end")
            return
        passage.count(size)
        if self._given(passage):
            passage.suit(size)
        elif passage.how is None:
            passage.keep()
            passage.waits = True
            self._watch(passage)

    def _give(self, fd: int) -> None:
        passage = self._by_sink.get(fd)
        if passage is not None and passage.waits and self._given(passage):
            passage.waits = False
            self._watch(passage)

    def _given(self, passage: _Passage) -> bool:
        try:
            return passage.give()
        except BlockingIOError:
            return False
        except OSError:
            self._end(passage, "sink broken")
            return False

    def _end(self, passage: _Passage, how: Copied | None) -> None:
        self.remove(passage)
        passage.how = how
        passage.ended.set()

    def _watch(self, passage: _Passage) -> None:
        """Register both descriptors for what is waited for; when nothing is, not at all, for else their end would be
        told again and again.
        """
        for fd in (passage.source, passage.sink):
            source, sink = self._by_source.get(fd), self._by_sink.get(fd)
            takes, gives = source is not None and not source.waits, sink is not None and sink.waits
            mask = select.EPOLLIN * takes | select.EPOLLOUT * gives
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
        rest = passage.close()
    return Passed(passage.how, rest)


def release(fd: int) -> None:
    """Give up the passages of a socket that is to be closed, or whose stream looks after its bytes from now on."""
    pump = _running.get()
    if pump is not None:
        pump.release(fd)
