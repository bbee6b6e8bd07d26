"""The server: connections of one listener, answered by one handler.

One task per connection reads a request, runs the handler, writes the response: nothing else is needed as long
as the handler does not block, which is the common case (an answer from memory) and the one to be fast. There is
no nursery, cancel scope or second task per request.

*Disconnects.* Once a handler has blocked for a while, or a response streams, a second task per connection, the
read-ahead, takes over reading: an end of file cancels the connection at once, further requests queue up behind the
one being answered (`Limits.pipelined` of them, then reading stops). `noting_block` steps the handler by hand up to
its first suspension to find out, and one task per server, `_read_ahead_of_the_blocked`, looks who is still blocked
`_PATIENCE_S` later: most handlers that wait are done by then (a write of the store), and a second task would cost
them more than they take. The read-ahead task goes on across requests while handlers keep blocking so long, and
hands reading back after one that did not. So a client that shuts down its sending side while a handler is
blocked counts as gone, as in Go's net/http.

*Timeouts.* A cancel scope per wait would cost as much as parsing. Instead each connection notes a `deadline`,
and one task per server, `_expire_connections`, looks at all of them: not later than the earliest deadline, and
at least once in the shortest timeout, so that none set since the last look is missed. A connection that is
being handled has no deadline: bounding its own work is the handler's business.

*Boundaries.* An exception of a handler is logged and becomes a 500 (or, once a stream has begun, a cut
connection); one of a connection is logged and ends that connection; neither ends the server. Cancelling
`serve` stops accepting and cuts every connection, stalled readers included: nothing is shielded.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from email.utils import formatdate
from math import inf
from typing import NoReturn

import trio

from ha.http.accepting import accept_forever
from ha.http.encoding import CONTINUE, LAST_CHUNK, encode_chunk, encode_response, encode_stream_head
from ha.http.messages import Handler, Limits, Log, Request, Response, StreamingResponse
from ha.http.parsing import Incoming, Refusal, RequestReader
from ha.http.relay import peer_of
from ha.world import Listener, Stream
from ha.world.stepping import noting_block

__all__ = ["serve"]

_RECEIVE_BYTES = 64 * 1024
_WRITE_BYTES = 64 * 1024
"""Larger responses go out in several writes, each with the send timeout of its own: a reader that takes so much
in that time is slow, not stalled."""

_PATIENCE_S = 0.25
"""A handler that blocks for longer is worth a task that sees whether its client is still there."""


class _ClientGoneError(Exception):
    """The transport broke under a response."""


async def serve(
    listener: Listener,
    handler: Handler,
    *,
    limits: Limits | None = None,
    log: Log | None = None,
    wall_clock: Callable[[], float] | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Answer every request that comes in on `listener` by `handler`, until cancelled; then close everything.

    Without a `log` (as `Host.log`), errors go to the logger ``ha.http``. Responses carry a Date if there is a
    `wall_clock` (RFC 9110 6.6.1: a server without a clock must not send one).
    """
    service = _Service(handler, limits or Limits(), log or _log_to_logging, wall_clock)
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(_expire_connections, service)
        nursery.start_soon(_read_ahead_of_the_blocked, service)
        task_status.started()
        await accept_forever(listener, lambda stream: nursery.start_soon(_serve_one, stream, service), service.log)


def _log_to_logging(message: str, **fields: object) -> None:
    logging.getLogger("ha.http").error("%s %s", message, fields)


class _Service:
    """What the connections of one server share."""

    __slots__ = (
        "_date",
        "_date_s",
        "_wall_clock",
        "anybody_blocked",
        "blocked",
        "connected",
        "connections",
        "handler",
        "limits",
        "log",
    )

    def __init__(self, handler: Handler, limits: Limits, log: Log, wall_clock: Callable[[], float] | None) -> None:
        self.handler = handler
        self.limits = limits
        self.log = log
        self.connections: dict[_Connection, None] = {}
        self.connected = trio.lowlevel.ParkingLot()
        self.blocked: dict[_Connection, int] = {}
        """Connections whose handler blocks, and how many of their handlers did before."""
        self.anybody_blocked = trio.lowlevel.ParkingLot()
        self._wall_clock = wall_clock
        self._date = b""
        self._date_s = -1

    def date(self) -> bytes:
        """The Date line of now, or nothing. Formatted once a second."""
        if self._wall_clock is None:
            return b""
        now_s = int(self._wall_clock())
        if now_s != self._date_s:
            self._date_s = now_s
            self._date = f"date: {formatdate(now_s, usegmt=True)}\r\n".encode()
        return self._date


