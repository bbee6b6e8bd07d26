"""The watch cache: the whole state in memory, and its recent changes, fed by one watch of the store.

One `Feed` reads everything under ``/registry/`` once, then follows a single watch from that revision on. It
keeps one `ResourceCache` per kind: the current objects in order of key, and a log of recent changes from which
every client's watch reads with a cursor of its own. A slow client costs nothing but its cursor: when the log
has moved past it, its watch ends with 410 and the client lists again (upstream ends slow watches as well).

Promises
* `Feed.revision` only grows. When it is N, every change up to N has been applied to the caches, because the
  watch covers all keys of the store (see `Store.watch`), and a transaction's events come in one batch.
* A consistent read from the cache is: ask the store for its revision (linearizable), wait until the feed has
  reached it, read. Everything acknowledged before the request came in is then visible.
* After a lost watch the feed resumes where it was. Only when the store has compacted that revision does it read
  everything again; then the logs start anew, so that clients with older positions are told 410, never left
  with a gap.

Rejected: a watch per kind (14 times the connections to the store, and revisions that do not line up); queues
per client (memory grows with slow clients, and each change is copied once per client).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import msgspec
import trio

from ha.controlplane.apiserver.resource import Fields, Resource
from ha.controlplane.apiserver.store import Store, Stored
from ha.etcd.api import WatchBatch
from ha.etcd.errors import CompactedError, EtcdError
from ha.kube.errors import ApiError
from ha.kube.kinds import Kind
from ha.kube.meta import labels_of

__all__ = ["Change", "Entry", "Feed", "ResourceCache"]

REGISTRY = "/registry/"
_PAGE = 500


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One object: its canonical stored form, and what selectors look at. `path` is the key after the prefix."""

    path: str
    raw: bytes
    revision: int
    labels: dict[str, str]
    fields: Fields


