"""Bytes from a client to a server and back: what load balancer and kube-proxy do with a connection.

One piece at most is in flight in each direction, so a slow reader slows the writer down (back-pressure). An end of
file is passed on while the other direction goes on (half-close). A tunnel may be idle for ever: watches are. Only a
client that keeps a connection which the server has closed is bounded, by `close_timeout_s`.
"""

from __future__ import annotations

from typing import Protocol

import trio

from ha.world import Network, Stream

__all__ = ["Traffic", "peer_of", "relay"]


class Traffic(Protocol):
    """Counts bytes, from clients to the server and back."""

    bytes_in: int
    bytes_out: int


def peer_of(stream: Stream) -> str:
    """The other end of a connection, as ``ip:port``; empty when it cannot be told."""
    return str(getattr(stream, "peer", ""))


async def relay(net: Network, client: Stream, server: Stream, traffic: Traffic, *, close_timeout_s: float) -> bool:
    """Relay until both directions have ended or one broke. Whether the server was the one to end it.

    Closes neither stream. Both are of `net`.
    """
    tunnel = _Tunnel(net, client, server, traffic)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tunnel.relay_up, nursery.cancel_scope)
        await tunnel.relay_down(nursery.cancel_scope, close_timeout_s)
    return tunnel.ended_by_server


class _Tunnel:
    def __init__(self, net: Network, client: Stream, server: Stream, traffic: Traffic) -> None:
        self.net = net
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

    def _count_up(self, size_bytes: int) -> None:
        self.traffic.bytes_in += size_bytes

    def _count_down(self, size_bytes: int) -> None:
        self.traffic.bytes_out += size_bytes

    async def relay_up(self, scope: trio.CancelScope) -> None:
        """From the client to the server."""
        how = await self.net.copy(self.client, self.server, self._count_up)
        self._end(by_server=how == "sink broken")
        if how != "end" or not await _passed_on(self.server):
            scope.cancel()

    async def relay_down(self, scope: trio.CancelScope, close_timeout_s: float) -> None:
        """From the server to the client."""
        how = await self.net.copy(self.server, self.client, self._count_down)
        self._end(by_server=how != "sink broken")
        if how != "end" or not await _passed_on(self.client):
            scope.cancel()
        scope.deadline = trio.current_time() + close_timeout_s


async def _passed_on(sink: Stream) -> bool:
    """Whether the end of the other side could be told."""
    try:
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return True
