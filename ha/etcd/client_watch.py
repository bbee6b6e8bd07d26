"""One watch of a client: opening it on one member, reading its lines, noticing that it is dead."""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack

import msgspec
import trio

from ha.etcd.answers import WatchLine, read_answer, read_error
from ha.etcd.api import WatchBatch, WatchCreateRequest
from ha.etcd.endpoints import Endpoint
from ha.etcd.errors import (
    COMPACTED,
    INVALID_ARGUMENT,
    UNAVAILABLE,
    CompactedError,
    EtcdError,
    EtcdUnavailableError,
    error_of,
)
from ha.etcd.wire import PROGRESS_HEADER
from ha.http import HttpError, RequestTimeout, StreamedResponse

__all__ = ["WatchReader", "open_watch"]

HTTP_OK = 200
_SILENT_PERIODS = 3
_SILENCE_MIN_S = 0.25
"""Below it a busy machine would look like a dead one."""
_PROBE_EVERY_S = 2.0
"""How long a stream of a member that does not say how often it speaks may be silent before it is probed."""


class WatchReader:
    """An async iterator of `WatchBatch`; see `ha.etcd.client.EtcdClient.watch`."""

    def __init__(
        self, endpoint: Endpoint, response: StreamedResponse, request: WatchCreateRequest, *, progress_notify: bool
    ) -> None:
        self.address = endpoint.address
        """The member that serves this watch."""
        self.created_revision = 0
        """The member's revision when the watch began."""
        self._endpoint = endpoint
        self._response = response
        self._progress_notify = progress_notify
        self._floor = request.start_revision - 1
        self._lines: deque[bytes] = deque()
        self._partial: list[bytes] = []
        period_s = float(response.headers.get(PROGRESS_HEADER, 0))
        self.speaks = period_s > 0
        """Whether the member says every so often how far the watch has come."""
        self._silence_s = max(_SILENT_PERIODS * period_s, _SILENCE_MIN_S) if self.speaks else _PROBE_EVERY_S

    async def opened(self) -> None:
        """Wait until the member has confirmed the watch. Raises EtcdError when it refuses."""
        line = read_answer(WatchLine, await self._next_line())
        if line.error is not None:
            raise error_of(line.error.grpc_code, line.error.message)
        if line.result is None or not line.result.created:
            raise EtcdUnavailableError(UNAVAILABLE, "the watch was not confirmed", definite=True)
        if line.result.canceled:
            raise EtcdError(INVALID_ARGUMENT, line.result.cancel_reason, definite=True)
        self.created_revision = line.result.header.revision

    def __aiter__(self) -> WatchReader:
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            line = read_answer(WatchLine, await self._next_line())
            if line.error is not None:
                self._endpoint.failed()
                raise error_of(line.error.grpc_code, line.error.message)
            result = line.result
            if result is None:
                continue
            if result.canceled:
                raise _cancellation(result.compact_revision, result.cancel_reason)
            if result.events:
                events = result.watch_events()
                return WatchBatch(events[-1].kv.mod_revision, events)
            if self._progress_notify:
                # A member that lags may be told to start in its future: up to there all was delivered before.
                return WatchBatch(max(result.header.revision, self._floor), [])

    async def _next_line(self) -> bytes:
        while not self._lines:
            piece = await self._next_piece()
            head, *rest = piece.split(b"\n")
            self._partial.append(head)
            for part in rest:
                line, self._partial = b"".join(self._partial), [part]
                if line:
                    self._lines.append(line)
        return self._lines.popleft()

    async def _next_piece(self) -> bytes:
        """What comes next. Raises EtcdUnavailableError when nothing will."""
        while True:
            try:
                with trio.move_on_after(self._silence_s):
                    piece = await anext(self._response, b"")
                    if not piece:
                        raise EtcdUnavailableError(UNAVAILABLE, f"{self.address} ended the watch", definite=True)
                    self._endpoint.answered()
                    return piece
            except HttpError as error:
                self._endpoint.failed()
                raise EtcdUnavailableError(UNAVAILABLE, f"{self.address}: {error}", definite=True) from error
            if not await self._endpoint.is_alive() or self.speaks:
                self._endpoint.failed()
                raise EtcdUnavailableError(UNAVAILABLE, f"{self.address}: the watch fell silent", definite=True)


async def open_watch(
    stack: AsyncExitStack, endpoint: Endpoint, request: WatchCreateRequest, *, timeout_s: float, progress_notify: bool
) -> WatchReader:
    """Open a watch on one member, to be closed by `stack`. Raises HttpError, EtcdError."""
    body = msgspec.json.encode({"create_request": request})
    async with AsyncExitStack() as attempt:
        with trio.move_on_after(timeout_s):
            response = await attempt.enter_async_context(
                endpoint.http.stream(
                    "POST",
                    "/v3/watch",
                    body=body,
                    headers={"grpc-metadata-hasleader": "true"},
                    connect_timeout_s=timeout_s,
                )
            )
            if response.status != HTTP_OK:
                raise read_error(response.status, await response.read())
            reader = WatchReader(endpoint, response, request, progress_notify=progress_notify)
            await reader.opened()
            stack.push_async_callback(attempt.pop_all().aclose)
            return reader
    raise RequestTimeout("the watch was not confirmed in time")


def _cancellation(compact_revision: int, reason: str) -> EtcdError:
    if compact_revision:
        return CompactedError(COMPACTED.code, COMPACTED.message, definite=True, compact_revision=compact_revision)
    return EtcdUnavailableError(UNAVAILABLE, reason or "the watch was canceled", definite=True)
