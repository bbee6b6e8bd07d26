"""Both ends of what a load balancer carries: clients, and the program `respond` behind it.

They are instruments: HTTP as far as a request is recognised by its first bytes and an answer by its length, on raw
sockets and an epoll of their own, so that neither of them is what limits a load balancer. trio only wakes them.
"""

from __future__ import annotations

import os  # noqa: TID251  (an instrument, of the real world only)
import select
import socket  # noqa: TID251  (see above)
from time import perf_counter  # noqa: TID251  (see above)

import msgspec
import trio

from ha.spec.benchmarks.load_balancer import BalancerLoad
from ha.world import Address, Host

__all__ = ["Answered", "Asker", "BrokenError", "Clients", "Config", "respond"]

_AT_ONCE = 256
_RECEIVE_BYTES = 256 * 1024
_REQUESTS: dict[BalancerLoad, bytes] = {
    "gets": b"GET /small HTTP/1.1\r\nHost: backend\r\nAccept: application/json\r\nUser-Agent: ha-bench\r\n\r\n",
    "connections": b"GET /small HTTP/1.1\r\nHost: backend\r\nConnection: close\r\nUser-Agent: ha-bench\r\n\r\n",
    "bulk": b"GET /large HTTP/1.1\r\nHost: backend\r\nAccept: application/json\r\nUser-Agent: ha-bench\r\n\r\n",
}


class Config(msgspec.Struct, frozen=True):
    """What `respond` answers."""

    port: int
    response_bytes: int
    bulk_bytes: int

    def answers(self) -> tuple[bytes, bytes]:
        """A small one and a large one."""
        small, large = (_answer(size) for size in (self.response_bytes, self.bulk_bytes))
        return small, large


def _answer(size: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size


# ---- backends


async def respond(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Answer whatever is asked, at once."""
    with (
        socket.create_server((host.address, config.port), backlog=1024) as listener,
        select.epoll() as epoll,
    ):
        listener.setblocking(False)
        epoll.register(listener, select.EPOLLIN)
        responder = _Responder(listener, epoll, config)
        task_status.started()
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            responder.serve_ready()


class _Responder:
    def __init__(self, listener: socket.socket, epoll: select.epoll, config: Config) -> None:
        self._listener, self._epoll = listener, epoll
        self._small, self._large = config.answers()
        self._connections: dict[int, socket.socket] = {}
        self._rests: dict[int, memoryview] = {}

    def serve_ready(self) -> None:
        for fd, events in self._epoll.poll(0, _AT_ONCE):
            if fd == self._listener.fileno():
                self._accept()
            elif events & select.EPOLLOUT:
                self._write(fd, self._rests.pop(fd))
            else:
                self._read(fd)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLIN)

    def _read(self, fd: int) -> None:
        try:
            request = os.read(fd, 4096)
        except OSError:
            request = b""
        if request:
            self._write(fd, memoryview(self._large if request.startswith(b"GET /large") else self._small))
        else:
            self._connections.pop(fd).close()

    def _write(self, fd: int, data: memoryview) -> None:
        try:
            rest = data[os.write(fd, data) :]
        except BlockingIOError:
            rest = data
        except OSError:
            self._connections.pop(fd).close()
            return
        if rest:
            self._rests[fd] = rest
        self._epoll.modify(fd, select.EPOLLOUT if rest else select.EPOLLIN)


# ---- clients


class Answered(msgspec.Struct, frozen=True):
    """What clients got. `taken_ms` is of the answers that were whole by the end, the bytes are all."""

    took_s: float
    taken_ms: list[float]
    received_bytes: int


class BrokenError(Exception):
    """A connection broke; the message says whose."""


class Clients:
    """So many connections, spread over some addresses in turn, each asking again as soon as it is answered."""

    def __init__(self, load: BalancerLoad, addresses: list[Address], count: int, config: Config) -> None:
        self._load, self._addresses = load, addresses
        self._request = _REQUESTS[load]
        self._whole = len(config.answers()[load == "bulk"])
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._missing: dict[int, int] = {}
        self._asked_s: dict[int, float] = {}
        self._buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self._taken_ms: list[float] = []
        self._received_bytes = 0
        self._opened = 0
        for _ in range(count):
            self._open()

    async def ask(self, duration_s: float) -> Answered:
        """For so long. Raises BrokenError."""
        self._taken_ms, self._received_bytes = [], 0
        begun_s = perf_counter()
        while perf_counter() - begun_s < duration_s:
            with trio.move_on_after(duration_s):
                await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, events in self._epoll.poll(0, _AT_ONCE):
                if events & select.EPOLLOUT:
                    self._epoll.modify(fd, select.EPOLLIN)
                    self._send(fd)
                else:
                    self._receive(fd)
        return Answered(perf_counter() - begun_s, self._taken_ms, self._received_bytes)

    def close(self) -> None:
        """Close every connection."""
        for connection in self._sockets.values():
            connection.close()
        self._epoll.close()

    def _open(self) -> None:
        address = self._addresses[self._opened % len(self._addresses)]
        self._opened += 1
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect_ex(address)
        fd = connection.fileno()
        self._sockets[fd] = connection
        self._asked_s[fd] = perf_counter()
        self._epoll.register(fd, select.EPOLLOUT)

    def _send(self, fd: int) -> None:
        self._missing[fd] = self._whole
        if self._load != "connections":
            self._asked_s[fd] = perf_counter()
        try:
            os.write(fd, self._request)
        except OSError as error:
            raise BrokenError(f"{self._load}: {error}") from error

    def _receive(self, fd: int) -> None:
        try:
            size = os.readv(fd, (self._buffer,))
        except OSError as error:
            raise BrokenError(f"{self._load}: {error}") from error
        if not size:
            raise BrokenError(f"{self._load}: the connection was closed")
        self._received_bytes += size
        self._missing[fd] -= size
        if self._missing[fd]:
            return
        self._taken_ms.append(1000 * (perf_counter() - self._asked_s[fd]))
        if self._load == "connections":
            self._sockets.pop(fd).close()
            self._open()
        else:
            self._send(fd)


class Asker:
    """One connection, on which small answers are asked for one at a time; nothing else runs meanwhile."""

    def __init__(self, address: Address, config: Config, *, within_s: float) -> None:
        """Raises BrokenError."""
        self._whole = len(config.answers()[0])
        try:
            self._socket = socket.create_connection(address, timeout=within_s)
        except OSError as error:
            raise BrokenError(f"{address}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> float:
        """How long an answer took, in microseconds. Raises BrokenError."""
        missing, asked_s = self._whole, perf_counter()
        try:
            self._socket.sendall(_REQUESTS["gets"])
            while missing and (received := len(self._socket.recv(_RECEIVE_BYTES))):
                missing -= received
        except OSError as error:
            raise BrokenError(f"one at a time: {error}") from error
        if missing:
            raise BrokenError("one at a time: the connection was closed")
        return 1e6 * (perf_counter() - asked_s)

    def close(self) -> None:
        """Close it."""
        self._socket.close()
