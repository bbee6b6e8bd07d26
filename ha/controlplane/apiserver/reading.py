"""Get and list: which reads come from the store, which from the cache, and why both are right.

* A get without a resourceVersion is a linearizable read of one key.
* A list without one asks the store for its revision (linearizable), waits until the cache has reached it, and
  answers from the cache: everything acknowledged before the request is in it, and nothing is copied out of the
  store. When the cache cannot get there in time (its watch is down, say), the store itself is listed.
* ``resourceVersion=0`` takes what the cache has, however old, without asking anybody: this goes on working
  when the store has no quorum.
* Any other resourceVersion waits until the cache is at least that new, for `wait_s` at most; then 504.
* Pages after the first, and exact revisions, are read from the store as of their revision. The first page of a
  consistent list comes from the cache at a known revision, so its continuation is consistent with it.
"""

from __future__ import annotations

import msgspec
import trio

from ha.controlplane.apiserver.cache import Entry, Feed, ResourceCache
from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.selection import (
    ListOptions,
    Position,
    Selection,
    parse_revision,
    selection,
)
from ha.controlplane.apiserver.store import Store, Stored
from ha.etcd.errors import CompactedError, FutureRevisionError
from ha.kube import errors
from ha.kube.errors import ApiError

__all__ = ["Listed", "Reader"]

_CHUNK = 500
_TOO_OLD = "The resourceVersion for the provided list is too old."
_CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


class Listed(msgspec.Struct, frozen=True):
    """A list's content: entries in order of path as of `revision`; where to go on, if there is more."""

    entries: list[Entry]
    revision: int
    next: Position | None = None
    remaining: int | None = None


class Reader:
    """Answers gets and lists."""

    def __init__(self, store: Store, feed: Feed, *, wait_s: float) -> None:
        self._store = store
        self._feed = feed
        self._wait_s = wait_s

    async def get(self, resource: Resource, namespace: str | None, name: str, resource_version: str) -> Entry:
        """One object. Raises ApiError."""
        key = resource.kind.key(namespace, name)
        cache = self._feed.caches[resource.kind]
        if resource_version == "":
            stored = await self._store.get(key)
            found = cache.entry(stored) if stored else None
        else:
            await self._reach(parse_revision(resource_version))
            found = cache.get(key.removeprefix(resource.kind.prefix))
        if found is None:
            raise errors.not_found(resource.kind, name)
        return found

    async def list(self, resource: Resource, namespace: str | None, options: ListOptions) -> Listed:
        """The objects that a list request means. Raises ApiError."""
        chosen = selection(resource, namespace, options)
        cache = self._feed.caches[resource.kind]
        match options.freshness:
            case "continue":
                return await self._continue(cache, chosen, options)
            case "exact":
                revision = parse_revision(options.resource_version)
                try:
                    return await self._from_store(cache, chosen, Position(revision, ""), options.limit)
                except CompactedError as error:
                    raise errors.expired(_TOO_OLD) from error
            case "any" | "not-older":
                await self._reach(parse_revision(options.resource_version))
                limit = 0 if options.freshness == "any" else options.limit
                return self._from_cache(cache, chosen, limit)
        if await self.catch_up():
            return self._from_cache(cache, chosen, options.limit)
        return await self._from_store(cache, chosen, Position(0, ""), options.limit)

    async def catch_up(self) -> bool:
        """Make the cache as new as the store was when this was called. False: it did not get there in time."""
        revision = await self._store.revision()
        if not self._feed.synced:
            return False
        with trio.move_on_after(self._wait_s):
            await self._feed.reach(revision)
        return self._feed.revision >= revision

    async def _reach(self, revision: int) -> None:
        """Wait until the cache is at least so new. Raises 429 before its first sync, 504 when it takes too long."""
        if not self._feed.synced:
            raise initializing()
        with trio.move_on_after(self._wait_s):
            await self._feed.reach(revision)
        if self._feed.revision < revision:
            raise errors.resource_version_too_large(revision, self._feed.revision)

    def _from_cache(self, cache: ResourceCache, chosen: Selection, limit: int) -> Listed:
        revision = self._feed.revision
        if chosen.path is not None:
            entry = cache.get(chosen.path)
            return Listed([entry] if entry and chosen.matches(entry) else [], revision)
        entries = [e for e in cache.scan(chosen.prefix) if not chosen.selective or chosen.matches(e)]
        if not limit or len(entries) <= limit:
            return Listed(entries, revision)
        remaining = None if chosen.selective else len(entries) - limit
        page = entries[:limit]
        return Listed(page, revision, _after(page[-1], chosen, revision), remaining)

    async def _continue(self, cache: ResourceCache, chosen: Selection, options: ListOptions) -> Listed:
        position = Position.parse(options.continue_)
        try:
            consistent = max(0, position.revision)
            return await self._from_store(cache, chosen, Position(consistent, position.start), options.limit)
        except CompactedError as error:
            gone = errors.expired(_CONTINUE_TOO_OLD)
            gone.metadata = {"continue": Position(-1, position.start).token()}
            raise gone from error

    async def _from_store(self, cache: ResourceCache, chosen: Selection, at: Position, limit: int) -> Listed:
        """Read pages until `limit` objects match (0: all). Raises CompactedError."""
        prefix = cache.resource.kind.prefix + chosen.prefix
        entries: list[Entry] = []
        start, revision = at.start, at.revision
        chunk = limit if limit and not chosen.selective else _CHUNK
        while True:
            try:
                page = await self._store.page(prefix, start, limit=chunk, revision=revision)
            except FutureRevisionError as error:
                raise errors.resource_version_too_large(revision, self._feed.revision) from error
            revision = page.revision
            for i, stored in enumerate(page.items):
                entry = cache.entry(stored)
                if not chosen.matches(entry):
                    continue
                entries.append(entry)
                rest = len(page.items) - i - 1 + page.remaining
                if len(entries) == limit and rest:
                    remaining = None if chosen.selective else rest
                    return Listed(entries, revision, _after(entry, chosen, revision), remaining)
            if not page.remaining:
                return Listed(entries, revision)
            start = _below(page.items[-1], prefix) + "\0"


def initializing() -> ApiError:
    """The answer before the cache was filled for the first time."""
    return errors.too_many_requests("storage is (re)initializing")


def _after(entry: Entry, chosen: Selection, revision: int) -> Position:
    return Position(revision, entry.path.removeprefix(chosen.prefix) + "\0")


def _below(stored: Stored, prefix: str) -> str:
    return stored.key.removeprefix(prefix)
