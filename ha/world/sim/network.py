"""The network as components see it: dial, listen, streams. See `ha.world.sim.wire` for what lies between."""

from __future__ import annotations

import errno
from collections.abc import Callable

import trio

from ha.world import Address, Copied, Stream
from ha.world.copying import copy_streams
from ha.world.sim.clock import clock, sleep_until
from ha.world.sim.wire import WINDOW_BYTES, Pipe, Wire

__all__ = ["SimListener", "SimNetwork", "SimStream"]

BACKLOG = 128
_FIRST_PORT, _PORTS = 32768, 28232
"""Where the ports of those who dial are, as on Linux."""


class SimStream(trio.abc.HalfCloseableStream):
    """One end of a connection. `peer`: the other end's ``ip:port``."""

    def __init__(self, owner: SimNetwork, sending: Pipe, receiving: Pipe, peer: str) -> None:
        self._owner, self.sending, self.receiving, self.peer = owner, sending, receiving, peer
        self._closed = self._sent_eof = self._is_sending = self._is_receiving = False
        owner.streams[self] = None

    def check_open(self) -> None:
        """Raise ClosedResourceError when this end was closed."""
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
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
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        await self.sending.wait_room(self)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving")
        self._is_receiving = True
        try:
            return await self.receiving.take(self, max_bytes or 65536)
        finally:
            self._is_receiving = False

    async def send_eof(self) -> None:
        """See `trio.abc.HalfCloseableStream`."""
        await trio.lowlevel.checkpoint()
        self.check_open()
        if not self._sent_eof:
            self._sent_eof = True
            self.sending.put(b"")

    async def aclose(self) -> None:
        """Close both directions; what was sent still arrives."""
        if not self._closed:
            if not self._sent_eof and not self.sending.is_closed_for_writing():
                self.sending.put(b"")
            self.forget()
            self.receiving.reader_left()
            self.sending.wake_writer()
        await trio.lowlevel.checkpoint()

    def forget(self) -> None:
        """Close this end without a word to the peer."""
        self._closed = True
        self._owner.streams.pop(self, None)


class SimListener(trio.abc.Listener[trio.abc.HalfCloseableStream]):
    """Accepts what is dialled to one address. Connections wait in the backlog also while the process is paused."""

    def __init__(self, owner: SimNetwork, address: Address) -> None:
        self.owner, self.address = owner, address
        self._sender, self._receiver = trio.open_memory_channel[SimStream](BACKLOG)
        owner.listeners[self] = None

    def offer(self, stream: SimStream) -> None:
        """Put a new connection into the backlog. Raises trio.WouldBlock when it is full."""
        self._sender.send_nowait(stream)

    async def accept(self) -> SimStream:
        """The next connection."""
        return await self._receiver.receive()

    def shut(self) -> None:
        """Stop listening now. Connections that nobody accepted are reset. Later calls do nothing: the address may be
        another's by then.
        """
        if self not in self.owner.listeners:
            return
        del self.owner.listeners[self]
        del self.owner.wire.listeners[self.address]
        while True:
            try:
                stream = self._receiver.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                break
            self.owner.wire.reset(stream)
            stream.forget()
        self._receiver.close()

    async def aclose(self) -> None:
        """Stop listening."""
        self.shut()
        await trio.lowlevel.checkpoint()


class SimNetwork:
    """The network as one process of one node sees it. Implements `ha.world.Network`. `ip` is the process's own
    address, `home` that of its node.
    """

    def __init__(self, wire: Wire, ip: str, home: str, is_attached: Callable[[], bool]) -> None:
        self.wire, self.ip, self._home, self._is_attached = wire, ip, home, is_attached
        if ip != home:
            wire.homes[ip] = home
        self.streams: dict[SimStream, None] = {}
        self.listeners: dict[SimListener, None] = {}

    async def dial(self, address: Address) -> SimStream:
        """Connect: one round trip, once both directions are open."""
        self._check_attached()
        wire, here, there = self.wire, self._home, self.wire.homes.get(address.ip, address.ip)
        await wire.until_open(here, there)
        now = clock().current_time()
        answered = wire.arrival(wire.link(there, here), wire.arrival(wire.link(here, there), now, 0), 0)
        await sleep_until(answered)
        await wire.until_open(here, there)
        self._check_attached()
        listener = wire.listeners.get(address)
        link = wire.link(here, there)
        if listener is None or link.refusals:
            link.refused += link.refusals > 0
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"connection to {address} refused")
        out, back = wire.connection(here, there)
        mine = SimStream(self, out, back, str(address))
        theirs = SimStream(listener.owner, back, out, f"{self.ip}:{_FIRST_PORT + out.number % _PORTS}")
        try:
            listener.offer(theirs)
        except trio.WouldBlock:
            mine.forget()
            theirs.forget()
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"the backlog of {address} is full") from None
        return mine

    async def listen(self, port: int) -> SimListener:
        """Listen on this node's address."""
        self._check_attached()
        await trio.lowlevel.checkpoint()
        address = Address(self.ip, port)
        if address in self.wire.listeners:
            raise OSError(errno.EADDRINUSE, f"address in use: {address}")
        self.wire.listeners[address] = listener = SimListener(self, address)
        return listener

    async def copy(self, source: Stream, sink: Stream, count: Callable[[int], None]) -> Copied:
        """See `ha.world.Network.copy`."""
        return await copy_streams(source, sink, count)

    def detach(self, *, reset: bool) -> None:
        """Take the process off the network. With `reset` its peers notice; without they hear nothing."""
        for listener in list(self.listeners):
            listener.shut()
        for stream in list(self.streams):
            stream._closed = True  # noqa: SLF001  (both are this file's)
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
            raise OSError(errno.ENETDOWN, "the process is gone")
