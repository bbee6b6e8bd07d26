"""HTTP/1.1 on trio streams: a server and a client, both on httptools, both small.

The same code runs on sockets and on the streams of a simulated world, because all it asks of a stream is
`trio.abc.HalfCloseableStream`. What was rejected: ASGI servers on trio (15 to 30 times the CPU per request; the
one that is maintained could be neither cancelled under a stalled reader nor trusted with a disconnect), and h11
(a fifth of the speed of httptools, for the same guarantees about framing).

    messages    Request, Response, StreamingResponse, Limits: plain data
    parsing     bytes → messages, sans-IO        encoding    messages → bytes, pure
    server      serve()                          client      Client, a pool of connections to one address
    accepting   accept, whatever happens         relay       bytes from one connection to another
    errors      why there was no answer, and whether that is definite
"""

from __future__ import annotations

from ha.http.accepting import accept_forever, is_shortage
from ha.http.client import Client, StreamedResponse
from ha.http.errors import ConnectError, ConnectionLost, HttpError, ProtocolError, RequestTimeout
from ha.http.messages import Handler, Limits, Log, Request, Response, Send, StreamingResponse
from ha.http.relay import Traffic, peer_of, relay
from ha.http.server import serve

__all__ = [
    "Client",
    "ConnectError",
    "ConnectionLost",
    "Handler",
    "HttpError",
    "Limits",
    "Log",
    "ProtocolError",
    "Request",
    "RequestTimeout",
    "Response",
    "Send",
    "StreamedResponse",
    "StreamingResponse",
    "Traffic",
    "accept_forever",
    "is_shortage",
    "peer_of",
    "relay",
    "serve",
]