async def _expire_connections(service: _Service) -> NoReturn:
    limits = service.limits
    shortest_s = min(limits.head_timeout_s, limits.idle_timeout_s, limits.send_timeout_s)
    while True:
        if not service.connections:
            await service.connected.park()
        now = trio.current_time()
        wake = now + shortest_s
        for connection in service.connections:
            if connection.deadline <= now:
                connection.expire()
            elif connection.deadline < wake:
                wake = connection.deadline
        await trio.sleep_until(wake)


async def _read_ahead_of_the_blocked(service: _Service) -> NoReturn:
    while True:
        if not service.blocked:
            await service.anybody_blocked.park()
        before = list(service.blocked.items())
        await trio.sleep(_PATIENCE_S)
        for connection, number in before:
            if service.blocked.get(connection) == number:
                connection.start_reading_ahead()


async def _serve_one(stream: Stream, service: _Service) -> None:
    """The exception boundary of one connection."""
    try:
        connection = _Connection(stream, service)
        service.connections[connection] = None
        service.connected.unpark_all()
        try:
            await connection.run()
        finally:
            del service.connections[connection]
    except Exception:  # noqa: BLE001  (one connection must not end the others)
        service.log("connection failed", traceback=traceback.format_exc())
    finally:
        await trio.aclose_forcefully(stream)


