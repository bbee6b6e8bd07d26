"""The replicated state machine of a member: commands in, answers out, the same on every member.

Implements `ha.raft.StateMachine`. Everything is decided by the sequence of commands: `apply` uses no clock
and no randomness, returns errors as `Fault` values and never raises. Observers are told what was committed
(watches) and which leases came and went (the lessor); they must only take notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from ha.etcd.api import (
    Answer,
    CompactionRequest,
    DeleteRangeRequest,
    Done,
    Fault,
    KeyValue,
    LeaseGrantRequest,
    LeaseGrantResult,
    LeaseRevokeRequest,
    PutRequest,
    TxnRequest,
)
from ha.etcd.commands import LeaseExpire, LessorPromote, Request, decode
from ha.etcd.errors import LEASE_EXISTS, LEASE_NOT_FOUND, LEASE_TTL_TOO_LARGE, STALE_LESSOR, UNKNOWN_COMMAND
from ha.etcd.leases import MAX_TTL_S, Leases
from ha.etcd.mvcc import Snapshot, Store
from ha.etcd.txn import delete, put, txn

__all__ = ["EtcdMachine", "Observer"]

_SNAPSHOT_VERSION = 2
_PART_BYTES = 256 << 10
"""So large is a part of a snapshot: making one takes a fraction of a millisecond."""
_ROW_BYTES = 32
"""What a version takes in a snapshot besides its key and its value, roughly."""


class Observer:
    """Told what the machine did. Each method is a no-op unless overridden."""

    def committed(self, revision: int, changes: Sequence[KeyValue]) -> None:
        """A revision was made."""

    def lease_granted(self, lease: int, ttl_s: int) -> None:
        """A lease was granted."""

    def lease_removed(self, lease: int) -> None:
        """A lease was revoked or expired."""

    def restored(self) -> None:
        """The whole state was replaced by a snapshot."""


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """The first part of a snapshot. The others are rows: those of the store's base, then those of its log."""

    version: int
    revision: int
    compact_revision: int
    base_total: int
    log_total: int
    ttls_s: list[tuple[int, int]]
    lessor_term: int


_Row = tuple[bytes, bytes, int, int, int, int]


class EtcdMachine:
    """Store and leases of one member."""

    def __init__(self) -> None:
        self.store = Store()
        self.leases = Leases()
        self.lessor_term = 0
        """Term of the leader that counts the leases."""
        self.observers: list[Observer] = []

    def apply(self, index: int, command: bytes) -> Answer:  # noqa: ARG002  (the protocol gives it; nothing depends on it)
        """Apply one command."""
        request = decode(command)
        if request is None:
            return UNKNOWN_COMMAND
        answer = self._do(request)
        self._commit()
        return answer

    def snapshot(self) -> Iterator[bytes]:
        """The whole state as it is now, in parts of msgpack. Equal states give equal bytes."""
        store = self.store.snapshot()
        ttls_s = sorted(self.leases.ttls_s.items())
        sizes = (len(store.base), len(store.log))
        head = _Head(_SNAPSHOT_VERSION, store.revision, store.compact_revision, *sizes, ttls_s, self.lessor_term)
        return chain([msgspec.msgpack.encode(head)], _parts(chain(store.base, store.log)))

    def restore(self, parts: Iterator[bytes]) -> None:
        """Replace the whole state. Raises msgspec.MsgspecError when the parts are not those of a snapshot."""
        head = msgspec.msgpack.decode(next(parts, b""), type=_Head)
        if head.version != _SNAPSHOT_VERSION:
            raise msgspec.ValidationError(f"snapshot version {head.version} is not {_SNAPSHOT_VERSION}")
        kvs = [KeyValue(*row) for part in parts for row in _decode_rows(part)]
        if len(kvs) != head.base_total + head.log_total:
            raise msgspec.ValidationError(f"{len(kvs)} versions in place of {head.base_total} and {head.log_total}")
        base, log = kvs[: head.base_total], kvs[head.base_total :]
        self.store = Store.restored(Snapshot(head.revision, head.compact_revision, base, log))
        self.leases = Leases(dict(head.ttls_s))
        self.leases.follow(self.store.live(b"\0", b"\0"))
        self.lessor_term = head.lessor_term
        for observer in self.observers:
            observer.restored()

    def _do(self, request: Request) -> Answer:  # noqa: PLR0911  (one line per command)
        match request:
            case PutRequest():
                return put(self.store, self.leases, request)
            case TxnRequest():
                return txn(self.store, self.leases, request)
            case DeleteRangeRequest():
                return delete(self.store, request)
            case CompactionRequest():
                return self.store.compact(request.revision) or Done(self.store.revision)
            case LeaseGrantRequest():
                return self._grant(request)
            case LeaseRevokeRequest():
                return self._revoke(request.id)
            case LeaseExpire():
                return self._revoke(request.id) if request.term >= self.lessor_term else STALE_LESSOR
            case LessorPromote():
                self.lessor_term = max(self.lessor_term, request.term)
                return Done(self.store.revision)

    def _grant(self, request: LeaseGrantRequest) -> LeaseGrantResult | Fault:
        if not request.id:
            return LEASE_NOT_FOUND
        if request.ttl > MAX_TTL_S:
            return LEASE_TTL_TOO_LARGE
        if request.id in self.leases:
            return LEASE_EXISTS
        self.leases.grant(request.id, request.ttl)
        for observer in self.observers:
            observer.lease_granted(request.id, request.ttl)
        return LeaseGrantResult(self.store.revision, request.id, request.ttl)

    def _revoke(self, lease: int) -> Done | Fault:
        if lease not in self.leases:
            return LEASE_NOT_FOUND
        for key in self.leases.keys(lease):
            self.store.delete(key)
        self._commit()
        self.leases.remove(lease)
        for observer in self.observers:
            observer.lease_removed(lease)
        return Done(self.store.revision)

    def _commit(self) -> None:
        changes = self.store.commit()
        if changes:
            self.leases.follow(changes)
            for observer in self.observers:
                observer.committed(self.store.revision, changes)


def _parts(kvs: Iterable[KeyValue]) -> Iterator[bytes]:
    rows: list[_Row] = []
    size_bytes = 0
    for kv in kvs:
        rows.append((kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease))
        size_bytes += len(kv.key) + len(kv.value) + _ROW_BYTES
        if size_bytes >= _PART_BYTES:
            yield msgspec.msgpack.encode(rows)
            rows, size_bytes = [], 0
    if rows:
        yield msgspec.msgpack.encode(rows)


_decode_rows = msgspec.msgpack.Decoder(list[_Row]).decode
