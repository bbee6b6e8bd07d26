"""The client: a pool of connections to one address.

A connection is either idle in the pool or owned by exactly one request, which returns it after a complete
keep-alive answer and closes it in every other case: error, timeout, cancellation, an answer left half-read. So
no answer can ever be taken for that of another request.

The last connection returned is the first reused, which keeps the pool as small as the load allows. Before reuse
it is checked: not idle for longer than servers keep one, and not readable (an end of file waits there, or noise).
The check cannot be perfect: the server may close at the very moment of sending. Then no byte of an answer comes;
a GET or HEAD is sent once more on a fresh connection, anything else fails as `ConnectionLost`, of which nobody
knows whether it took effect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from ha.http.encoding import encode_headers, encode_request
from ha.http.errors import ConnectError, ConnectionLost, ProtocolError, RequestTimeout
from ha.http.messages import Response
from ha.http.parsing import ResponseReader
from ha.world import Address, Dialler, Stream

__all__ = ["Client", "StreamedResponse"]

_RECEIVE_BYTES = 64 * 1024
_IDLE_S = 60.0
"""Shorter than the idle timeout of our server and of kube-apiserver (90 s)."""
_REPEATABLE = frozenset({"GET", "HEAD"})


class _Connection:
    """A stream, its parser, and how it is doing."""

    __slots__ = ("idle_since", "reader", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.reader = ResponseReader()
        self.idle_since = 0.0

    def is_stale(self) -> bool:
        """Whether it is certainly unfit for another request. An idle connection has nothing to be read."""
        if trio.current_time() - self.idle_since > _IDLE_S:
            return True
        probe = getattr(self.stream, "is_readable", None)
        return probe is not None and bool(probe())

    async def send(self, data: bytes) -> None:
        """Send a request. A break is not raised here: the server may have answered before it closed."""
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            self.reader.keep_alive = False

    async def receive(self) -> None:
        """Take in what comes next of the answer. Raises ConnectionLost, ProtocolError."""
        reader = self.reader
        try:
            data = await self.stream.receive_some(_RECEIVE_BYTES)
        except trio.BrokenResourceError as error:
            raise ConnectionLost(f"reset: {error.__cause__ or error}") from error
        if data:
            reader.feed(data)
        elif not reader.finish():
            raise ConnectionLost("closed in the middle of the answer" if reader.started else "closed without an answer")
        if reader.fault is not None:
            raise ProtocolError(reader.fault)


class StreamedResponse:
    """An answer whose body is read as it comes: ``async for piece in response``, split anywhere.

    Iteration raises ConnectionLost when the connection ends before the body does, ProtocolError. It has no
    timeout of its own.
    """

    __slots__ = ("_connection", "headers", "status")

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.status = connection.reader.status
        self.headers: Mapping[str, str] = connection.reader.headers

    def __aiter__(self) -> StreamedResponse:
        return self

    async def __anext__(self) -> bytes:
        connection, reader = self._connection, self._connection.reader
        while not reader.body:
            if reader.complete:
                raise StopAsyncIteration
            await connection.receive()
        pieces, reader.body = reader.body, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def read(self) -> bytes:
        """The rest of the body, whole."""
        return b"".join([piece async for piece in self])


class Client:
    """HTTP/1.1 to one address. `headers` go with every request; at most `max_idle` idle connections are kept.

    Any number of tasks may use it at a time; each has a connection of its own while it waits.
    """

    def __init__(
        self, net: Dialler, address: Address, *, headers: Mapping[str, str] | None = None, max_idle: int = 8
    ) -> None:
        self.address = address
        self._net = net
        self._fixed = encode_headers({"host": str(address), **(headers or {})})
        self._max_idle = max_idle
        self._idle: list[_Connection] = []
        self._closed = False

    async def request(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> Response:
        """Send a request and wait for the whole answer, for `timeout_s` altogether.

        Raises ConnectError (also when the time passed before there was a connection), RequestTimeout,
        ConnectionLost, ProtocolError. An answer of any status is a Response.
        """
        deadline = trio.current_time() + timeout_s
        data = encode_request(method, target, self._fixed, headers or {}, body)
        connection = await self._ask(method, data, deadline, whole=True)
        reader = connection.reader
        response = Response(
            reader.status,
            reader.body[0] if len(reader.body) == 1 else b"".join(reader.body),
            reader.headers.get("content-type", ""),
            reader.headers,
        )
        await self._give_back(connection)
        return response

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        connect_timeout_s: float,
    ) -> AsyncIterator[StreamedResponse]:
        """Send a request and wait for the head of the answer, for `connect_timeout_s`; then read as it comes.

        Raises as `request` does. Leaving the context before the end of the body closes the connection.
        """
        deadline = trio.current_time() + connect_timeout_s
        data = encode_request(method, target, self._fixed, headers or {}, body)
        connection = await self._ask(method, data, deadline, whole=False)
        try:
            yield StreamedResponse(connection)
        finally:
            await self._give_back(connection)

    async def aclose(self) -> None:
        """Close the idle connections, and those in use as soon as their requests are done."""
        self._closed = True
        while self._idle:
            await trio.aclose_forcefully(self._idle.pop().stream)

    async def _ask(self, method: str, data: bytes, deadline: float, *, whole: bool) -> _Connection:
        """Send a request, on a pooled connection or a new one, and read the head of the answer or all of it."""
        if self._closed:
            raise trio.ClosedResourceError("this client is closed")
        head_only = method == "HEAD"
        connection = await self._take()
        if connection is not None:
            try:
                await _converse(connection, data, deadline, head_only=head_only, whole=whole)
            except ConnectionLost:
                if method not in _REPEATABLE or connection.reader.started:
                    raise
            else:
                return connection
        connection = await self._dial(deadline)
        await _converse(connection, data, deadline, head_only=head_only, whole=whole)
        return connection

    async def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale():
                return connection
            await trio.aclose_forcefully(connection.stream)
        return None

    async def _dial(self, deadline: float) -> _Connection:
        with trio.CancelScope(deadline=deadline):
            try:
                return _Connection(await self._net.dial(self.address))
            except OSError as error:
                raise ConnectError(f"{self.address}: {error}") from error
        raise ConnectError(f"{self.address}: no connection in time")

    async def _give_back(self, connection: _Connection) -> None:
        reader = connection.reader
        if reader.complete and reader.keep_alive and len(self._idle) < self._max_idle and not self._closed:
            connection.idle_since = trio.current_time()
            self._idle.append(connection)
        else:
            await trio.aclose_forcefully(connection.stream)


async def _converse(connection: _Connection, data: bytes, deadline: float, *, head_only: bool, whole: bool) -> None:
    """Send a request and wait for the head of the answer, or the whole of it. Closes the connection on failure."""
    reader = connection.reader
    reader.expect(head_only=head_only)
    scope = trio.CancelScope(deadline=deadline)
    try:
        with scope:
            await connection.send(data)
            while not (reader.complete if whole else reader.status):
                await connection.receive()
    except BaseException:
        await trio.aclose_forcefully(connection.stream)
        raise
    if scope.cancelled_caught:
        await trio.aclose_forcefully(connection.stream)
        raise RequestTimeout(
            "the answer did not come in time" if not reader.status else "the answer did not end in time"
        )
