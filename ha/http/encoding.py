"""Messages to bytes. Pure. One message is one bytes object, so that it costs one write.

Names and values are checked for CR, LF and NUL: a header made from user input must not become two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from ha.http.messages import Response, StreamingResponse

__all__ = ["CONTINUE", "LAST_CHUNK", "encode_chunk", "encode_request", "encode_response", "encode_stream_head"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_CLOSE = b"connection: close\r\n"
_KEEP = b"connection: keep-alive\r\n"
_FORBIDDEN = ("\r", "\n", "\0")


def _has_no_body(status: int) -> bool:
    return status in {204, 304} or status < 200


def _lines(headers: Mapping[str, str]) -> str:
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers) or "\0" in text:
        raise ValueError(f"a header holds a line break or NUL: {dict(headers)!r}")
    return text


@lru_cache(maxsize=512)
def _opening(status: int, content_type: str) -> bytes:
    """Status line and Content-Type: few in number, so remembered."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    opening = f"HTTP/1.1 {status} {reason}\r\n"
    if not _has_no_body(status):
        opening += _lines({"content-type": content_type})
    return opening.encode("latin-1")


def encode_response(response: Response, *, date: bytes, keep_alive: bool, http_1_0: bool, head_only: bool) -> bytes:
    """A whole response. `date` is a header line or empty. Raises ValueError for headers that cannot be sent."""
    body = response.body
    head = _opening(response.status, response.content_type) + date
    if response.headers:
        head += _lines(response.headers).encode("latin-1")
    if http_1_0 or not keep_alive:
        head += _KEEP if keep_alive else _CLOSE
    if _has_no_body(response.status):
        return head + b"\r\n"
    if head_only:
        return b"%bcontent-length: %d\r\n\r\n" % (head, len(body))
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


def encode_stream_head(response: StreamingResponse, *, date: bytes, keep_alive: bool, http_1_0: bool) -> bytes:
    """The head of a streamed response: chunked, or (HTTP/1.0) ended by closing the connection."""
    head = _opening(response.status, response.content_type) + date
    if response.headers:
        head += _lines(response.headers).encode("latin-1")
    if not keep_alive or http_1_0:
        head += _CLOSE
    if not http_1_0:
        head += b"transfer-encoding: chunked\r\n"
    return head + b"\r\n"


def encode_chunk(piece: bytes) -> bytes:
    """One chunk of a chunked body. Never of nothing: that would end the body."""
    assert piece, "an empty chunk ends the body"
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def encode_request(method: str, target: str, fixed: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request. `fixed` are header lines that the connection always sends, checked already."""
    if any(bad in target for bad in (" ", *_FORBIDDEN)) or not method.isalpha():
        raise ValueError(f"not a request line: {method!r} {target!r}")
    head = f"{method} {target} HTTP/1.1\r\n{fixed}"
    if headers:
        head += _lines(headers)
    if body or method in _BODY_METHODS:
        if "content-type" not in headers and body:
            head += "content-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\n"
    return (head + "\r\n").encode("latin-1") + body


def encode_headers(headers: Mapping[str, str]) -> str:
    """Header lines, checked: what `encode_request` takes as `fixed`."""
    return _lines(headers)
