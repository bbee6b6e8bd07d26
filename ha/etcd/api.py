"""The nouns of etcd's v3 API: keys, requests, answers, watch events.

One definition serves three uses. The JSON gateway decodes requests straight into these types (field names
are the API's own), the replicated commands carry the same requests in msgpack, and the client hands the
same answers to its callers. So nothing is converted on the hot path, and defaults are omitted everywhere,
as protobuf does.

Semantics of every field: etcd's ``api_reference_v3`` (KV, Watch, Lease). Only what differs from a plain
reading of the names is repeated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "Answer",
    "CompactionRequest",
    "Compare",
    "Comparison",
    "DeleteRangeRequest",
    "DeleteResult",
    "Done",
    "Fault",
    "Filter",
    "HashResult",
    "KeyValue",
    "LeaseGrantRequest",
    "LeaseGrantResult",
    "LeaseInfo",
    "LeaseRevokeRequest",
    "Member",
    "MemberStatus",
    "Op",
    "OpResult",
    "PutRequest",
    "PutResult",
    "RangeRequest",
    "RangeResult",
    "RequestOp",
    "SortOrder",
    "SortTarget",
    "Target",
    "TxnRequest",
    "TxnResult",
    "WatchBatch",
    "WatchCreateRequest",
    "WatchEvent",
    "prefix_end",
    "request_op",
    "request_ops",
]

Target: TypeAlias = Literal["VERSION", "CREATE", "MOD", "VALUE", "LEASE"]
Comparison: TypeAlias = Literal["EQUAL", "GREATER", "LESS", "NOT_EQUAL"]
SortOrder: TypeAlias = Literal["NONE", "ASCEND", "DESCEND"]
SortTarget: TypeAlias = Literal["KEY", "VERSION", "CREATE", "MOD", "VALUE"]

Filter: TypeAlias = Literal["NOPUT", "NODELETE"]


class KeyValue(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One version of one key. `version` 0 is a tombstone: the key was deleted at `mod_revision`."""

    key: bytes = b""
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    lease: int = 0


class RangeRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    r"""`range_end`: empty = the key alone, b"\0" = every key from `key` on, else [key, range_end)."""

    key: bytes = b""
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    sort_order: SortOrder = "NONE"
    sort_target: SortTarget = "KEY"
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


class PutRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Set a key."""

    key: bytes = b""
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRangeRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Delete a key or a range (see `RangeRequest`)."""

    key: bytes = b""
    range_end: bytes = b""
    prev_kv: bool = False


class Compare(msgspec.Struct, frozen=True, omit_defaults=True):
    """One condition of a transaction. The field that `target` names is compared with that of each key.

    A missing key has version, create_revision, mod_revision and lease 0, and no value: comparing its value
    is false whatever the operator.
    """

    key: bytes = b""
    target: Target = "VERSION"
    result: Comparison = "EQUAL"
    version: int = 0
    create_revision: int = 0
    mod_revision: int = 0
    value: bytes = b""
    lease: int = 0
    range_end: bytes = b""


class RequestOp(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation of a transaction: exactly one field is set."""

    request_range: RangeRequest | None = None
    request_put: PutRequest | None = None
    request_delete_range: DeleteRangeRequest | None = None
    request_txn: TxnRequest | None = None


class TxnRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """If every comparison holds do `success`, else `failure`, in one revision."""

    compare: list[Compare] = []
    success: list[RequestOp] = []
    failure: list[RequestOp] = []


class CompactionRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Forget what was superseded at or before `revision`."""

    revision: int = 0
    physical: bool = False


class LeaseGrantRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename={"ttl": "TTL", "id": "ID"}):
    """Grant a lease. `id` 0: the member that is asked chooses one."""

    ttl: int = 0
    id: int = 0


class LeaseRevokeRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename={"id": "ID"}):
    """Revoke a lease and delete its keys."""

    id: int = 0


