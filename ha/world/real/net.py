"""Loopback: a network per run, an address per node, TCP with the node's address at both ends.

All of 127.0.0.0/8 is loopback on Linux, so every node can have an address of its own and use the standard
ports. A run takes one 127.n.0.0/16 and holds it by a listening guard socket on 127.n.0.1, which the kernel
releases with the process: concurrent runs on one machine do not meet, and nothing has to be cleaned up.
Nodes and clients are in 127.n.0.0/24; each node has a /24 more for processes with an address of their own.

Dialling binds the own address first, so that the other side sees which node calls;
``IP_BIND_ADDRESS_NO_PORT`` leaves the choice of the port to connect(2), so that ports are only exhausted per
destination. A connection to another node is watched over by who dialled it: see `ha.world.real.links`.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable

import trio

from ha.world import Address, Copied, Listener, Stream
from ha.world.copying import copy_piece
from ha.world.real import pump
from ha.world.real.links import Links
from ha.world.real.sockets import SocketListener, SocketStream
from ha.world.real.stream import DialledStream

__all__ = ["LoopbackNetwork", "Subnet"]

_IP_BIND_ADDRESS_NO_PORT = 24
_GUARD_PORT = 61046  # above the ephemeral ports, and no privilege needed
_FIRST_NODE = 10
_FIRST_CLIENT = 200
_BACKLOG = 1024


class Subnet:
    """127.n.0.0/16, ours until `release`."""

    def __init__(self, prefix: str, guard: socket.socket) -> None:
        self.prefix = prefix
        self._guard = guard
        self._clients: set[int] = set()

    @classmethod
    def claim(cls) -> Subnet:
        """Take a free one. Raises OSError when none is found or loopback cannot be bound."""
        choose = random.SystemRandom()
        for number in choose.sample(range(1, 255), 254):
            prefix = f"127.{number}"
            guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                guard.bind((f"{prefix}.0.1", _GUARD_PORT))
                guard.listen(1)
            except OSError as error:
                guard.close()
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return cls(prefix, guard)
        raise OSError(errno.EADDRINUSE, "no free loopback subnet")

    def node(self, index: int) -> str:
        """The address of the node of that index (from 0)."""
        if not 0 <= index < _FIRST_CLIENT - _FIRST_NODE:
            raise ValueError(f"more than {_FIRST_CLIENT - _FIRST_NODE} nodes")
        return f"{self.prefix}.0.{_FIRST_NODE + index}"

    def of_node(self, index: int) -> str:
        """What the node of that index can give to its processes."""
        return f"{self.prefix}.{1 + index}.0/24"

    def take_client(self) -> str:
        """An address for a client; shared with another client when all are taken."""
        free = (number for number in range(_FIRST_CLIENT, 255) if number not in self._clients)
        number = next(free, 254)
        self._clients.add(number)
        return f"{self.prefix}.0.{number}"

    def give_back(self, address: str) -> None:
        """Return a client's address."""
        self._clients.discard(int(address.rpartition(".")[2]))

    def release(self) -> None:
        """Let another run have it."""
        self._guard.close()


class LoopbackNetwork:
    """The network as one address of it sees it; see `ha.world.Network`. `links`: those of its node, if it has one."""

    def __init__(self, address: str, links: Links | None = None) -> None:
        self._address, self._links = address, links

    async def dial(self, address: Address) -> Stream:
        """Connect from our own address. Raises OSError."""
        route = None if self._links is None else self._links.route(address.ip)
        if route is not None:
            await route.handshake(address)
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            await sock.bind((self._address, 0))
            await sock.connect((address.ip, address.port))
        except BaseException:
            sock.close()
            raise
        return SocketStream(sock) if route is None else DialledStream(sock, route)

    async def listen(self, port: int) -> Listener:
        """Listen on our own address; port 0 lets the kernel choose. Raises OSError."""
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await sock.bind((self._address, port))
            sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
        return SocketListener(sock)

    async def copy(self, source: Stream, sink: Stream, count: Callable[[int], None]) -> Copied:
        """By the pump as long as both are undisturbed sockets, else piece by piece; see `ha.world.Network.copy`."""
        while True:
            reads, writes = _bare_socket(source), _bare_socket(sink)
            if reads is None or writes is None:
                how = await copy_piece(source, sink, count)
            else:
                how, rest = await pump.passed(reads, writes, count)
                if rest and how is None:
                    how = await _sent(sink, rest)
            if how is not None:
                return how


def _bare_socket(stream: Stream) -> int | None:
    """The descriptor through which bytes may pass by a stream that has nothing to do with them; None: they may not."""
    if isinstance(stream, DialledStream):
        return stream.bare_socket()
    descriptor = stream.socket.fileno() if isinstance(stream, SocketStream) else -1
    return None if descriptor < 0 else descriptor


async def _sent(sink: Stream, data: bytes) -> Copied | None:
    try:
        await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return "sink broken"
    return None
