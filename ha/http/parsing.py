"""Bytes to messages, on httptools (llhttp). Sans-IO: no waiting, no clock; the drivers are thin.

Both readers take bytes split anywhere and never raise: what cannot be understood becomes data (`Refusal`,
`fault`) that the driver acts upon after it has dealt with every message that was complete before it.

llhttp is strict as used here (no leniencies): a message with both Content-Length and Transfer-Encoding, bare
line feeds or blanks before a colon are errors, so a request cannot be framed in two ways. It sets no limit on
sizes; we do, with one receive buffer of slack for a header line that never ends.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import NamedTuple

import httptools

from ha.http.messages import Limits, Request

__all__ = ["Incoming", "Refusal", "RequestReader", "ResponseReader"]


class Refusal(NamedTuple):
    """Why a connection is given up: the status and the words of the last response on it."""

    status: int
    message: str


class Incoming(NamedTuple):
    """A request and how its connection goes on after it."""

    request: Request
    keep_alive: bool
    http_1_0: bool


class _RefusedError(Exception):
    """Stops llhttp from within a callback; the reason stands in `RequestReader.refusal`."""


@lru_cache(maxsize=256)
def _field(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _add_header(headers: dict[str, str], name: bytes, value: bytes) -> None:
    """Repeated headers become one, as RFC 9110 5.3 allows for all that make sense repeated."""
    key = _field(name)
    text = value.decode("latin-1").strip()
    headers[key] = f"{headers[key]}, {text}" if key in headers else text


class RequestReader:
    """The server's side of one connection: `feed` bytes, take `requests` from the left.

    `closing` means that no request after those queued will ever come: one asked to close, or `refusal` is set.
    `wants_continue` means that the client waits for ``100 Continue`` before it sends a body. `in_message` and
    `in_head` tell whether a request is incomplete, and where.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_head_bytes",
        "_header_bytes",
        "_headers",
        "_limits",
        "_parser",
        "_peer",
        "_url",
        "closing",
        "in_head",
        "in_message",
        "refusal",
        "requests",
        "wants_continue",
    )

    def __init__(self, limits: Limits, peer: str = "") -> None:
        self.requests: deque[Incoming] = deque()
        self.refusal: Refusal | None = None
        self.closing = self.in_message = self.in_head = self.wants_continue = False
        self._limits = limits
        self._header_bytes = limits.header_bytes
        self._peer = peer
        self._parser = httptools.HttpRequestParser(self)
        self._head_bytes = self._body_bytes = 0
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def feed(self, data: bytes | bytearray) -> None:
        """Take bytes from the client. What follows the last request of a connection is ignored."""
        if self.closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.closing = True
        except httptools.HttpParserError as error:
            if not self.closing:
                self._set_refusal(400, str(error))
        if self.in_head and not self.closing:
            self._head_bytes += len(data)
            if self._head_bytes > 2 * self._limits.header_bytes:
                self._set_refusal(431, "the request's head is too large")

    def _set_refusal(self, status: int, message: str) -> None:
        self.refusal = Refusal(status, message)
        self.closing = True
        self._body.clear()

    def _refuse(self, status: int, message: str) -> None:
        self._set_refusal(status, message)
        raise _RefusedError(message)

    def _refuse_head(self) -> None:
        self._refuse(431, f"the request's head exceeds {self._limits.header_bytes} bytes")

    # httptools calls these.

    def on_message_begin(self) -> None:
        """A first byte: forget the message before."""
        self.in_message = self.in_head = True
        self._head_bytes = self._body_bytes = 0
        self._url = b""
        self._headers = {}
        self._body = []

    def on_url(self, piece: bytes) -> None:
        """A piece of the request target."""
        self._url += piece
        self._head_bytes += len(piece)
        if self._head_bytes > self._header_bytes:
            self._refuse_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._header_bytes:
            self._refuse_head()
        if not self.in_head:
            return  # a trailer: nothing here has a use for one
        _add_header(self._headers, name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: refuse what need not be read."""
        self.in_head = False
        headers = self._headers
        http_1_1 = self._parser.get_http_version() == "1.1"
        if http_1_1 and "host" not in headers:
            self._refuse(400, "an HTTP/1.1 request without Host")
        if int(headers.get("content-length", 0)) > self._limits.body_bytes:
            self._refuse(413, f"the request's body exceeds {self._limits.body_bytes} bytes")
        if http_1_1 and headers.get("expect", "").lower() == "100-continue":
            self.wants_continue = True

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self.wants_continue = False
        self._body_bytes += len(piece)
        if self._body_bytes > self._limits.body_bytes:
            self._refuse(413, f"the request's body exceeds {self._limits.body_bytes} bytes")
        self._body.append(piece)

    def on_message_complete(self) -> None:
        """The request is whole: queue it."""
        self.in_message = self.wants_continue = False
        parser, body = self._parser, self._body
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        request = Request(
            parser.get_method().decode("latin-1"),
            self._url.decode("latin-1"),
            self._headers,
            (body[0] if len(body) == 1 else b"".join(body)) if body else b"",
            self._peer,
        )
        self.requests.append(Incoming(request, keep_alive, parser.get_http_version() == "1.0"))
        self.closing = not keep_alive


_RESPONSE_HEAD_BYTES = 1 << 20


class ResponseReader:
    """The client's side of one connection: `expect` a response, `feed` bytes until `complete` or `fault`.

    `status` is 0 until the head of the response was read; pieces of its body wait in `body`. Interim (1xx)
    responses are skipped. A body without a length ends with the connection (`finish`).
    """

    __slots__ = (
        "_framed",
        "_head_bytes",
        "_head_only",
        "_parser",
        "body",
        "complete",
        "fault",
        "headers",
        "keep_alive",
        "status",
    )

    def __init__(self) -> None:
        self.expect(head_only=False)
        self._parser = httptools.HttpResponseParser(self)

    def expect(self, *, head_only: bool) -> None:
        """Begin anew: a request was sent. `head_only`: it was HEAD, so no body follows whatever the head says."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.complete = self.keep_alive = self._framed = False
        self.fault: str | None = None
        self._head_only = head_only
        self._head_bytes = 0

    @property
    def started(self) -> bool:
        """Whether any byte of the response was seen."""
        return self._head_bytes > 0

    def feed(self, data: bytes | bytearray) -> None:
        """Take bytes from the server."""
        if not self.status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fault = "the server switched protocols"
        except httptools.HttpParserError as error:
            if self.complete:
                self.keep_alive = False  # it talks without being asked
            else:
                self.fault = str(error)
        if not self.status and self._head_bytes > _RESPONSE_HEAD_BYTES:
            self.fault = "the response's head is too large"

    def finish(self) -> bool:
        """The server closed the connection. Whether that was a proper end of the response."""
        self.keep_alive = False
        if self.status and not self._framed and self.fault is None:
            self.complete = True
        return self.complete

    # httptools calls these.

    def on_message_begin(self) -> None:
        """A first byte."""
        if self.complete:
            raise httptools.HttpParserError("a response that nobody asked for")
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole."""
        if self.status:
            return  # a trailer
        _add_header(self.headers, name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: keep it, unless it is interim."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        headers = self.headers
        self.status = status
        self._framed = (
            "content-length" in headers
            or "chunked" in headers.get("transfer-encoding", "").lower()
            or status in {204, 304}
        )
        if self._head_only:
            # llhttp cannot be told that no body follows: this connection is not used again.
            self.complete = True

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if not self._head_only:
            self.body.append(piece)

    def on_message_complete(self) -> None:
        """The response is whole."""
        if self.status:
            if not self._head_only:
                self.keep_alive = self._parser.should_keep_alive()
            self.complete = True
