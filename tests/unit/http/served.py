"""A server in the fake world, and a client that speaks raw bytes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from ha import http
from ha.world import Address
from ha.world.sim.network import SimStream
from tests.fakes.world import FakeHost, FakeWorld

PORT = 80


class Served:
    """What a test holds."""

    def __init__(self, world: FakeWorld, server: FakeHost) -> None:
        self.world = world
        self.server = server
        self.host = world.host("client")
        self.address = Address(world.address("server"), PORT)

    async def dial(self) -> SimStream:
        return await self.host.net.dial(self.address)

    def client(self, *, max_idle: int = 8) -> http.Client:
        return http.Client(self.host.net, self.address, max_idle=max_idle)

    @property
    def connections(self) -> int:
        """How many connections the server holds open."""
        return len(self.server.net.streams)

    @property
    def logged(self) -> list[str]:
        return [f"{message} {fields}" for _, _, _, message, fields in self.world.logs]


@asynccontextmanager
async def served(
    handler: http.Handler, *, limits: http.Limits | None = None, has_clock: bool = False
) -> AsyncIterator[Served]:
    """Serve on node ``server``."""

    async def serve(host: FakeHost, *, task_status: trio.TaskStatus[None]) -> None:
        listener = await host.net.listen(PORT)
        clock = host.wall_clock if has_clock else None
        await http.serve(listener, handler, limits=limits, log=host.log, wall_clock=clock, task_status=task_status)

    async with FakeWorld() as world:
        yield Served(world, await world.start("server", serve))


async def ask(stream: trio.abc.HalfCloseableStream, data: bytes) -> bytes:
    """Send bytes; return what comes back until nothing more comes for a second, or the end."""
    await stream.send_all(data)
    return await hear(stream)


async def hear(stream: trio.abc.HalfCloseableStream) -> bytes:
    """What comes until nothing more comes for a second, or the end."""
    received = b""
    while True:
        with trio.move_on_after(1):
            piece = await stream.receive_some()
            if piece:
                received += piece
                continue
        return received


async def is_closed(stream: trio.abc.HalfCloseableStream) -> bool:
    """Whether the server has closed the connection, and says nothing more."""
    with trio.move_on_after(1):
        try:
            return await stream.receive_some() == b""
        except trio.BrokenResourceError:
            return True
    return False


async def echo(request: http.Request) -> http.Response:
    """Answer with method, target and body."""
    return http.Response(200, f"{request.method} {request.target} ".encode() + request.body, "text/plain")


def answer(body: bytes, *, head: bytes = b"") -> bytes:
    """What a server sends for a text of status 200."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
