"""An in-memory `ha.world.Network` in virtual time: latency, bounded buffers, partitions, resets, silence.

It behaves as TCP does. Bytes arrive in order after a latency; a writer waits when the peer does not read. While
a direction is *cut*, bytes sent into it wait and arrive after the cut is healed, as retransmissions do. A
*reset* (the peer's process was killed) is seen by the other side after the latency; a node that lost its power
says nothing at all until it boots again, and then answers old connections with a reset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

import trio

from ha.world import Address

__all__ = ["FakeListener", "FakeNetwork", "FakeStream", "Wire"]

WINDOW_BYTES = 256 * 1024


class Wire:
    """What all nodes share: who listens, which directions are cut, every open pipe."""

    def __init__(self, random: Random, latency_s: tuple[float, float]) -> None:
        self.random = random
        self.latency_s = latency_s
        self.extra_latency_s: dict[tuple[str, str], float] = {}
        self.listeners: dict[Address, FakeListener] = {}
        self.silent: set[str] = set()
        self._cuts: set[tuple[str, str]] = set()
        self._pipes: dict[_Pipe, None] = {}
        self._changed = trio.Event()

    def latency(self, source: str, destination: str) -> float:
        """Draw the delay of the next bytes from one IP address to another."""
        return self.random.uniform(*self.latency_s) + self.extra_latency_s.get((source, destination), 0.0)

    def is_cut(self, source: str, destination: str) -> bool:
        """Whether nothing gets through in this direction now."""
        return (source, destination) in self._cuts or source in self.silent or destination in self.silent

    def cut(self, source: str, destination: str) -> None:
        """Let nothing through from one IP address to another."""
        self._cuts.add((source, destination))
        self.notify()

    def heal(self) -> None:
        """Remove every cut and every extra latency."""
        self._cuts.clear()
        self.extra_latency_s.clear()
        self.notify()

    def notify(self) -> None:
        """Wake everything that waits on the state of the network."""
        self._changed.set()
        self._changed = trio.Event()
        for pipe in self._pipes:
            pipe.wake()

    async def until_open(self, source: str, destination: str) -> None:
        """Wait until both directions are open."""
        while self.is_cut(source, destination) or self.is_cut(destination, source):
            await self._changed.wait()

    def open_pipe(self, source: str, destination: str) -> _Pipe:
        """One direction of a new connection."""
        pipe = _Pipe(self, source, destination)
        self._pipes[pipe] = None
        return pipe

    def forget(self, pipe: _Pipe) -> None:
        """Drop a pipe that both ends have left."""
        self._pipes.pop(pipe, None)

    def reset(self, stream: FakeStream) -> None:
        """Break a connection from one end, as the kernel does when the process that owned it is gone."""
        stream.sending.break_off()
        stream.receiving.reader_left()


class _Pipe:
    """One direction of a connection: segments with their time of arrival. An empty segment is the end."""

    def __init__(self, wire: Wire, source: str, destination: str) -> None:
        self.wire, self.source, self.destination = wire, source, destination
        self._segments: deque[tuple[float, bytes]] = deque()
        self._in_flight_bytes = 0
        self._last_arrival_s = 0.0
        self._reset_at_s: float | None = None
        self._reader_left = False
        self._lot = trio.lowlevel.ParkingLot()

    def wake(self) -> None:
        self._lot.unpark_all()

    def put(self, data: bytes) -> None:
        arrival = trio.current_time() + self.wire.latency(self.source, self.destination)
        self._last_arrival_s = max(self._last_arrival_s, arrival)
        self._segments.append((self._last_arrival_s, data))
        self._in_flight_bytes += len(data)
        self.wake()

    def break_off(self) -> None:
        """The writer is gone: the reader gets what had arrived in order, then a reset."""
        if self._reset_at_s is None:
            latest = trio.current_time() + self.wire.latency(self.source, self.destination)
            self._reset_at_s = max(self._last_arrival_s, latest)
        self.wake()

    def reader_left(self) -> None:
        """The reader is gone: the writer's next bytes are answered with a reset."""
        self._reader_left = True
        self._segments.clear()
        self.wire.forget(self)
        self.wake()

    def is_closed_for_writing(self) -> bool:
        return (self._reader_left or self._reset_at_s is not None) and not self.wire.is_cut(
            self.destination, self.source
        )

    async def wait_room(self, stream: FakeStream) -> None:
        while True:
            stream.check_open()
            if self.is_closed_for_writing():
                raise trio.BrokenResourceError("connection reset by peer")
            if self._in_flight_bytes < WINDOW_BYTES:
                return
            await self._lot.park()

    async def take(self, stream: FakeStream, max_bytes: int) -> bytes:
        while True:
            stream.check_open()
            wake_at = self._next_arrival()
            if wake_at is None:
                await self._lot.park()
            elif wake_at > trio.current_time():
                with trio.move_on_at(wake_at):
                    await self._lot.park()
            else:
                return self._deliver(max_bytes)

    def _next_arrival(self) -> float | None:
        if self.wire.is_cut(self.source, self.destination):
            return None
        if self._segments:
            return self._segments[0][0]
        return self._reset_at_s

    def _deliver(self, max_bytes: int) -> bytes:
        if not self._segments:
            raise trio.BrokenResourceError("connection reset by peer")
        arrival, data = self._segments[0]
        if not data:
            return b""
        self._segments.popleft()
        if len(data) > max_bytes:
            self._segments.appendleft((arrival, data[max_bytes:]))
            data = data[:max_bytes]
        self._in_flight_bytes -= len(data)
        self.wake()
        return data


