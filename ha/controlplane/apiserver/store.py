"""The store as the API server sees it: get, page, commit, watch, on plain keys and values.

A thin layer over `ha.etcd.client.EtcdClient` with three jobs.

* It speaks of *checks* and *writes* instead of comparisons and operations: every change of an object is one
  transaction that holds only if each key it depends on is still at the revision that was read.
* It turns the store's errors into answers: 503 at once when certainly nothing was done (no member reached, no
  leader), 504 or 500 when the outcome is unknown. A write of unknown outcome is never tried again here: only
  the client knows whether doing it twice is harmless.
* It remembers when the store last served a linearizable request, and what failed, for ``/readyz`` and metrics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

import msgspec
import trio

from ha.etcd.api import (
    Compare,
    DeleteRangeRequest,
    KeyValue,
    LeaseGrantResult,
    Op,
    PutRequest,
    RangeRequest,
    RangeResult,
    TxnResult,
    WatchBatch,
    prefix_end,
)
from ha.etcd.errors import CompactedError, EtcdError, EtcdTimeoutError, FutureRevisionError
from ha.kube import errors

__all__ = ["Check", "Commit", "Page", "Store", "StoreClient", "Stored", "Write"]

HEALTH_KEY = b"/registry/health"
"""Read by probes; upstream's health check reads the same key. Nobody ever writes it."""
COMPACTION_KEY = b"compact_rev_key"
"""Upstream's: its version counts compactions, its value is the revision of the last one."""

T = TypeVar("T")


class StoreClient(Protocol):
    """What is used of `ha.etcd.client.EtcdClient`."""

    async def range(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        revision: int = 0,
        limit: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
    ) -> RangeResult:
        """Read keys."""
        ...

    async def txn(self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()) -> TxnResult:
        """Compare, then write or read."""
        ...

    async def compact(self, revision: int) -> object:
        """Forget what was superseded up to a revision."""
        ...

    async def lease_grant(self, ttl_s: int) -> LeaseGrantResult:
        """A lease that expires after `ttl_s` seconds."""
        ...

    def watch(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        """Follow changes."""
        ...


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A key's value and the revision that last wrote it: its object's resourceVersion."""

    key: str
    value: bytes
    revision: int


class Check(msgspec.Struct, frozen=True, gc=False):
    """A commit's condition: the key was last written at `revision`; 0 means that it does not exist."""

    key: str
    revision: int


class Write(msgspec.Struct, frozen=True, gc=False):
    """One write of a commit. A value of None deletes. `lease` 0 is no lease."""

    key: str
    value: bytes | None
    lease: int = 0


class Commit(msgspec.Struct, frozen=True):
    """The outcome of a commit. When a check failed, `current` holds every checked key that exists, by key."""

    done: bool
    revision: int
    current: dict[str, Stored] = {}


class Page(msgspec.Struct, frozen=True):
    """A part of a range as of `revision`, in order of key; `remaining` counts what the limit cut off."""

    items: list[Stored]
    remaining: int
    revision: int


class Store:
    """See the module's docstring. Every method raises ApiError when the store does not serve."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self.served_at_s = float("-inf")
        """When a linearizable request last succeeded, on trio's clock."""
        self.failures: Counter[str] = Counter()

    async def get(self, key: str) -> Stored | None:
        """One key, linearizable."""
        result = await self._reads(self._client.range(key.encode()))
        return _stored(result.kvs[0]) if result.kvs else None

    async def page(self, prefix: str, start: str = "", *, limit: int = 0, revision: int = 0) -> Page:
        """Keys with a prefix from ``prefix + start`` on; now (linearizable), or as of a revision. Limit 0: all.

        Raises CompactedError and FutureRevisionError as the store does: what they mean depends on the request.
        """
        low, high = (prefix + start).encode(), prefix_end(prefix.encode())
        result = await self._reads(self._client.range(low, high, revision=revision, limit=limit))
        items = [_stored(kv) for kv in result.kvs]
        return Page(items, result.count - len(items), revision or result.revision)

    async def revision(self) -> int:
        """The store's revision now: whatever was acknowledged before the call is in it."""
        return (await self._reads(self._client.range(HEALTH_KEY, count_only=True))).revision

    async def commit(self, checks: Sequence[Check], writes: Sequence[Write]) -> Commit:
        """Do all writes if every check holds, else none. Raises ApiError; 504 and 500 mean: perhaps done."""
        compare = [Compare(c.key.encode(), "MOD", mod_revision=c.revision) for c in checks]
        success: list[Op] = [
            DeleteRangeRequest(w.key.encode()) if w.value is None else PutRequest(w.key.encode(), w.value, w.lease)
            for w in writes
        ]
        failure = [RangeRequest(c.key.encode()) for c in checks]
        result = await self._writes(self._client.txn(compare, success, failure))
        if result.succeeded:
            return Commit(done=True, revision=result.revision)
        found = [_stored(kv) for r in result.responses if isinstance(r, RangeResult) for kv in r.kvs]
        return Commit(done=False, revision=result.revision, current={s.key: s for s in found})

    async def lease(self, ttl_s: int) -> int:
        """The id of a new lease."""
        return (await self._writes(self._client.lease_grant(ttl_s))).id

    async def compact(self, known_version: int, revision: int) -> tuple[int, int]:
        """One turn of upstream's compaction protocol; see `ha.controlplane.apiserver.compaction`."""
        put, read = PutRequest(COMPACTION_KEY, str(revision).encode()), RangeRequest(COMPACTION_KEY)
        guard = Compare(COMPACTION_KEY, "VERSION", version=known_version)
        result = await self._writes(self._client.txn([guard], [put], [read]))
        if not result.succeeded:
            answer = result.responses[0]
            assert isinstance(answer, RangeResult), "a range was asked for"
            return (answer.kvs[0].version if answer.kvs else 0), result.revision
        if revision:
            await self._writes(self._client.compact(revision))
        return known_version + 1, result.revision

    def watch(self, start_revision: int) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        """Every change of every key from a revision on.

        All keys, not only ``/registry/``: then each revision of the store makes an event, and a reader that
        waits until the watch has reached a revision never waits for one that brings no event.
        """
        return self._client.watch(b"\0", b"\0", start_revision=start_revision)

    async def _reads(self, call: Awaitable[T]) -> T:
        try:
            result = await call
        except (CompactedError, FutureRevisionError):
            self.served_at_s = trio.current_time()
            raise
        except EtcdError as error:
            self.failures[type(error).__name__] += 1
            raise _answer(error, effect=False) from error
        self.served_at_s = trio.current_time()
        return result

    async def _writes(self, call: Awaitable[T]) -> T:
        try:
            result = await call
        except EtcdError as error:
            self.failures[type(error).__name__] += 1
            raise _answer(error, effect=True) from error
        self.served_at_s = trio.current_time()
        return result


def _answer(error: EtcdError, *, effect: bool) -> errors.ApiError:
    """The answer for a failed store request; `effect`: it could have changed something."""
    if error.message == "etcdserver: request is too large":
        return errors.request_entity_too_large(error.message)
    if error.definite or not effect:
        return errors.service_unavailable(error.message)
    if isinstance(error, EtcdTimeoutError):
        return errors.store_timeout(f"request did not complete within requested timeout - {error.message}")
    return errors.internal_error(error.message)


def _stored(kv: KeyValue) -> Stored:
    return Stored(kv.key.decode(), kv.value, kv.mod_revision)
