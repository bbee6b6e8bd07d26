"""What goes through the replicated log: one request that changes something, in versioned msgpack.

A command is a version byte and a map with one entry, named for the request as in etcd's InternalRaftRequest.
Maps with names cost some 20 bytes over arrays and let an older log be read after fields were added. A
version that this code does not know is answered with an error on every member alike; it never stops one.

Two commands are our own. `LessorPromote` says which leader counts leases from here on: a revocation by
expiry names the term of the leader that counted, and is refused once a later leader has taken over. So a
leader that was paused, and wakes up believing that every lease has expired, revokes nothing that its
successor has renewed since (etcd issue 15247).
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ha.etcd.api import (
    CompactionRequest,
    DeleteRangeRequest,
    LeaseGrantRequest,
    LeaseRevokeRequest,
    PutRequest,
    TxnRequest,
)

__all__ = ["NOTHING", "Command", "LeaseExpire", "LessorPromote", "Request", "decode", "encode"]

_VERSION = b"\x01"


class LessorPromote(msgspec.Struct, frozen=True):
    """The leader of `term` counts the leases from here on."""

    term: int


class LeaseExpire(msgspec.Struct, frozen=True):
    """Revoke a lease that ran out, unless a leader of a term later than `term` counts by now."""

    id: int
    term: int


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """Exactly one field is set."""

    put: PutRequest | None = None
    delete_range: DeleteRangeRequest | None = None
    txn: TxnRequest | None = None
    compaction: CompactionRequest | None = None
    lease_grant: LeaseGrantRequest | None = None
    lease_revoke: LeaseRevokeRequest | None = None
    lease_expire: LeaseExpire | None = None
    lessor_promote: LessorPromote | None = None


Request: TypeAlias = (
    PutRequest
    | DeleteRangeRequest
    | TxnRequest
    | CompactionRequest
    | LeaseGrantRequest
    | LeaseRevokeRequest
    | LeaseExpire
    | LessorPromote
)

_FIELDS: dict[type[Request], str] = {
    PutRequest: "put",
    DeleteRangeRequest: "delete_range",
    TxnRequest: "txn",
    CompactionRequest: "compaction",
    LeaseGrantRequest: "lease_grant",
    LeaseRevokeRequest: "lease_revoke",
    LeaseExpire: "lease_expire",
    LessorPromote: "lessor_promote",
}
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Command)

NOTHING = _VERSION + _encoder.encode({})
"""A command that changes nothing, and is answered with an error. What was proposed before it is applied before it."""


def encode(request: Request) -> bytes:
    """The bytes to propose."""
    return _VERSION + _encoder.encode({_FIELDS[type(request)]: request})


def decode(command: bytes) -> Request | None:
    """The request in a command; None when this code cannot read it."""
    if command[:1] != _VERSION:
        return None
    try:
        decoded = _decoder.decode(memoryview(command)[1:])
    except msgspec.MsgspecError:
        return None
    for field in Command.__struct_fields__:
        request: Request | None = getattr(decoded, field)
        if request is not None:
            return request
    return None
