"""The multi-version store of etcd v3: every key with its history, and the log of all changes.

A pure state machine: no clock, no randomness, no I/O. Equal sequences of calls give equal stores, byte for
byte in `snapshot`. What it promises:

* the revision starts at 1; `commit` makes one revision of all changes since the last one, or none if there
  were none. Revisions of a key's versions are what etcd's ``KeyValue`` says of them.
* a read at any revision from `compact_revision` to `revision` sees exactly the keys of that moment. Reads
  between a change and its commit see the change (as later operations of a transaction must).
* `changes_since` gives the committed changes of any uncompacted revision, in order, whole revisions only.

Representation: a dict from key to its versions (ascending, a tombstone is a version 0), a sorted list of the
keys that have any, and one append-only list of all changes with the offset at which each revision begins.
So a point read is a dict lookup, a range costs the keys in it, a watch that lags reads a slice, and a new
key costs one `insort` (a memmove: 30 µs in a list of 100,000). A B-tree as etcd has it would save the
memmove and cost a Python frame per level. Compaction walks the changes that it drops, not the keyspace.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from ha.etcd.api import Fault, KeyValue, RangeRequest, RangeResult
from ha.etcd.errors import COMPACTED, FUTURE_REVISION

__all__ = ["Snapshot", "Store", "in_range"]

_mod_revision = attrgetter("mod_revision")
_SORT_KEYS = {
    "KEY": attrgetter("key"),
    "VERSION": attrgetter("version"),
    "CREATE": attrgetter("create_revision"),
    "MOD": _mod_revision,
    "VALUE": attrgetter("value"),
}


class Snapshot(NamedTuple):
    """All of a store as it was. `base`: versions older than `compact_revision`; `log`: every change from it on."""

    revision: int
    compact_revision: int
    base: list[KeyValue]
    log: list[KeyValue]


class Store:
    """Keys, their versions, and the log of changes."""

    def __init__(self) -> None:
        self.revision = 1
        self.compact_revision = 0
        self.size_bytes = 0
        """Bytes of all keys and values of all retained versions."""
        self._versions: dict[bytes, list[KeyValue]] = {}
        self._keys: list[bytes] = []
        self._pending: list[KeyValue] = []
        self._log: list[KeyValue] = []
        self._log_dropped = 0
        self._offsets: list[int] = []
        self._first_revision = 2
        # self._offsets[r - self._first_revision] - self._log_dropped: where revision r begins in self._log.

    @property
    def keys_total(self) -> int:
        """Keys that have any retained version."""
        return len(self._keys)

    @property
    def changed(self) -> bool:
        """Whether there are changes to commit."""
        return bool(self._pending)

    @property
    def next_revision(self) -> int:
        """The revision that the next changes get."""
        return self.revision + 1

    # Reading

    def latest(self, key: bytes) -> KeyValue | None:
        """The key as it is now, uncommitted changes included."""
        versions = self._versions.get(key)
        if versions is None or versions[-1].version == 0:
            return None
        return versions[-1]

    def at(self, key: bytes, revision: int) -> KeyValue | None:
        """The key as it was at a revision, which must not be compacted."""
        versions = self._versions.get(key)
        return None if versions is None else _version_at(versions, revision)

    def live(self, key: bytes, range_end: bytes = b"", revision: int = 0) -> list[KeyValue]:
        """The keys of a range as they are now (revision 0) or were at a revision, in order of key."""
        if not range_end:
            kv = self.at(key, revision) if revision else self.latest(key)
            return [] if kv is None else [kv]
        low, high = self._span(key, range_end)
        versions = self._versions
        if not revision:
            return [kv for k in self._keys[low:high] if (kv := versions[k][-1]).version]
        return [kv for k in self._keys[low:high] if (kv := _version_at(versions[k], revision)) is not None]

    def range(self, request: RangeRequest) -> RangeResult | Fault:
        """Answer a range request, at the revision that it names or the current one."""
        current = self.next_revision if self._pending else self.revision
        revision = max(request.revision, 0)
        if revision > current:
            return FUTURE_REVISION
        if revision and revision < self.compact_revision:
            return COMPACTED
        kvs = self.live(request.key, request.range_end, 0 if revision == current else revision)
        count = len(kvs)
        if request.count_only:
            return RangeResult([], more=False, count=count, revision=current)
        kvs = _sorted(_filtered(kvs, request), request)
        more = 0 < request.limit < len(kvs)
        if more:
            kvs = kvs[: request.limit]
        if request.keys_only:
            kvs = [msgspec.structs.replace(kv, value=b"") for kv in kvs]
        return RangeResult(kvs, more, count, current)

    def changes_since(self, revision: int, *, limit: int) -> tuple[Sequence[KeyValue], int]:
        """Committed changes from `revision` on, `limit` of them rounded up to a whole revision, or all.

        Also the revision to go on from. `revision` must not be compacted.
        """
        assert revision >= self.compact_revision, f"revision {revision} is compacted"
        first = max(revision, self._first_revision)
        if first > self.revision:
            return [], first
        start = self._offset(first)
        last = bisect_left(self._offsets, start + self._log_dropped + limit) + self._first_revision - 1
        last = min(max(last, first), self.revision)
        end = len(self._log) if last == self.revision else self._offset(last + 1)
        return self._log[start:end], last + 1

    def previous(self, kv: KeyValue) -> KeyValue | None:
        """The version that a change replaced; None when there was none or it is compacted."""
        return self.at(kv.key, kv.mod_revision - 1)

    def hash(self, revision: int = 0) -> int:
        """CRC-32 of the keys as they were at a revision: equal on all members at equal revisions."""
        crc = 0
        for kv in self.live(b"\0", b"\0", revision or self.revision):
            crc = zlib.crc32(msgspec.msgpack.encode(kv), crc)
        return crc

    # Changing

    def put(self, key: bytes, value: bytes, lease: int = 0) -> KeyValue:
        """Set a key in the revision to be committed."""
        revision = self.revision + 1
        versions = self._versions.get(key)
        if versions is None:
            versions = self._versions[key] = []
            insort(self._keys, key)
        if versions and versions[-1].version:
            last = versions[-1]
            kv = KeyValue(key, value, last.create_revision, revision, last.version + 1, lease)
        else:
            kv = KeyValue(key, value, revision, revision, 1, lease)
        self._append(versions, kv)
        return kv

    def delete(self, key: bytes, range_end: bytes = b"") -> list[KeyValue]:
        """Delete what lives in a range, in the revision to be committed. Returns what was there."""
        doomed = self.live(key, range_end)
        for kv in doomed:
            self._append(self._versions[kv.key], KeyValue(kv.key, mod_revision=self.revision + 1))
        return doomed

    def commit(self) -> Sequence[KeyValue]:
        """Make the changes since the last commit one revision. Returns them; none means no revision."""
        changes = self._pending
        if changes:
            self._pending = []
            self.revision += 1
            self._offsets.append(len(self._log) + self._log_dropped)
            self._log += changes
        return changes

    def compact(self, revision: int) -> Fault | None:
        """Forget versions that were superseded, and keys that were deleted, at or before a revision."""
        assert not self._pending, "compaction inside a transaction"
        if revision <= self.compact_revision:
            return COMPACTED
        if revision > self.revision:
            return FUTURE_REVISION
        end = self._offset(revision + 1) if revision < self.revision else len(self._log)
        self.compact_revision = revision
        self._trim({kv.key for kv in self._log[:end]}, revision)
        self._drop_log(revision)
        return None

    # Snapshots

    def snapshot(self) -> Snapshot:
        """The whole store, between transactions. Costs no more than to walk the keys: what never changes is shared."""
        assert not self._pending, "snapshot inside a transaction"
        first = self._first_revision
        base = [kv for key in self._keys for kv in self._versions[key] if kv.mod_revision < first]
        return Snapshot(self.revision, self.compact_revision, base, self._log.copy())

    @classmethod
    def restored(cls, snapshot: Snapshot) -> Store:
        """A store equal to the one that gave the snapshot."""
        store = cls()
        store.revision, store.compact_revision = snapshot.revision, snapshot.compact_revision
        store._first_revision = max(snapshot.compact_revision, 2)
        log = snapshot.log.copy()
        for kv in (*snapshot.base, *log):
            versions = store._versions.setdefault(kv.key, [])
            versions.append(kv)
            store.size_bytes += len(kv.key) + len(kv.value)
        store._keys = sorted(store._versions)
        store._log = log
        revisions = [kv.mod_revision for kv in log]
        store._offsets = [bisect_left(revisions, r) for r in range(store._first_revision, store.revision + 1)]
        store._trim({kv.key for kv in log if kv.mod_revision == store.compact_revision}, store.compact_revision)
        return store

    # Inside

    def _span(self, key: bytes, range_end: bytes) -> tuple[int, int]:
        low = bisect_left(self._keys, key)
        return low, len(self._keys) if range_end == b"\0" else bisect_left(self._keys, range_end, low)

    def _offset(self, revision: int) -> int:
        return self._offsets[revision - self._first_revision] - self._log_dropped

    def _append(self, versions: list[KeyValue], kv: KeyValue) -> None:
        versions.append(kv)
        self._pending.append(kv)
        self.size_bytes += len(kv.key) + len(kv.value)

    def _trim(self, keys: Iterable[bytes], revision: int) -> None:
        emptied = False
        for key in keys:
            versions = self._versions.get(key)
            if versions is None:
                continue
            kept = bisect_right(versions, revision, key=_mod_revision)
            if kept and versions[kept - 1].version:
                kept -= 1
            self.size_bytes -= sum(len(key) + len(kv.value) for kv in versions[:kept])
            del versions[:kept]
            if not versions:
                del self._versions[key]
                emptied = True
        if emptied:
            self._keys = [key for key in self._keys if key in self._versions]

    def _drop_log(self, revision: int) -> None:
        """Drop the changes before a revision: those of the compact revision itself can still be watched."""
        if revision <= self._first_revision:
            return
        dropped = self._offset(revision)
        del self._log[:dropped]
        self._log_dropped += dropped
        del self._offsets[: revision - self._first_revision]
        self._first_revision = revision


def in_range(key: bytes, start: bytes, range_end: bytes) -> bool:
    """Whether a key lies in a range as requests name them."""
    if not range_end:
        return key == start
    return key >= start and (range_end == b"\0" or key < range_end)


def _version_at(versions: list[KeyValue], revision: int) -> KeyValue | None:
    last = versions[-1]
    if last.mod_revision > revision:
        index = bisect_right(versions, revision, key=_mod_revision)
        if index == 0:
            return None
        last = versions[index - 1]
    return last if last.version else None


def _filtered(kvs: list[KeyValue], request: RangeRequest) -> list[KeyValue]:
    if request.min_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision >= request.min_mod_revision]
    if request.max_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision <= request.max_mod_revision]
    if request.min_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision >= request.min_create_revision]
    if request.max_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision <= request.max_create_revision]
    return kvs


def _sorted(kvs: list[KeyValue], request: RangeRequest) -> list[KeyValue]:
    """Sort as asked: a target without an order means ascending; equal ones stay in order of key."""
    if request.sort_target == "KEY" and request.sort_order != "DESCEND":
        return kvs
    return sorted(kvs, key=_SORT_KEYS[request.sort_target], reverse=request.sort_order == "DESCEND")
