"""Sockets as streams, at the least cost that trio allows.

trio's own socket streams let other tasks run after every call, also when there was nothing to wait for, and try to
receive before they wait, which mostly fails: of a request and its answer that is a third of the cost. Here, as in the
simulated world, what is sent without waiting lets nobody else run; and receiving waits first, since whoever asks for
the next request or answer has mostly come before it. How it waits: `ha.world.real.readiness`.
"""

from __future__ import annotations

import errno
import os
import socket

import trio

from ha.world.real import pump
from ha.world.real.readiness import Readable

__all__ = ["Receiver", "SocketListener", "SocketStream", "prepare", "send_now"]

_RECEIVE_BYTES = 64 * 1024
_NOTSENT_LOWAT_BYTES = 16 * 1024
"""As trio has it."""


def prepare(sock: trio.socket.SocketType) -> None:
    """Set the options of a connection."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOTSENT_LOWAT_BYTES)


def send_now(descriptor: int, data: bytes | bytearray | memoryview) -> int:
    """Send what the kernel takes at once, perhaps nothing. Raises OSError: EBADF when the socket was closed (-1)."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0


class Receiver:
    """Receives from one socket; to be closed before the socket is. Registered when something is to be received first:
    whoever passes bytes by it (`ha.world.Network.copy`) pays nothing for it.
    """

    __slots__ = ("_descriptor", "_is_closed", "_readable")

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._descriptor = sock.fileno()
        self._readable: Readable | None = None
        self._is_closed = False

    async def receive(self, limit: int) -> bytes:
        """Wait until something is there, and take it. Raises OSError, ClosedResourceError."""
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed")
        readable = self._readable
        if readable is None:
            readable = self._readable = Readable(self._descriptor)
        while True:
            await readable.wait()
            try:
                data = os.read(self._descriptor, limit)
            except BlockingIOError:
                continue
            if len(data) == limit:
                readable.expect_more()
            return data

    def close(self) -> None:
        """Receive no more; who waits is told."""
        if self._readable is not None and not self._is_closed:
            self._readable.close()
        self._is_closed = True


class SocketStream(trio.abc.HalfCloseableStream):
    """A connection whose links nobody disturbs. See `ha.world.Stream`."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        prepare(sock)
        self.socket = sock
        self._descriptor = sock.fileno()
        self._receiver = Receiver(sock)
        self._is_sending = self._sent_eof = False

    @property
    def peer(self) -> str:
        """The other end, as ``ip:port``; empty when it is gone."""
        try:
            return "{}:{}".format(*self.socket.getpeername()[:2])
        except OSError:
            return ""

    def is_readable(self) -> bool:
        """Whether reading would not wait: something is there, or the end."""
        return self.socket.fileno() < 0 or self.socket.is_readable()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending")
        if self._sent_eof:
            raise trio.ClosedResourceError("end of file was sent")
        try:
            sent = send_now(self._descriptor, data)
            if sent < len(data):
                await self._send_rest(memoryview(data)[sent:])
        except OSError as error:
            raise self._told(error) from error

    async def _send_rest(self, rest: memoryview) -> None:
        self._is_sending = True
        try:
            while rest:
                await trio.lowlevel.wait_writable(self.socket)
                rest = rest[send_now(self._descriptor, rest) :]
        finally:
            self._is_sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        if self._descriptor < 0:
            raise trio.ClosedResourceError("this stream was closed")
        try:
            await trio.lowlevel.wait_writable(self.socket)
        except OSError as error:
            raise self._told(error) from error

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        try:
            return await self._receiver.receive(max_bytes or _RECEIVE_BYTES)
        except OSError as error:
            raise self._told(error) from error

    async def send_eof(self) -> None:
        """See `trio.abc.HalfCloseableStream`."""
        await trio.lowlevel.checkpoint()
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending")
        try:
            if not self._sent_eof:
                self.socket.shutdown(socket.SHUT_WR)
                self._sent_eof = True
        except OSError as error:
            raise self._told(error) from error

    async def aclose(self) -> None:
        """Close both directions; what was sent still arrives."""
        pump.release(self._descriptor)
        self._descriptor = -1
        self._receiver.close()
        self.socket.close()
        await trio.lowlevel.checkpoint()

    @staticmethod
    def _told(error: OSError) -> Exception:
        """The error that a stream raises, by whose fault it was."""
        if error.errno == errno.EBADF:
            return trio.ClosedResourceError("this stream was closed")
        return trio.BrokenResourceError(f"connection broken: {error}")


class SocketListener(trio.abc.Listener[SocketStream]):
    """Accepts connections on a socket that listens."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.socket = sock

    async def accept(self) -> SocketStream:
        """See `trio.abc.Listener`. Raises OSError when this machine lacks something."""
        while True:
            try:
                sock, _ = await self.socket.accept()
            except ConnectionError:
                continue  # it was broken while it waited to be accepted
            except OSError as error:
                if error.errno == errno.EBADF:
                    raise trio.ClosedResourceError("this listener was closed") from error
                raise
            return SocketStream(sock)

    async def aclose(self) -> None:
        """Stop listening."""
        self.socket.close()
        await trio.lowlevel.checkpoint()
