"""The nouns of HTTP: what a handler receives and returns, and what a server puts up with.

Requests and responses are plain frozen data (msgspec structs: four times cheaper to build than frozen
dataclasses, and one is built per request). Bodies of requests are whole, bounded by `Limits.body_bytes`: every
request of the Kubernetes and etcd APIs is a document that must be complete before it means anything. Bodies of
responses may be streams, because a watch is one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote

import msgspec

__all__ = ["Handler", "Limits", "Log", "Request", "Response", "Send", "StreamingResponse"]

Send: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Sends one piece of a streamed body; returns when the transport took it. One caller at a time."""

Log: TypeAlias = Callable[..., None]
"""``log(message, **fields)``, as `ha.world.Host.log`."""


class Request(msgspec.Struct, frozen=True):
    """One request, complete. `target` is as sent, query included; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    peer: str = ""
    """Where it came from, for logs: ``ip:port`` when the transport knows it."""

    @property
    def path(self) -> str:
        """The percent-decoded path, without the query and (absolute form) without scheme and authority."""
        path = self.target.partition("?")[0]
        if not path.startswith("/") and "://" in path:
            path = "/" + path.partition("://")[2].partition("/")[2]
        return unquote(path) if "%" in path else path

    @property
    def query(self) -> dict[str, str]:
        """The decoded query parameters. The last of a repeated name wins; blank values are kept."""
        text = self.target.partition("?")[2]
        return dict(parse_qsl(text, keep_blank_values=True)) if text else {}


class Response(msgspec.Struct, frozen=True):
    """One response, complete. Content-Length, Date and Connection are the server's business."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


class StreamingResponse(msgspec.Struct, frozen=True):
    """A response whose body is written by `source` while it is being sent, one chunk per call of its `Send`.

    The head is sent before `source` runs. `source` is cancelled at once when the client disconnects. When it
    returns, the body ends properly; when it raises, the connection is cut, so that the client can tell.
    """

    status: int
    source: Callable[[Send], Awaitable[None]]
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


Handler: TypeAlias = Callable[[Request], Awaitable[Response | StreamingResponse]]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a server puts up with. Times as kube-apiserver's where it has the same limit."""

    header_bytes: int = 64 * 1024
    """Request line and headers; beyond it 431."""
    body_bytes: int = 3 * 1024 * 1024
    """Beyond it 413. 3 MiB is what kube-apiserver accepts."""
    head_timeout_s: float = 32.0
    """From the first byte of a request until its head is complete, and between two pieces of its body: 408."""
    idle_timeout_s: float = 90.0
    """Without a request: the connection is closed."""
    send_timeout_s: float = 15.0
    """A client that takes no byte for so long is dropped."""
    linger_s: float = 1.0
    """How long a refused client may go on sending before the connection is closed under its hands."""
    pipelined: int = 16
    """Requests read ahead of the one being answered; then the client has to wait."""