Op: TypeAlias = RangeRequest | PutRequest | DeleteRangeRequest | TxnRequest


class RangeResult(msgspec.Struct, frozen=True):
    """`count` is the number of keys in the range, whatever the limit; `more` says that the limit cut."""

    kvs: list[KeyValue]
    more: bool
    count: int
    revision: int


class PutResult(msgspec.Struct, frozen=True):
    """`revision` is that of the put."""

    revision: int
    prev_kv: KeyValue | None = None


class DeleteResult(msgspec.Struct, frozen=True):
    """How many keys went. Deleting nothing makes no revision."""

    revision: int
    deleted: int
    prev_kvs: list[KeyValue] = []


class TxnResult(msgspec.Struct, frozen=True):
    """`responses` answer the operations of the branch that was taken, in order."""

    succeeded: bool
    revision: int
    responses: list[OpResult]


class Done(msgspec.Struct, frozen=True):
    """The answer of requests that have nothing to tell: the store's revision after them."""

    revision: int


class LeaseGrantResult(msgspec.Struct, frozen=True):
    """`ttl` may be longer than what was asked for."""

    revision: int
    id: int
    ttl: int


class Fault(msgspec.Struct, frozen=True):
    """An error as the state machine answers it: gRPC code and etcd's own message."""

    code: int
    message: str


OpResult: TypeAlias = RangeResult | PutResult | DeleteResult | TxnResult
Answer: TypeAlias = OpResult | Done | LeaseGrantResult | Fault


class WatchCreateRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to watch. `start_revision` 0 or less: from the next revision on."""

    key: bytes = b""
    range_end: bytes = b""
    start_revision: int = 0
    progress_notify: bool = False
    filters: list[Filter] = []
    prev_kv: bool = False
    watch_id: int = 0
    fragment: bool = False


class WatchEvent(msgspec.Struct, frozen=True):
    """One change of one key. `prev_kv` is None when not asked for, compacted, or the key was not there."""

    type: Literal["PUT", "DELETE"]
    kv: KeyValue
    prev_kv: KeyValue | None = None


class WatchBatch(msgspec.Struct, frozen=True):
    """Events in order of revision; no revision is split over batches. Empty: a progress notification.

    Everything up to `revision` has been delivered: a watch resumes from ``revision + 1``.
    """

    revision: int
    events: list[WatchEvent]
    compact_revision: int = 0


class LeaseInfo(msgspec.Struct, frozen=True):
    """`ttl` is what remains in seconds; -1 when there is no such lease."""

    id: int
    ttl: int
    granted_ttl: int
    keys: list[bytes] = []


class MemberStatus(msgspec.Struct, frozen=True):
    """What one member says of itself. `leader` is 0 when it knows none."""

    member_id: int
    leader: int
    revision: int
    raft_term: int
    raft_index: int
    raft_applied_index: int
    db_size_bytes: int
    version: str


class HashResult(msgspec.Struct, frozen=True):
    """What a member's keys come to. `revision` is its current one, whichever was hashed."""

    hash: int
    revision: int
    compact_revision: int


class Member(msgspec.Struct, frozen=True):
    """A member as the cluster knows it."""

    id: int
    name: str
    peer_urls: list[str]
    client_urls: list[str]


def request_op(op: Op) -> RequestOp:
    """Wrap a request as an operation of a transaction."""
    match op:
        case RangeRequest():
            return RequestOp(request_range=op)
        case PutRequest():
            return RequestOp(request_put=op)
        case DeleteRangeRequest():
            return RequestOp(request_delete_range=op)
        case TxnRequest():
            return RequestOp(request_txn=op)


def request_ops(ops: Sequence[Op]) -> list[RequestOp]:
    """Wrap several requests."""
    return [request_op(op) for op in ops]


def prefix_end(prefix: bytes) -> bytes:
    """The `range_end` that makes ``[prefix, range_end)`` every key with that prefix."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return b"\0"
    return stripped[:-1] + bytes([stripped[-1] + 1])