class Change(msgspec.Struct, frozen=True, gc=False):
    """One change of one object. ADDED has no `old`, DELETED no `new`."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    revision: int
    old: Entry | None
    new: Entry | None


class ResourceCache:
    """The objects of one kind and their recent changes."""

    def __init__(self, resource: Resource, *, log_size: int) -> None:
        self.resource = resource
        self._log_size = log_size
        self._entries: dict[str, Entry] = {}
        self._paths: list[str] = []
        self._log: list[Change] = []
        self._dropped = 0
        self._log_since = 0
        self._changed = trio.Event()

    @property
    def size(self) -> int:
        """How many objects there are."""
        return len(self._entries)

    def get(self, path: str) -> Entry | None:
        """One object."""
        return self._entries.get(path)

    def scan(self, prefix: str = "") -> Iterator[Entry]:
        """The objects whose path begins with a prefix, in order of path."""
        entries, paths = self._entries, self._paths
        at = bisect_left(paths, prefix) if prefix else 0
        while at < len(paths) and paths[at].startswith(prefix):
            yield entries[paths[at]]
            at += 1

    def entry(self, stored: Stored) -> Entry:
        """Read a stored object."""
        codec = self.resource.codec
        raw = codec.canonical(stored.value)
        obj = codec.decode(raw, stored.revision)
        path = stored.key.removeprefix(self.resource.kind.prefix)
        return Entry(path, raw, stored.revision, labels_of(obj), self.resource.selectable(obj))

    def replace(self, entries: Iterable[Entry], revision: int) -> None:
        """Start anew from a full read. The log begins at `revision`: older positions, and every cursor, are too old."""
        self._entries = {e.path: e for e in entries}
        self._paths = sorted(self._entries)
        self._dropped += len(self._log) + 1
        self._log = []
        self._log_since = revision
        self._wake()

    def put(self, new: Entry) -> None:
        """Apply a write."""
        old = self._entries.get(new.path)
        if old is None:
            insort(self._paths, new.path)
        self._entries[new.path] = new
        self._append(Change("ADDED" if old is None else "MODIFIED", new.revision, old, new))

    def delete(self, path: str, revision: int) -> None:
        """Apply a deletion."""
        old = self._entries.pop(path, None)
        if old is not None:
            del self._paths[bisect_left(self._paths, path)]
            self._append(Change("DELETED", revision, old, None))

    def _append(self, change: Change) -> None:
        self._log.append(change)
        if len(self._log) >= 2 * self._log_size:
            self._log_since = self._log[self._log_size - 1].revision
            del self._log[: self._log_size]
            self._dropped += self._log_size
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    @property
    def oldest(self) -> int:
        """The oldest position from which every later change is still known."""
        return self._log_since

    @property
    def end(self) -> int:
        """The cursor after the last change."""
        return self._dropped + len(self._log)

    def cursor(self, revision: int) -> int | None:
        """The cursor before the first change after `revision`, or None when that is too old to know."""
        if revision < self._log_since:
            return None
        return self._dropped + bisect_left(self._log, revision + 1, key=lambda change: change.revision)

    def since(self, cursor: int) -> list[Change] | None:
        """Every change from a cursor on, or None when the log has moved past it."""
        return None if cursor < self._dropped else self._log[cursor - self._dropped :]

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()


class Feed:
    """Keeps the caches current. See the module's docstring."""

    def __init__(
        self, store: Store, resources: Mapping[Kind, Resource], *, log_size: int, log: Callable[..., None]
    ) -> None:
        self._store = store
        self._log = log
        self.caches = {kind: ResourceCache(r, log_size=log_size) for kind, r in resources.items()}
        self._by_prefix = {kind.prefix: cache for kind, cache in self.caches.items()}
        self.revision = 0
        self.synced = False
        """Whether everything was read once. It stays true: a cache that lags still answers cached reads."""
        self.following = False
        """Whether the watch is up."""
        self.restarts = 0
        self._advanced = trio.Event()

    async def run(self, *, retry_s: float = 0.1) -> None:
        """Follow the store for ever, whatever happens to it."""
        continues = False
        while True:
            try:
                if not continues:
                    await self._read_everything()
                    continues = True
                await self._follow()
            except CompactedError:
                self._log("the store has compacted what the cache needs next; reading everything again")
                continues = False
            except (ApiError, EtcdError) as error:
                self._log("the watch of the store was lost", error=str(error), revision=self.revision)
            self.following = False
            self.restarts += 1
            await trio.sleep(retry_s)

    async def reach(self, revision: int) -> None:
        """Wait until everything up to a revision has been applied. Bound it with a deadline."""
        while self.revision < revision:
            await self._advanced.wait()

    async def _read_everything(self) -> None:
        found: dict[ResourceCache, list[Entry]] = {cache: [] for cache in self.caches.values()}
        start, revision = "", 0
        while True:
            page = await self._store.page(REGISTRY, start, limit=_PAGE, revision=revision)
            revision = page.revision
            for stored in page.items:
                cache = self._cache_of(stored.key)
                entry = None if cache is None else self._entry(cache, stored)
                if cache is not None and entry is not None:
                    found[cache].append(entry)
            if not page.remaining:
                break
            start = page.items[-1].key.removeprefix(REGISTRY) + "\0"
        for cache, entries in found.items():
            cache.replace(entries, revision)
        self.synced = True
        self._advance(revision)

    async def _follow(self) -> None:
        async with self._store.watch(self.revision + 1) as batches:
            self.following = True
            async for batch in batches:
                self.apply(batch)

    def apply(self, batch: WatchBatch) -> None:
        """Apply one batch of the watch. What was applied before (a resumed watch) is left out."""
        for event in batch.events:
            kv = event.kv
            if kv.mod_revision <= self.revision:
                continue
            key = kv.key.decode(errors="replace")
            cache = self._cache_of(key)
            if cache is None:
                continue
            if event.type == "DELETE":
                cache.delete(key.removeprefix(cache.resource.kind.prefix), kv.mod_revision)
            elif entry := self._entry(cache, Stored(key, kv.value, kv.mod_revision)):
                cache.put(entry)
        self._advance(batch.revision)

    def _entry(self, cache: ResourceCache, stored: Stored) -> Entry | None:
        """None for a value that is no object: somebody else wrote it, and one bad key must not stop the server."""
        try:
            return cache.entry(stored)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            self._log("a stored value is no object", key=stored.key, error=repr(error))
            return None

    def _advance(self, revision: int) -> None:
        if revision > self.revision:
            self.revision = revision
            self._advanced.set()
            self._advanced = trio.Event()

    def _cache_of(self, key: str) -> ResourceCache | None:
        """Prefixes are one or two segments below /registry/."""
        first = key.find("/", len(REGISTRY)) + 1
        second = key.find("/", first) + 1
        return self._by_prefix.get(key[:first], self._by_prefix.get(key[:second]))
