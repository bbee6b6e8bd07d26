"""A connection that this process dialled to another node, and what is under way on it while its links are disturbed.

While neither link is, it sends and receives as any socket does (`ha.world.real.sockets`). Once one is, each direction
goes through a pipe of its own: what is sent waits there until it may pass, and a task writes it to the socket; what the
socket receives is taken by another task and waits there until it may be read. Order is kept; each pipe takes a window
of bounded size, then its writer waits (of what comes in, the peer, once the kernel's buffers are full as well). Over a
cut link nothing passes; what waits passes when it is mended, as TCP retransmits it. Acknowledgements are modelled, too:
when the way back is cut, no more than a window passes.

What the kernel tells by itself is held up like data: an end of file, a reset. A connection that is closed over a cut
link is closed once it is mended. What cannot be held up is the end of this process: its kernel tells the peer at once.

When the links are as they should be and nothing waits any more, the pipes are taken away.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque

import trio

from ha.world.real import pump
from ha.world.real.links import Direction, Route
from ha.world.real.sockets import Receiver, prepare, send_now

__all__ = ["WINDOW_BYTES", "DialledStream"]

WINDOW_BYTES = 256 * 1024
_RECEIVE_BYTES = 64 * 1024
_EOF = b""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Pipe:
    """One direction of a disturbed connection: what waits, since when it may pass. None stands for closing."""

    def __init__(self, direction: Direction, back: Direction) -> None:
        self._direction, self._back = direction, back
        self._waiting: deque[tuple[float, bytes | OSError | None]] = deque()
        self._last_arrival = 0.0
        self._used_bytes = self._unacknowledged_bytes = 0
        self._changes = trio.lowlevel.ParkingLot()
        self.reading: trio.CancelScope | None = None
        """Of the task that fills it from the socket."""

    @property
    def is_full(self) -> bool:
        return self._used_bytes >= WINDOW_BYTES

    @property
    def is_over(self) -> bool:
        """Whether it has done its work."""
        return not (self._waiting or self._direction.is_disturbed or self._back.is_disturbed)

    def put(self, item: bytes | OSError | None) -> None:
        size = len(item) if isinstance(item, bytes) else 0
        self._last_arrival = max(self._last_arrival, self._direction.arrival(size))
        self._waiting.append((self._last_arrival, item))
        self._used_bytes += size
        self.wake()

    def is_due(self) -> bool:
        """Whether something may pass now."""
        return bool(self._waiting) and not self._direction.is_cut and self._waiting[0][0] <= trio.current_time()

    def head(self) -> bytes | OSError | None:
        return self._waiting[0][1]

    def pop(self, size: int) -> None:
        """So many bytes of the first item passed."""
        at, item = self._waiting.popleft()
        if isinstance(item, bytes) and size < len(item):
            self._waiting.appendleft((at, item[size:]))
        if self._back.is_cut:
            self._unacknowledged_bytes += size
        else:
            self._used_bytes -= size
        self.wake()

    def changed(self) -> None:
        """Links were disturbed or mended."""
        if not self._back.is_cut:
            self._used_bytes -= self._unacknowledged_bytes
            self._unacknowledged_bytes = 0
        self.wake()

    def wake(self) -> None:
        self._changes.unpark_all()

    async def change(self) -> None:
        """Wait until something was put or passed, or the links were changed."""
        await self._changes.park()

    async def change_or_due(self) -> None:
        """Wait for that, or until the first of what waits may pass."""
        at = self._waiting[0][0] if self._waiting and not self._direction.is_cut else float("inf")
        with trio.move_on_at(at):
            await self._changes.park()


class DialledStream(trio.abc.HalfCloseableStream):
    """See the module."""

    def __init__(self, sock: trio.socket.SocketType, route: Route) -> None:
        prepare(sock)
        self._socket, self._route = sock, route
        self._receiver = Receiver(sock)
        self._outgoing: _Pipe | None = None
        self._incoming: _Pipe | None = None
        self._is_sending = self._is_receiving = self._sent_eof = self._was_reset = False
        self.is_open = True
        """Whether its owner has not closed it."""
        self._failure: OSError | None = None
        """Of a write that the owner was not there to hear of."""
        route.streams[self] = None
        self.changed()

    @property
    def peer(self) -> str:
        """The other end, as ``ip:port``; empty when it is gone."""
        try:
            return "{}:{}".format(*self._socket.getpeername()[:2])
        except OSError:
            return ""

    def is_readable(self) -> bool:
        """Whether reading would not wait: something is there, or the end."""
        if self._is_ended():
            return True
        return self._socket.is_readable() if self._incoming is None else self._incoming.is_due()

    def bare_socket(self) -> int | None:
        """The descriptor, through which bytes may pass by this stream while nothing is disturbed: until `pump.release`
        is called for it. None when they may not.
        """
        is_bare = self._outgoing is None and self._incoming is None and not self._is_ended()
        return self._socket.fileno() if is_bare else None

    # -- for its owner ---------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending")
        if self._sent_eof:
            raise trio.ClosedResourceError("end of file was sent")
        self._is_sending = True
        try:
            if self._outgoing is None:
                sent = send_now(self._socket.fileno(), data)
                if sent == len(data):
                    return
                data = data[sent:]
            await self._send_rest(bytes(data))
        except (OSError, trio.ClosedResourceError) as error:
            raise self._told(error) from self._cause(error)
        finally:
            self._is_sending = False

    async def _send_rest(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            pipe = self._outgoing
            sent = await self._socket.send(rest) if pipe is None else await self._send_later(pipe, rest)
            rest = rest[sent:]

    async def _send_later(self, pipe: _Pipe, data: memoryview) -> int:
        """How much was taken; nothing when there is no pipe any more."""
        await self._until_room(pipe)
        if pipe is not self._outgoing:
            return 0
        part = bytes(data[:WINDOW_BYTES])
        pipe.put(part)
        return len(part)

    async def _until_room(self, pipe: _Pipe) -> None:
        await trio.lowlevel.checkpoint()
        while True:
            self._check_open()
            if self._failure is not None and not self._route.back.is_cut:
                raise self._failure
            if pipe is not self._outgoing or not pipe.is_full:
                return
            await pipe.change()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        try:
            if self._outgoing is None:
                await self._socket.wait_writable()
            else:
                await self._until_room(self._outgoing)
        except (OSError, trio.ClosedResourceError) as error:
            raise self._told(error) from self._cause(error)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving")
        self._is_receiving = True
        limit = max_bytes or _RECEIVE_BYTES
        try:
            while True:
                data = await (self._receive_now if self._incoming is None else self._receive_later)(limit)
                if data is not None:
                    return data
        except (OSError, trio.ClosedResourceError) as error:
            raise self._told(error) from self._cause(error)
        finally:
            self._is_receiving = False
            self._read_ahead()

    async def _receive_now(self, limit: int) -> bytes | None:
        """From the socket; None when it came while the link was disturbed already."""
        try:
            item: bytes | OSError = await self._receiver.receive(limit)
        except OSError as failure:
            item = failure
        if self._incoming is not None:
            self._incoming.put(item)
            return None
        if isinstance(item, OSError):
            raise item
        return item

    async def _receive_later(self, limit: int) -> bytes | None:
        """From the pipe; None when there is none any more."""
        await trio.lowlevel.checkpoint()
        while True:
            self._check_open()
            pipe = self._incoming
            if pipe is None:
                return None
            self._read_ahead(reader_waits=True)
            if not pipe.is_due():
                await pipe.change_or_due()
                continue
            item = pipe.head()
            if isinstance(item, OSError):
                raise item
            assert item is not None, "nobody closes what comes in"
            if item == _EOF:
                return _EOF
            data = item[:limit]
            pipe.pop(len(data))
            self._take_away()
            return data

    async def send_eof(self) -> None:
        """See `trio.abc.HalfCloseableStream`."""
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending")
        await trio.lowlevel.checkpoint()
        try:
            self._check_open()
            if not self._sent_eof:
                self._sent_eof = True
                if self._outgoing is None:
                    self._socket.shutdown(socket.SHUT_WR)
                else:
                    self._outgoing.put(_EOF)
        except (OSError, trio.ClosedResourceError) as error:
            raise self._told(error) from self._cause(error)

    async def aclose(self) -> None:
        """Close both directions; what was sent still arrives."""
        if self.is_open:
            self.is_open = False
            if self._outgoing is None:
                self._end()
            else:
                self._outgoing.put(None)
                self._receiver.close()
                trio.lowlevel.notify_closing(self._socket)
                self._drop_incoming()
        await trio.lowlevel.checkpoint()

    # -- for the links -----------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Its links were disturbed or mended."""
        route = self._route
        if route.is_disturbed:
            pump.release(self._socket.fileno())
            if self._outgoing is None and not self._is_ended():
                self._outgoing = _Pipe(route.there, route.back)
                route.spawn(self._write_behind, self._outgoing)
            if self._incoming is None and self.is_open:
                self._incoming = _Pipe(route.back, route.there)
        for pipe in (self._outgoing, self._incoming):
            if pipe is not None:
                pipe.changed()
        self._read_ahead()
        self._take_away()

    def reset(self) -> None:
        """Break it for both ends."""
        if not self._is_ended():
            self._was_reset = True
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._end()

    # -- what goes on behind -----------------------------------------------------------------------------------

    async def _write_behind(self, pipe: _Pipe) -> None:
        """Write what may pass, until there is nothing left to look after."""
        try:
            while not self._is_ended():
                if pipe.is_over:
                    self._outgoing = None
                    pipe.wake()
                    return
                if not pipe.is_due():
                    await pipe.change_or_due()
                    continue
                item = pipe.head()
                if item is None:
                    return
                assert isinstance(item, bytes), item
                await self._write(item)
                pipe.pop(len(item))
        finally:
            if not self.is_open:
                self._end()

    async def _write(self, item: bytes) -> None:
        if self._failure is not None:
            return  # nobody is there any more
        try:
            if item == _EOF:
                self._socket.shutdown(socket.SHUT_WR)
                return
            rest = memoryview(item)
            while rest and not self._is_ended():
                try:
                    rest = rest[await self._socket.send(rest) :]
                except trio.ClosedResourceError:
                    continue  # the owner has closed it: what was sent still arrives
        except OSError as failure:
            self._failure = failure
            if self._outgoing is not None:
                self._outgoing.wake()

    def _read_ahead(self, *, reader_waits: bool = False) -> None:
        """Let the pipe be filled. Not while its reader waits on the socket itself: what comes then goes first."""
        pipe = self._incoming
        if pipe is not None and pipe.reading is None and (reader_waits or not self._is_receiving):
            pipe.reading = trio.CancelScope()
            self._route.spawn(self._fill, pipe, pipe.reading)

    async def _fill(self, pipe: _Pipe, scope: trio.CancelScope) -> None:
        item: bytes | OSError | None = None
        with scope:
            while item is None or (isinstance(item, bytes) and item):
                while pipe.is_full:
                    await pipe.change()
                try:
                    item = await self._socket.recv(_RECEIVE_BYTES)
                except OSError as failure:
                    item = failure
                except trio.ClosedResourceError:
                    return
                pipe.put(item)
            return  # and `reading` stays: nothing comes after the end
        pipe.reading = None
        if pipe is self._incoming:
            self._take_away()
            self._read_ahead()
            pipe.wake()

    def _take_away(self) -> None:
        """Let the owner read from the socket again, if that is due; first, the task that does must stop."""
        pipe = self._incoming
        if pipe is not None and pipe.is_over:
            if pipe.reading is None:
                self._incoming = None
            else:
                pipe.reading.cancel()
            pipe.wake()

    def _drop_incoming(self) -> None:
        pipe, self._incoming = self._incoming, None
        if pipe is not None:
            if pipe.reading is not None:
                pipe.reading.cancel()
            pipe.wake()

    # -- its end -----------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._route.streams.pop(self, None)
        pump.release(self._socket.fileno())
        self._receiver.close()
        self._socket.close()
        self._drop_incoming()
        if self._outgoing is not None:
            self._outgoing.wake()

    def _is_ended(self) -> bool:
        return self._socket.fileno() < 0

    def _check_open(self) -> None:
        if not self.is_open:
            raise trio.ClosedResourceError("this stream was closed")
        if self._was_reset:
            raise _reset()

    def _cause(self, error: Exception) -> Exception:
        return _reset() if self._was_reset else error

    def _told(self, error: OSError | trio.ClosedResourceError) -> Exception:
        """The error that a stream raises, by whose fault it was."""
        if self._was_reset:
            return trio.BrokenResourceError("connection reset by peer")
        if isinstance(error, trio.ClosedResourceError) or not self.is_open:
            return trio.ClosedResourceError("this stream was closed")
        return trio.BrokenResourceError(f"connection broken: {error}")


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "connection reset by peer")
