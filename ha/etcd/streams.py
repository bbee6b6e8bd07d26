"""One watch stream of the gateway: several watches of one client over one chunked answer.

A client of HTTP/1.1 sends its whole body before the answer begins, so all its watches are known at the start
(``create_request`` values one after the other; a ``cancel_request`` or ``progress_request`` may follow).

The stream is never silent for long. Every `progress_s` without an event a watch that asked for
``progress_notify`` is told how far it has come, and a watch that is catching up is told nothing false. With
the metadata ``hasleader`` the stream ends with an error when the member has lost its leader, as etcd's
does: a client of a partitioned member learns of it and goes elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import msgspec
import trio

from ha.etcd.api import WatchCreateRequest
from ha.etcd.errors import NO_LEADER
from ha.etcd.service import EtcdService
from ha.etcd.watch import Compacted, Watcher, WatchHub
from ha.etcd.wire import Encoder, encode_stream_error
from ha.http import Send

__all__ = ["WatchRequest", "WatchStream"]

_LEADERLESS_ELECTIONS = 3
"""After how many election timeouts without a leader a stream that requires one is ended; as in etcd."""


class _WatchCancelRequest(msgspec.Struct, frozen=True):
    watch_id: int = 0


class _WatchProgressRequest(msgspec.Struct, frozen=True):
    pass


class WatchRequest(msgspec.Struct, frozen=True):
    """One message of a client: exactly one field is set."""

    create_request: WatchCreateRequest | None = None
    cancel_request: _WatchCancelRequest | None = None
    progress_request: _WatchProgressRequest | None = None


class WatchStream:
    """The answer to one watch request. `run` sends until every watch has ended or the client is gone."""

    def __init__(
        self,
        service: EtcdService,
        hub: WatchHub,
        encoder: Encoder,
        requests: Sequence[WatchRequest],
        *,
        progress_s: float,
        election_s: float,
        require_leader: bool,
    ) -> None:
        self._service, self._hub, self._encoder = service, hub, encoder
        self._requests = requests
        self._progress_s = progress_s
        self._leader_check_s = election_s
        self._require_leader = require_leader
        self._watchers: dict[int, Watcher] = {}
        self._quiet_since_s: dict[int, float] = {}
        self._woken = trio.Event()

    async def run(self, send: Send) -> None:
        """Serve the stream."""
        try:
            if self._leader_is_missing(at_start=True):
                await send(encode_stream_error(NO_LEADER.code, NO_LEADER.message))
                return
            for request in self._requests:
                await self._take(request, send)
            while self._watchers:
                await self._deliver(send)
                if self._leader_is_missing():
                    await send(encode_stream_error(NO_LEADER.code, NO_LEADER.message))
                    return
                with trio.move_on_at(self._next_duty_s()):
                    await self._woken.wait()
                self._woken = trio.Event()
                await self._notify_progress(send)
        finally:
            for watcher in self._watchers.values():
                self._hub.remove(watcher)

    @property
    def _term(self) -> int:
        return self._service.status.term

    async def _take(self, request: WatchRequest, send: Send) -> None:
        if request.create_request is not None:
            await self._create(request.create_request, send)
        elif request.cancel_request is not None:
            watch_id = request.cancel_request.watch_id
            if watch_id in self._watchers:
                self._end(watch_id)
                await send(self._encoder.watch_canceled(self._service.revision, self._term, watch_id))
        elif request.progress_request is not None:
            while not all(watcher.caught_up for watcher in self._watchers.values()):
                await self._deliver(send)
            await send(self._encoder.watch_progress(self._service.revision, self._term, -1))

    async def _create(self, request: WatchCreateRequest, send: Send) -> None:
        revision, watch_id = self._service.revision, request.watch_id
        reason = ""
        if not request.key:
            request = msgspec.structs.replace(request, key=b"\0")
        if request.range_end and request.range_end != b"\0" and request.range_end <= request.key:
            reason = "mvcc: watcher range is empty"
        elif watch_id in self._watchers and watch_id:
            reason = "mvcc: duplicate watch ID provided on the WatchStream"
        if reason:
            await send(self._encoder.watch_canceled(revision, self._term, -1, reason=reason, created=True))
            return
        while not request.watch_id and watch_id in self._watchers:
            watch_id += 1
        self._watchers[watch_id] = self._hub.add(request, self._wake)
        self._quiet_since_s[watch_id] = trio.current_time()
        await send(self._encoder.watch_created(revision, self._term, watch_id))

    async def _deliver(self, send: Send) -> None:
        """Send all that there is to send."""
        for watch_id, watcher in list(self._watchers.items()):
            while (batch := watcher.take()) is not None or not watcher.caught_up:
                if isinstance(batch, Compacted):
                    self._end(watch_id)
                    compacted = batch.compact_revision
                    await send(self._encoder.watch_canceled(0, self._term, watch_id, compact_revision=compacted))
                    break
                if batch is not None:
                    await send(self._encoder.watch_batch(batch, self._term, watch_id))
                    self._quiet_since_s[watch_id] = trio.current_time()
                if not watcher.caught_up:
                    await trio.lowlevel.checkpoint()  # a part of the log is enough at once, whatever was found in it

    async def _notify_progress(self, send: Send) -> None:
        now_s = trio.current_time()
        for watch_id, watcher in list(self._watchers.items()):
            is_due = watcher.request.progress_notify and self._quiet_since_s[watch_id] + self._progress_s <= now_s
            if is_due and watcher.caught_up:
                self._quiet_since_s[watch_id] = now_s
                await send(self._encoder.watch_progress(self._service.revision, self._term, watch_id))

    def _next_duty_s(self) -> float:
        """When to look again although nothing woke the stream."""
        duties_s = [
            self._quiet_since_s[watch_id] + self._progress_s
            for watch_id, watcher in self._watchers.items()
            if watcher.request.progress_notify
        ]
        if self._require_leader:
            duties_s.append(trio.current_time() + self._leader_check_s)
        return min(duties_s, default=inf)

    def _leader_is_missing(self, *, at_start: bool = False) -> bool:
        if not self._require_leader:
            return False
        patience_s = 0.0 if at_start else _LEADERLESS_ELECTIONS * self._leader_check_s
        return self._service.leaderless_s() > patience_s

    def _end(self, watch_id: int) -> None:
        self._hub.remove(self._watchers.pop(watch_id))
        del self._quiet_since_s[watch_id]

    def _wake(self) -> None:
        self._woken.set()
