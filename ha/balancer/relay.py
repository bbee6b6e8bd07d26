"""Bytes from a client to a backend and back.

One piece at most is in flight in each direction, so a slow reader slows the writer down (back-pressure) and a
tunnel costs two buffers. An end of file is passed on while the other direction goes on (half-close). A tunnel
may be idle for ever: watches are. Only a client that keeps a connection which the backend has closed is
bounded, by `close_timeout_s`.
"""

from __future__ import annotations

import trio

from ha.balancer.backends import Backend
from ha.world import Stream

__all__ = ["relay"]

_RECEIVE_BYTES = 64 * 1024


async def relay(client: Stream, server: Stream, backend: Backend, *, close_timeout_s: float) -> bool:
    """Relay until both directions have ended or one broke. Whether the backend was the one to end it.

    Closes neither stream.
    """
    tunnel = _Tunnel(client, server, backend)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tunnel.relay_up, nursery.cancel_scope)
        await tunnel.relay_down(nursery.cancel_scope, close_timeout_s)
    return tunnel.ended_by_server


class _Tunnel:
    def __init__(self, client: Stream, server: Stream, backend: Backend) -> None:
        self.client = client
        self.server = server
        self.backend = backend
        self.client_ended = False
        self.ended_by_server = False

    def _end(self, *, by_server: bool) -> None:
        if by_server and not self.client_ended:
            self.ended_by_server = True
        if not by_server:
            self.client_ended = True

    async def relay_up(self, scope: trio.CancelScope) -> None:
        """From the client to the backend."""
        by_server = False
        try:
            while data := await self.client.receive_some(_RECEIVE_BYTES):
                self.backend.bytes_in += len(data)
                by_server = True
                await self.server.send_all(data)
                by_server = False
            self._end(by_server=False)
            await self.server.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end(by_server=by_server)
            scope.cancel()

    async def relay_down(self, scope: trio.CancelScope, close_timeout_s: float) -> None:
        """From the backend to the client."""
        by_server = True
        try:
            while data := await self.server.receive_some(_RECEIVE_BYTES):
                self.backend.bytes_out += len(data)
                by_server = False
                await self.client.send_all(data)
                by_server = True
            self._end(by_server=True)
            await self.client.send_eof()
            scope.deadline = trio.current_time() + close_timeout_s
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end(by_server=by_server)
            scope.cancel()
