"""Bytes from a client to a server and back: what load balancer and kube-proxy do with a connection.

One piece at most is in flight in each direction, so a slow reader slows the writer down (back-pressure) and a
tunnel costs two buffers. An end of file is passed on while the other direction goes on (half-close). A tunnel
may be idle for ever: watches are. Only a client that keeps a connection which the server has closed is
bounded, by `close_timeout_s`.
"""

from __future__ import annotations

from typing import Protocol

import trio

from ha.world import Stream

__all__ = ["Traffic", "peer_of", "relay"]

_RECEIVE_BYTES = 64 * 1024


class Traffic(Protocol):
    """Counts bytes, from clients to the server and back."""

    bytes_in: int
    bytes_out: int


def peer_of(stream: Stream) -> str:
    """The other end of a connection, as ``ip:port``; empty when it cannot be told."""
    if isinstance(stream, trio.SocketStream):
        try:
            return "{}:{}".format(*stream.socket.getpeername()[:2])
        except OSError:
            return ""  # reset before it was looked at
    return str(getattr(stream, "peer", ""))


async def relay(client: Stream, server: Stream, traffic: Traffic, *, close_timeout_s: float) -> bool:
    """Relay until both directions have ended or one broke. Whether the server was the one to end it.

    Closes neither stream.
    """
    tunnel = _Tunnel(client, server, traffic)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tunnel.relay_up, nursery.cancel_scope)
        await tunnel.relay_down(nursery.cancel_scope, close_timeout_s)
    return tunnel.ended_by_server


class _Tunnel:
    def __init__(self, client: Stream, server: Stream, traffic: Traffic) -> None:
        self.client = client
        self.server = server
        self.traffic = traffic
        self.client_ended = False
        self.ended_by_server = False

    def _end(self, *, by_server: bool) -> None:
        if by_server and not self.client_ended:
            self.ended_by_server = True
        if not by_server:
            self.client_ended = True

    async def relay_up(self, scope: trio.CancelScope) -> None:
        """From the client to the server."""
        by_server = False
        try:
            while data := await self.client.receive_some(_RECEIVE_BYTES):
                self.traffic.bytes_in += len(data)
                by_server = True
                await self.server.send_all(data)
                by_server = False
            self._end(by_server=False)
            await self.server.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end(by_server=by_server)
            scope.cancel()

    async def relay_down(self, scope: trio.CancelScope, close_timeout_s: float) -> None:
        """From the server to the client."""
        by_server = True
        try:
            while data := await self.server.receive_some(_RECEIVE_BYTES):
                self.traffic.bytes_out += len(data)
                by_server = False
                await self.client.send_all(data)
                by_server = True
            self._end(by_server=True)
            await self.client.send_eof()
            scope.deadline = trio.current_time() + close_timeout_s
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end(by_server=by_server)
            scope.cancel()
