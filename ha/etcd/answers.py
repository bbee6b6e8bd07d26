"""Answers of a gateway as a client reads them: JSON of our member or of real etcd, to the types of the API.

The inverse of `ha.etcd.wire`. msgspec reads base64 and integers written as strings by itself, so keys and
values are decoded once, straight into `KeyValue`.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from ha.etcd.api import (
    DeleteResult,
    HashResult,
    KeyValue,
    LeaseGrantResult,
    LeaseInfo,
    Member,
    MemberStatus,
    OpResult,
    PutResult,
    RangeResult,
    TxnResult,
    WatchEvent,
)
from ha.etcd.errors import INTERNAL, UNKNOWN, EtcdError, error_of

__all__ = [
    "DeleteAnswer",
    "HashAnswer",
    "HeaderAnswer",
    "KeepAliveAnswer",
    "LeaseGrantAnswer",
    "LeaseInfoAnswer",
    "LeasesAnswer",
    "MembersAnswer",
    "PutAnswer",
    "RangeAnswer",
    "StatusAnswer",
    "TxnAnswer",
    "WatchLine",
    "read_answer",
    "read_error",
]

T = TypeVar("T")


class ResponseHeader(msgspec.Struct, frozen=True):
    revision: int = 0
    member_id: int = 0


class HeaderAnswer(msgspec.Struct, frozen=True):
    """An answer that has nothing but a header."""

    header: ResponseHeader = ResponseHeader()


class RangeAnswer(HeaderAnswer, frozen=True):
    """See `RangeResult`."""

    kvs: list[KeyValue] = []
    more: bool = False
    count: int = 0

    def result(self) -> RangeResult:
        """As the API's type."""
        return RangeResult(self.kvs, self.more, self.count, self.header.revision)


class PutAnswer(HeaderAnswer, frozen=True):
    """See `PutResult`."""

    prev_kv: KeyValue | None = None

    def result(self) -> PutResult:
        """As the API's type."""
        return PutResult(self.header.revision, self.prev_kv)


class DeleteAnswer(HeaderAnswer, frozen=True):
    """See `DeleteResult`."""

    deleted: int = 0
    prev_kvs: list[KeyValue] = []

    def result(self) -> DeleteResult:
        """As the API's type."""
        return DeleteResult(self.header.revision, self.deleted, self.prev_kvs)


class _ResponseOp(msgspec.Struct, frozen=True):
    response_range: RangeAnswer | None = None
    response_put: PutAnswer | None = None
    response_delete_range: DeleteAnswer | None = None
    response_txn: TxnAnswer | None = None

    def result(self) -> OpResult:
        for answer in (self.response_range, self.response_put, self.response_delete_range, self.response_txn):
            if answer is not None:
                return answer.result()
        raise EtcdError(INTERNAL, "malformed answer: an empty response of a transaction", definite=False)


class TxnAnswer(HeaderAnswer, frozen=True):
    """See `TxnResult`. A nested one has revision 0."""

    succeeded: bool = False
    responses: list[_ResponseOp] = []

    def result(self) -> TxnResult:
        """As the API's type."""
        return TxnResult(self.succeeded, self.header.revision, [op.result() for op in self.responses])


class HashAnswer(HeaderAnswer, frozen=True):
    """See `HashResult`."""

    hash: int = 0
    compact_revision: int = 0

    def result(self) -> HashResult:
        """As the API's type."""
        return HashResult(self.hash, self.header.revision, self.compact_revision)


class LeaseGrantAnswer(HeaderAnswer, frozen=True, rename={"id": "ID", "ttl": "TTL"}):
    """See `LeaseGrantResult`."""

    id: int = 0
    ttl: int = 0

    def result(self) -> LeaseGrantResult:
        """As the API's type."""
        return LeaseGrantResult(self.header.revision, self.id, self.ttl)


class _KeepAlive(msgspec.Struct, frozen=True, rename={"ttl": "TTL"}):
    ttl: int = 0


class KeepAliveAnswer(msgspec.Struct, frozen=True):
    """One line of a keepalive stream."""

    result: _KeepAlive = _KeepAlive()


class LeaseInfoAnswer(HeaderAnswer, frozen=True, rename={"id": "ID", "ttl": "TTL", "granted_ttl": "grantedTTL"}):
    """See `LeaseInfo`."""

    id: int = 0
    ttl: int = 0
    granted_ttl: int = 0
    keys: list[bytes] = []

    def result(self) -> LeaseInfo:
        """As the API's type."""
        return LeaseInfo(self.id, self.ttl, self.granted_ttl, self.keys)


class _Lease(msgspec.Struct, frozen=True, rename={"id": "ID"}):
    id: int = 0


class LeasesAnswer(HeaderAnswer, frozen=True):
    """All leases."""

    leases: list[_Lease] = []


class StatusAnswer(HeaderAnswer, frozen=True, rename="camel"):
    """See `MemberStatus`."""

    version: str = ""
    db_size: int = 0
    leader: int = 0
    raft_index: int = 0
    raft_term: int = 0
    raft_applied_index: int = 0

    def result(self) -> MemberStatus:
        """As the API's type."""
        return MemberStatus(
            member_id=self.header.member_id,
            leader=self.leader,
            revision=self.header.revision,
            raft_term=self.raft_term,
            raft_index=self.raft_index,
            raft_applied_index=self.raft_applied_index,
            db_size_bytes=self.db_size,
            version=self.version,
        )


class _MemberAnswer(
    msgspec.Struct, frozen=True, rename={"id": "ID", "peer_urls": "peerURLs", "client_urls": "clientURLs"}
):
    id: int
    name: str = ""
    peer_urls: list[str] = []
    client_urls: list[str] = []


class MembersAnswer(HeaderAnswer, frozen=True):
    """All members."""

    members: list[_MemberAnswer] = []

    def result(self) -> list[Member]:
        """As the API's type."""
        return [Member(m.id, m.name, m.peer_urls, m.client_urls) for m in self.members]


class _Event(msgspec.Struct, frozen=True):
    kv: KeyValue
    type: Literal["PUT", "DELETE"] = "PUT"
    prev_kv: KeyValue | None = None


class _Watch(HeaderAnswer, frozen=True):
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: list[_Event] = []

    def watch_events(self) -> list[WatchEvent]:
        """The events as the API's type."""
        return [WatchEvent(event.type, event.kv, event.prev_kv) for event in self.events]


class _StreamError(msgspec.Struct, frozen=True):
    grpc_code: int = UNKNOWN
    message: str = ""


class WatchLine(msgspec.Struct, frozen=True):
    """One line of a watch stream: a result, or the error that ends it."""

    result: _Watch | None = None
    error: _StreamError | None = None


class _Error(msgspec.Struct, frozen=True):
    code: int = UNKNOWN
    message: str = ""


_decoders: dict[type[object], msgspec.json.Decoder[object]] = {}


def read_answer(kind: type[T], body: bytes) -> T:
    """Read an answer. Raises EtcdError when it is not one."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, strict=False)
    try:
        return decoder.decode(body)  # type: ignore[return-value]
    except msgspec.MsgspecError as error:
        raise EtcdError(INTERNAL, f"malformed answer: {error}", definite=False) from error


def read_error(status: int, body: bytes) -> EtcdError:
    """The error in an answer that is not 200."""
    try:
        error = msgspec.json.decode(body, type=_Error, strict=False)
    except msgspec.MsgspecError:
        text = body[:200].decode(errors="replace").strip()
        return EtcdError(UNKNOWN, f"HTTP status {status}: {text}", definite=status in (404, 405))
    return error_of(error.code, error.message)
