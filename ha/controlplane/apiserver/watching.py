"""Watch: a client's stream of changes, read from a resource's log with a cursor of its own.

Order and completeness come from the log: a watch from revision N sends every change after N, in order, or ends
with the ERROR event 410 when the log no longer reaches that far back; it never skips one. With selectors, an
object that begins to match is ADDED and one that ceases to match is DELETED.

A BOOKMARK promises that everything up to its revision was sent. It is taken when the cursor stands at the end
of the log, in the same step in which the feed's revision is read.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import trio

from ha.controlplane.apiserver.cache import Change, Entry, Feed, ResourceCache
from ha.controlplane.apiserver.reading import Reader, initializing
from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.selection import ListOptions, Selection, parse_revision, selection
from ha.http import Send
from ha.kube import errors
from ha.kube.errors import ApiError
from ha.kube.kinds import Object
from ha.world import Random

__all__ = ["Watcher", "Watches"]

_MIN_TIMEOUT_S = 1800
"""Upstream's --min-request-timeout: a watch without timeoutSeconds ends after once to twice that."""


class Watches:
    """Opens watches."""

    def __init__(self, feed: Feed, reader: Reader, *, bookmark_period_s: float, random: Random) -> None:
        self._feed = feed
        self._reader = reader
        self._bookmark_period_s = bookmark_period_s
        self._random = random
        self.open = 0

    async def start(self, resource: Resource, namespace: str | None, options: ListOptions) -> Watcher:
        """Settle where the watch begins. Raises ApiError for what is refused before the stream begins."""
        chosen = selection(resource, namespace, options)
        if not self._feed.synced:
            raise initializing()
        position = parse_revision(options.resource_version)
        if options.resource_version == "" and not await self._reader.catch_up():
            raise errors.service_unavailable("the watch cache does not keep up with the store")
        timeout_s = options.timeout_s or round(_MIN_TIMEOUT_S * (1 + self._random.random()))
        return Watcher(self, self._feed, resource, chosen, options, position, timeout_s, self._bookmark_period_s)


class Watcher:
    """One watch; `run` is the source of its response."""

    def __init__(
        self,
        watches: Watches,
        feed: Feed,
        resource: Resource,
        chosen: Selection,
        options: ListOptions,
        position: int,
        timeout_s: float,
        bookmark_period_s: float,
    ) -> None:
        self._watches = watches
        self._feed = feed
        self._cache: ResourceCache = feed.caches[resource.kind]
        self._resource = resource
        self._chosen = chosen
        self._options = options
        self._position = position
        self._timeout_s = timeout_s
        self._bookmark_period_s = bookmark_period_s
        self._cursor = 0

    async def run(self, send: Send) -> None:
        """Send events until the timeout, an error event, or cancellation (the client went away)."""
        self._watches.open += 1
        try:
            await self._run(send)
        finally:
            self._watches.open -= 1

    async def _run(self, send: Send) -> None:
        """Deadlines bound the waiting only: a frame that was begun is always finished."""
        end_s = trio.current_time() + self._timeout_s
        if not await self._begin(send):
            return
        bookmark_s = self._next_bookmark()
        while (changes := self._pending()) is not None:
            now_s = trio.current_time()
            if changes:
                self._cursor += len(changes)
                if frames := self._frames(changes):
                    await send(frames)
            elif now_s >= end_s:
                if self._options.bookmarks:
                    await send(self._bookmark())
                return
            elif now_s >= bookmark_s:
                await send(self._bookmark())
                bookmark_s = self._next_bookmark()
            else:
                with trio.move_on_at(min(end_s, bookmark_s)):
                    await self._cache.changed()
        await send(self._too_old(self._position))

    def _next_bookmark(self) -> float:
        return trio.current_time() + self._bookmark_period_s if self._options.bookmarks else float("inf")

    async def _begin(self, send: Send) -> bool:
        """Place the cursor; send the current state first where the request means that. False: too old."""
        options = self._options
        initial = options.send_initial_events
        if initial is None:
            initial = options.resource_version in {"", "0"}
        if not initial:
            start = self._position or self._feed.revision
            cursor = self._cache.cursor(start)
            if cursor is None:
                await send(self._too_old(start))
                return False
            self._cursor = cursor
            return True
        if self._position:
            await self._feed.reach(self._position)
        self._cursor, self._position = self._cache.end, self._feed.revision
        state = [e for e in self._cache.scan(self._chosen.prefix) if self._matches(e)]
        frames = [self._frame("ADDED", e, e.revision) for e in state]
        if options.send_initial_events:
            frames.append(self._bookmark({"k8s.io/initial-events-end": "true"}))
        if frames:
            await send(b"".join(frames))
        return True

    def _pending(self) -> list[Change] | None:
        return self._cache.since(self._cursor)

    def _frames(self, changes: Iterable[Change]) -> bytes:
        return b"".join(self._convert(c) for c in changes if c.revision > self._position)

    def _convert(self, change: Change) -> bytes:
        """The event as this client sees it, or nothing."""
        new = change.new if change.new and self._matches(change.new) else None
        old = change.old if change.old and self._matches(change.old) else None
        if new is not None:
            return self._frame("MODIFIED" if old is not None else "ADDED", new, change.revision)
        return b"" if old is None else self._frame("DELETED", old, change.revision)

    def _matches(self, entry: Entry) -> bool:
        chosen = self._chosen
        return entry.path.startswith(chosen.prefix) and (not chosen.selective or chosen.matches(entry))

    def _frame(self, type_: str, entry: Entry, revision: int) -> bytes:
        body = self._resource.codec.answer(entry.raw, revision)
        return b'{"type":"%b","object":%b}\n' % (type_.encode(), body)

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        revision = max(self._feed.revision, self._position)
        meta: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        kind = self._resource.kind
        obj = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _too_old(self, position: int) -> bytes:
        return error_event(errors.expired(f"too old resource version: {position} ({self._cache.oldest})"))


def error_event(error: ApiError) -> bytes:
    """The event that ends a stream."""
    return orjson.dumps({"type": "ERROR", "object": error.to_status()}) + b"\n"