class FakeStream(trio.abc.HalfCloseableStream):
    """One end of a connection."""

    def __init__(self, owner: FakeNetwork, sending: _Pipe, receiving: _Pipe) -> None:
        self._owner, self.sending, self.receiving = owner, sending, receiving
        self._closed = self._sent_eof = self._is_sending = self._is_receiving = False
        owner.streams[self] = None

    def check_open(self) -> None:
        """Raise ClosedResourceError when this end was closed."""
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending")
        if self._sent_eof:
            raise trio.ClosedResourceError("end of file was sent")
        self._is_sending = True
        try:
            rest = bytes(data)
            await self.sending.wait_room(self)
            while rest:
                self.sending.put(rest[:WINDOW_BYTES])
                rest = rest[WINDOW_BYTES:]
                if rest:
                    await self.sending.wait_room(self)
        finally:
            self._is_sending = False

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()
        await self.sending.wait_room(self)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving")
        self._is_receiving = True
        try:
            return await self.receiving.take(self, max_bytes or 65536)
        finally:
            self._is_receiving = False

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self.check_open()
        if not self._sent_eof:
            self._sent_eof = True
            self.sending.put(b"")

    async def aclose(self) -> None:
        if not self._closed:
            if not self._sent_eof and not self.sending.is_closed_for_writing():
                self.sending.put(b"")
            self._closed = True
            self.receiving.reader_left()
            self.sending.wake()
            self._owner.streams.pop(self, None)
        await trio.lowlevel.checkpoint()


class FakeListener(trio.abc.Listener[trio.abc.HalfCloseableStream]):
    """Accepts what is dialled to one address."""

    def __init__(self, owner: FakeNetwork, address: Address) -> None:
        self._owner, self.address = owner, address
        self._sender, self._receiver = trio.open_memory_channel[FakeStream](128)
        owner.listeners[self] = None

    def offer(self, stream: FakeStream) -> None:
        """Put a new connection into the backlog. Raises trio.WouldBlock when it is full."""
        self._sender.send_nowait(stream)

    async def accept(self) -> FakeStream:
        return await self._receiver.receive()

    def shut(self) -> None:
        """Stop listening now."""
        self._owner.wire.listeners.pop(self.address, None)
        self._owner.listeners.pop(self, None)
        self._receiver.close()

    async def aclose(self) -> None:
        self.shut()
        await trio.lowlevel.checkpoint()


class FakeNetwork:
    """The network as one process of one node sees it. Implements `ha.world.Network`."""

    def __init__(self, wire: Wire, ip: str, is_attached: Callable[[], bool]) -> None:
        self.wire, self.ip, self._is_attached = wire, ip, is_attached
        self.streams: dict[FakeStream, None] = {}
        self.listeners: dict[FakeListener, None] = {}

    async def dial(self, address: Address) -> FakeStream:
        self._check_attached()
        await self.wire.until_open(self.ip, address.ip)
        await trio.sleep(2 * self.wire.latency(self.ip, address.ip))
        await self.wire.until_open(self.ip, address.ip)
        self._check_attached()
        listener = self.wire.listeners.get(address)
        if listener is None:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        there, back = self.wire.open_pipe(self.ip, address.ip), self.wire.open_pipe(address.ip, self.ip)
        server = FakeStream(listener._owner, back, there)
        try:
            listener.offer(server)
        except trio.WouldBlock:
            raise ConnectionRefusedError(f"the backlog of {address} is full") from None
        return FakeStream(self, there, back)

    async def listen(self, port: int) -> FakeListener:
        self._check_attached()
        await trio.lowlevel.checkpoint()
        address = Address(self.ip, port)
        if address in self.wire.listeners:
            raise OSError(f"address in use: {address}")
        self.wire.listeners[address] = listener = FakeListener(self, address)
        return listener

    def detach(self, *, reset: bool) -> None:
        """Take the process off the network. With `reset` its peers notice; without they hear nothing."""
        for listener in list(self.listeners):
            listener.shut()
        for stream in list(self.streams):
            stream._closed = True
            if reset:
                self.wire.reset(stream)
        if reset:
            self.streams.clear()

    def reset_forgotten(self) -> None:
        """The node is up again and knows nothing of its old connections: answer them with a reset."""
        for stream in list(self.streams):
            self.wire.reset(stream)
        self.streams.clear()

    def _check_attached(self) -> None:
        if not self._is_attached():
            raise OSError("the process is gone")
