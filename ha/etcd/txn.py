r"""Transactions: the checks before one is proposed, and its execution against the store.

Order matters and is etcd's own. Before it is proposed a transaction is checked for what does not depend on
the state (`check_txn`). When it is applied, every comparison of every nested transaction that can be reached
is decided first, against the state before the transaction; then the operations of the branches taken are
checked (missing leases, keys to keep, revisions); only then does anything change. So a transaction changes
everything or nothing, and nothing needs to be rolled back.

One oddity of etcd is kept on purpose: in the check for keys that are given twice a delete to the end of the
keyspace (range_end ``\0``) overlaps with nothing, since its bounds are compared as plain strings.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import TypeVar

from ha.etcd.api import (
    Compare,
    DeleteRangeRequest,
    DeleteResult,
    Fault,
    KeyValue,
    OpResult,
    PutRequest,
    PutResult,
    RangeRequest,
    RequestOp,
    TxnRequest,
    TxnResult,
)
from ha.etcd.errors import (
    COMPACTED,
    DUPLICATE_KEY,
    EMPTY_KEY,
    FUTURE_REVISION,
    KEY_NOT_FOUND,
    LEASE_NOT_FOUND,
    LEASE_PROVIDED,
    TOO_MANY_OPS,
    VALUE_PROVIDED,
)
from ha.etcd.mvcc import Store

__all__ = [
    "MAX_TXN_OPS",
    "check_delete",
    "check_put",
    "check_range",
    "check_txn",
    "delete",
    "is_read_only",
    "is_serializable",
    "put",
    "txn",
]

MAX_TXN_OPS = 128

_Comparable = TypeVar("_Comparable", int, bytes)


# Checks that need no state


def check_range(request: RangeRequest) -> Fault | None:
    """What is wrong with a range request in itself."""
    return None if request.key else EMPTY_KEY


def check_put(request: PutRequest) -> Fault | None:
    """What is wrong with a put request in itself."""
    if not request.key:
        return EMPTY_KEY
    if request.ignore_value and request.value:
        return VALUE_PROVIDED
    if request.ignore_lease and request.lease:
        return LEASE_PROVIDED
    return None


def check_delete(request: DeleteRangeRequest) -> Fault | None:
    """What is wrong with a delete request in itself."""
    return None if request.key else EMPTY_KEY


def check_txn(request: TxnRequest) -> Fault | None:
    """What is wrong with a transaction in itself: sizes, empty keys, keys that are given twice."""
    fault = _check_shape(request, MAX_TXN_OPS)
    if fault is None and (_Intervals(request.success).clash or _Intervals(request.failure).clash):
        return DUPLICATE_KEY
    return fault


def _check_shape(request: TxnRequest, ops_max: int) -> Fault | None:
    ops = max(len(request.compare), len(request.success), len(request.failure))
    if ops > ops_max:
        return TOO_MANY_OPS
    if not all(compare.key for compare in request.compare):
        return EMPTY_KEY
    for op in (*request.success, *request.failure):
        fault = _check_op(op, ops_max - ops)
        if fault is not None:
            return fault
    return None


def _check_op(op: RequestOp, ops_max: int) -> Fault | None:
    if op.request_range is not None:
        return check_range(op.request_range)
    if op.request_put is not None:
        return check_put(op.request_put)
    if op.request_delete_range is not None:
        return check_delete(op.request_delete_range)
    if op.request_txn is not None:
        return _check_shape(op.request_txn, ops_max)
    return KEY_NOT_FOUND


class _Intervals:
    """The keys that a list of operations puts and the ranges that it deletes; `clash` when they meet.

    The two branches of a nested transaction may name the same keys, since only one of them happens.
    """

    __slots__ = ("clash", "deletes", "puts")

    def __init__(self, ops: Sequence[RequestOp]) -> None:
        self.puts: set[bytes] = set()
        self.deletes = [op.request_delete_range for op in ops if op.request_delete_range is not None]
        self.clash = False
        for op in ops:
            if op.request_txn is not None:
                self._add_branches(_Intervals(op.request_txn.success), _Intervals(op.request_txn.failure))
        for op in ops:
            if op.request_put is not None:
                self._add_put(op.request_put.key)

    def _add_branches(self, then: _Intervals, otherwise: _Intervals) -> None:
        self.clash |= then.clash | otherwise.clash
        for key in sorted(then.puts):
            self._add_put(key)
        for key in sorted(otherwise.puts - then.puts):
            self._add_put(key)
        self.deletes += then.deletes + otherwise.deletes

    def _add_put(self, key: bytes) -> None:
        self.clash |= key in self.puts or any(_deletes(request, key) for request in self.deletes)
        self.puts.add(key)


def _deletes(request: DeleteRangeRequest, key: bytes) -> bool:
    return request.key <= key < request.range_end if request.range_end else key == request.key


def is_read_only(request: TxnRequest) -> bool:
    """Whether no branch can change anything, so that it need not be proposed."""
    return all(
        op.request_range is not None or (op.request_txn is not None and is_read_only(op.request_txn))
        for op in (*request.success, *request.failure)
    )


def is_serializable(request: TxnRequest) -> bool:
    """Whether every operation is a read that need not be linearizable. Without any, nobody said so."""
    ops = (*request.success, *request.failure)
    return bool(ops) and all(op.request_range is not None and op.request_range.serializable for op in ops)


# Execution


def put(store: Store, leases: Container[int], request: PutRequest) -> PutResult | Fault:
    """Put one key, uncommitted."""
    fault = _check_put_state(store, leases, request)
    return _put(store, request) if fault is None else fault


def delete(store: Store, request: DeleteRangeRequest) -> DeleteResult:
    """Delete a range, uncommitted."""
    deleted = store.delete(request.key, request.range_end)
    revision = store.next_revision if store.changed else store.revision
    return DeleteResult(revision, len(deleted), deleted if request.prev_kv else [])


def txn(store: Store, leases: Container[int], request: TxnRequest) -> TxnResult | Fault:
    """Execute a transaction, uncommitted."""
    path = list(_decide(store, request))
    for op in _taken(request, iter(path)):
        fault = _check_state(store, leases, op)
        if fault is not None:
            return fault
    return _execute(store, request, iter(path))


def _decide(store: Store, request: TxnRequest) -> Iterator[bool]:
    """Which branch each reachable transaction takes, in order of execution."""
    succeeded = all(_holds(store, compare) for compare in request.compare)
    yield succeeded
    for op in request.success if succeeded else request.failure:
        if op.request_txn is not None:
            yield from _decide(store, op.request_txn)


def _taken(request: TxnRequest, path: Iterator[bool]) -> Iterator[RequestOp]:
    for op in request.success if next(path) else request.failure:
        if op.request_txn is not None:
            yield from _taken(op.request_txn, path)
        else:
            yield op


def _execute(store: Store, request: TxnRequest, path: Iterator[bool]) -> TxnResult:
    succeeded = next(path)
    responses: list[OpResult] = []
    for op in request.success if succeeded else request.failure:
        if op.request_range is not None:
            answer = store.range(op.request_range)
            assert not isinstance(answer, Fault), "ranges were checked"
            responses.append(answer)
        elif op.request_put is not None:
            responses.append(_put(store, op.request_put))
        elif op.request_delete_range is not None:
            responses.append(delete(store, op.request_delete_range))
        elif op.request_txn is not None:
            responses.append(_execute(store, op.request_txn, path))
    return TxnResult(succeeded, store.next_revision if store.changed else store.revision, responses)


def _check_state(store: Store, leases: Container[int], op: RequestOp) -> Fault | None:
    if op.request_put is not None:
        return _check_put_state(store, leases, op.request_put)
    if op.request_range is not None and op.request_range.revision > 0:
        if op.request_range.revision > store.revision:
            return FUTURE_REVISION
        if op.request_range.revision < store.compact_revision:
            return COMPACTED
    return None


def _check_put_state(store: Store, leases: Container[int], request: PutRequest) -> Fault | None:
    if (request.ignore_value or request.ignore_lease) and store.latest(request.key) is None:
        return KEY_NOT_FOUND
    if request.lease and request.lease not in leases:
        return LEASE_NOT_FOUND
    return None


def _put(store: Store, request: PutRequest) -> PutResult:
    value, lease, before = request.value, request.lease, None
    if request.prev_kv or request.ignore_value or request.ignore_lease:
        before = store.latest(request.key)
    if before is not None:
        value = before.value if request.ignore_value else value
        lease = before.lease if request.ignore_lease else lease
    kv = store.put(request.key, value, lease)
    return PutResult(kv.mod_revision, before if request.prev_kv else None)


def _holds(store: Store, compare: Compare) -> bool:
    kvs = store.live(compare.key, compare.range_end)
    if not kvs:
        return compare.target != "VALUE" and _matches(compare, KeyValue())
    return all(_matches(compare, kv) for kv in kvs)


def _matches(compare: Compare, kv: KeyValue) -> bool:
    match compare.target:
        case "VALUE":
            return _ordered(compare, kv.value, compare.value)
        case "VERSION":
            return _ordered(compare, kv.version, compare.version)
        case "CREATE":
            return _ordered(compare, kv.create_revision, compare.create_revision)
        case "MOD":
            return _ordered(compare, kv.mod_revision, compare.mod_revision)
        case "LEASE":
            return _ordered(compare, kv.lease, compare.lease)


def _ordered(compare: Compare, found: _Comparable, wanted: _Comparable) -> bool:
    match compare.result:
        case "EQUAL":
            return found == wanted
        case "NOT_EQUAL":
            return found != wanted
        case "GREATER":
            return found > wanted
        case "LESS":
            return found < wanted