class _Connection:
    """One connection. `run` answers; `_read_ahead` reads when a handler blocks."""

    __slots__ = (
        "_ahead",
        "_blocked",
        "_blocks",
        "_expired",
        "_gone",
        "_message_deadline",
        "_nursery",
        "_reader",
        "_room",
        "_service",
        "_stream",
        "_waiting",
        "_woken",
        "_writing",
        "deadline",
    )

    def __init__(self, stream: Stream, service: _Service) -> None:
        self._stream = stream
        self._service = service
        self._reader = RequestReader(service.limits, peer_of(stream))
        self.deadline = inf
        self._message_deadline = inf
        self._nursery: trio.Nursery
        self._woken = trio.lowlevel.ParkingLot()
        """Where `run` waits for the read-ahead task to find a request."""
        self._room = trio.lowlevel.ParkingLot()
        """Where the read-ahead task waits for room in the queue of requests."""
        self._ahead = False
        """The read-ahead task runs, so nobody else may receive."""
        self._blocked = False
        """A handler blocked for long since the read-ahead task last handed over a request."""
        self._blocks = 0
        self._waiting = False
        self._writing = False
        self._gone = False
        self._expired = False

    async def run(self) -> None:
        """Answer until either side has enough."""
        async with trio.open_nursery() as self._nursery:
            try:
                await self._answer_all()
            except _ClientGoneError:
                pass  # nobody is left to be answered
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the same, found while receiving
            self._nursery.cancel_scope.cancel()
        if self._expired and self._waiting and self._reader.in_message:
            with trio.move_on_after(self._service.limits.linger_s):
                await self._say_refusal(Refusal(408, "the request did not come in time"))

    def expire(self) -> None:
        """The deadline passed: end the connection."""
        self.deadline = inf
        self._expired = True
        self._nursery.cancel_scope.cancel()

    async def _answer_all(self) -> None:
        while (incoming := await self._next_request()) is not None:
            if not await self._answer(incoming) or self._gone:
                return
            if self._reader.requests:
                await trio.lowlevel.checkpoint()  # who pipelines takes turns with the others
        if self._reader.refusal is not None:
            await self._refuse(self._reader.refusal)

    # --- reading

    async def _next_request(self) -> Incoming | None:
        """The next request, or None when there will be none: refused, asked to close, closed by the client."""
        reader = self._reader
        while not reader.requests:
            if reader.closing or self._gone:
                return None
            if reader.wants_continue:
                reader.wants_continue = False
                await self._send(CONTINUE)
            self._waiting = True
            self._arm()
            if self._ahead:
                await self._woken.park()
            else:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
                if not data:
                    return None
                reader.feed(data)
        self._waiting = False
        self.deadline = self._message_deadline = inf
        incoming = reader.requests.popleft()
        if self._ahead:
            self._room.unpark()
        return incoming

    def _arm(self) -> None:
        """Set the deadline for what the client has to do next."""
        now = trio.current_time()
        limits = self._service.limits
        if not self._reader.in_message:
            self.deadline = now + limits.idle_timeout_s
        elif self._message_deadline == inf or not self._reader.in_head:
            self.deadline = self._message_deadline = now + limits.head_timeout_s
        else:
            self.deadline = self._message_deadline  # more of a head does not buy it more time

    def _note_block(self) -> None:
        self._blocks += 1
        service = self._service
        service.blocked[self] = self._blocks
        if service.anybody_blocked:
            service.anybody_blocked.unpark_all()

    def start_reading_ahead(self) -> None:
        """Notice when the client goes."""
        self._blocked = True
        if not self._ahead:
            self._ahead = True
            self._nursery.start_soon(self._read_ahead)

    async def _read_ahead(self) -> None:
        reader = self._reader
        try:
            while True:
                if len(reader.requests) >= self._service.limits.pipelined:
                    await self._room.park()
                    continue
                data = await self._stream.receive_some(_RECEIVE_BYTES)
                if not data:
                    break
                reader.feed(data)
                if not self._waiting:
                    continue
                if reader.requests or reader.closing or reader.wants_continue:
                    self._waiting = False
                    self._woken.unpark()
                    if not self._blocked:
                        self._ahead = False
                        return
                    self._blocked = False
                else:
                    self._arm()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._writing = False  # whatever is being written has no reader
        self._gone = True
        if not self._writing:
            self._nursery.cancel_scope.cancel()

    # --- answering

    async def _answer(self, incoming: Incoming) -> bool:
        """Answer one request. Whether the connection can go on."""
        service = self._service
        request, keep_alive, http_1_0 = incoming
        head_only = request.method == "HEAD"
        try:
            blocks = self._blocks
            try:
                response = await noting_block(service.handler(request), self._note_block)
            finally:
                if self._blocks != blocks:
                    del service.blocked[self]
            if isinstance(response, StreamingResponse):
                keep_alive = keep_alive and not http_1_0
                data = encode_stream_head(response, date=service.date(), keep_alive=keep_alive, http_1_0=http_1_0)
            else:
                data = encode_response(
                    response, date=service.date(), keep_alive=keep_alive, http_1_0=http_1_0, head_only=head_only
                )
        except Exception:  # noqa: BLE001  (the boundary of one handler: any fault of it is a 500)
            self._log_failure("handler failed", request)
            response = Response(500, b"internal server error\n", "text/plain")
            data = encode_response(
                response, date=service.date(), keep_alive=keep_alive, http_1_0=http_1_0, head_only=head_only
            )
        if isinstance(response, StreamingResponse) and not head_only:
            return await self._stream_body(request, response, data, chunked=not http_1_0) and keep_alive
        self._writing = True
        await self._send(data)
        self._writing = False
        return keep_alive

    async def _stream_body(self, request: Request, response: StreamingResponse, head: bytes, *, chunked: bool) -> bool:
        self.start_reading_ahead()
        await self._send(head)

        async def send(piece: bytes) -> None:
            if piece:
                await self._send(encode_chunk(piece) if chunked else piece)
            else:
                await trio.lowlevel.checkpoint()

        try:
            await response.source(send)
        except _ClientGoneError:
            raise
        except Exception:  # noqa: BLE001  (the boundary of one source: the cut connection tells the client)
            self._log_failure("streaming response failed", request)
            return False
        if chunked:
            await self._send(LAST_CHUNK)
        return True

    async def _refuse(self, refusal: Refusal) -> None:
        """Send an error as the last response; let the client read it before the connection is cut.

        Closing a socket while data comes in resets it, and a reset destroys what the client has not read yet.
        """
        await self._say_refusal(refusal)
        with trio.move_on_after(self._service.limits.linger_s):
            await self._stream.send_eof()
            if self._ahead:
                await trio.sleep_forever()  # the read-ahead task discards, and ends this when the client is gone
            while await self._stream.receive_some(_RECEIVE_BYTES):
                pass

    async def _say_refusal(self, refusal: Refusal) -> None:
        response = Response(refusal.status, f"{refusal.message}\n".encode(), "text/plain")
        date = self._service.date()
        await self._send(encode_response(response, date=date, keep_alive=False, http_1_0=False, head_only=False))

    async def _send(self, data: bytes) -> None:
        """Send all, as long as the client takes a part of it now and then."""
        timeout_s = self._service.limits.send_timeout_s
        try:
            if len(data) <= _WRITE_BYTES:
                self.deadline = trio.current_time() + timeout_s
                await self._stream.send_all(data)
            else:
                for start in range(0, len(data), _WRITE_BYTES):
                    self.deadline = trio.current_time() + timeout_s
                    await self._stream.send_all(memoryview(data)[start : start + _WRITE_BYTES])
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise _ClientGoneError from error
        self.deadline = inf

    def _log_failure(self, message: str, request: Request) -> None:
        self._service.log(
            message,
            method=request.method,
            target=request.target,
            peer=request.peer,
            traceback=traceback.format_exc(),
        )
