"""Operations on etcd itself: requests as its JSON API wants them, answers as outcomes. Pure.

What an answer proves, and nothing more:

| answer | a read | anything else |
|---|---|---|
| 200 | ok | ok |
| an error that says that nothing was done (compacted, no such lease, no leader, …) | fail | fail |
| any other error (timed out, leader changed, …), anything that cannot be read | fail | info |
| no connection | fail | fail: nothing was sent |
| timeout, connection lost | info | info |

A renewal (keepalive) is never in the log, and a member passes it on to the leader: only "no such lease" and
"no connection" say that it was in vain.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ha.etcd import answers, api
from ha.etcd.errors import COMPACTED, FUTURE_REVISION, LEASE_NOT_FOUND, EtcdError
from ha.history import OperationType, Outcome
from ha.history.store import (
    Compact,
    Compare,
    Delete,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    Refusal,
    StoreAnswer,
    StoreRequest,
    Txn,
    TxnOp,
    Version,
)
from ha.http import HttpError, Response

__all__ = ["Reply", "body", "interpret", "key_of", "path", "type_of", "unanswered"]

_encode = msgspec.json.Encoder().encode
_TARGETS: Final[dict[str, api.Target]] = {"version": "VERSION", "create": "CREATE", "mod": "MOD", "value": "VALUE"}
_RESULTS: Final[dict[str, api.Comparison]] = {
    "equal": "EQUAL",
    "not_equal": "NOT_EQUAL",
    "less": "LESS",
    "greater": "GREATER",
}
_REFUSALS: Final[dict[str, Refusal]] = {
    COMPACTED.message: "compacted",
    FUTURE_REVISION.message: "future",
    LEASE_NOT_FOUND.message: "lease-not-found",
}
_PATHS: Final[dict[type[StoreRequest], str]] = {
    Range: "/v3/kv/range",
    Put: "/v3/kv/put",
    Delete: "/v3/kv/deleterange",
    Txn: "/v3/kv/txn",
    Compact: "/v3/kv/compaction",
    LeaseGrant: "/v3/lease/grant",
    LeaseKeepAlive: "/v3/lease/keepalive",
    LeaseRevoke: "/v3/lease/revoke",
}
_TYPES: Final[dict[type[StoreRequest], OperationType]] = {
    Range: "read",
    Put: "write",
    Delete: "delete",
    Txn: "txn",
    Compact: "compact",
    LeaseGrant: "lease",
    LeaseKeepAlive: "lease",
    LeaseRevoke: "lease",
}
_ANSWERS: Final[
    dict[
        type[StoreRequest],
        type[answers.RangeAnswer | answers.PutAnswer | answers.DeleteAnswer | answers.TxnAnswer],
    ]
] = {
    Range: answers.RangeAnswer,
    Put: answers.PutAnswer,
    Delete: answers.DeleteAnswer,
    Txn: answers.TxnAnswer,
}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a request came to. `served`: the member did its work, be it by refusing."""

    outcome: Outcome
    answer: StoreAnswer | None = None
    refusal: Refusal | None = None
    error: str | None = None
    served: bool = True


def type_of(request: StoreRequest) -> OperationType:
    """The type under which the history has it."""
    return _TYPES[type(request)]


def key_of(request: StoreRequest) -> str:
    """What it is about, for people."""
    match request:
        case Put():
            return request.key
        case Range() | Delete():
            return f"[{request.key}, {request.range_end})" if request.range_end else request.key
        case Txn():
            keys = [compare.key for compare in request.compare]
            return " ".join(dict.fromkeys([*keys, *(op.key for op in (*request.success, *request.failure))]))
        case Compact():
            return f"revision {request.revision}"
        case LeaseGrant() | LeaseKeepAlive() | LeaseRevoke():
            return f"lease {request.lease:x}"


def path(request: StoreRequest) -> str:
    """Where it is sent."""
    return _PATHS[type(request)]


def body(request: StoreRequest) -> bytes:
    """What is sent."""
    match request:
        case Txn():
            conditions = [_compare(compare) for compare in request.compare]
            success, failure = (api.request_ops([_op(op) for op in ops]) for ops in (request.success, request.failure))
            return _encode(api.TxnRequest(conditions, success, failure))
        case Range() | Put() | Delete():
            return _encode(_op(request))
        case Compact():
            return _encode(api.CompactionRequest(request.revision))
        case LeaseGrant():
            return _encode(api.LeaseGrantRequest(request.ttl_s, request.lease))
        case LeaseRevoke():
            return _encode(api.LeaseRevokeRequest(request.lease))
        case LeaseKeepAlive():
            return _encode({"ID": request.lease})


def _op(op: TxnOp) -> api.RangeRequest | api.PutRequest | api.DeleteRangeRequest:
    match op:
        case Range():
            key, end = op.key.encode(), op.range_end.encode()
            return api.RangeRequest(key, end, revision=op.revision, serializable=op.serializable)
        case Put():
            return api.PutRequest(op.key.encode(), op.value.encode(), op.lease, op.prev_kv)
        case Delete():
            return api.DeleteRangeRequest(op.key.encode(), op.range_end.encode(), op.prev_kv)


def _compare(compare: Compare) -> api.Compare:
    condition = api.Compare(compare.key.encode(), _TARGETS[compare.target], _RESULTS[compare.result])
    match compare.target:
        case "value":
            return msgspec.structs.replace(condition, value=str(compare.operand).encode())
        case "version":
            return msgspec.structs.replace(condition, version=int(compare.operand))
        case "create":
            return msgspec.structs.replace(condition, create_revision=int(compare.operand))
        case "mod":
            return msgspec.structs.replace(condition, mod_revision=int(compare.operand))


def interpret(request: StoreRequest, response: Response) -> Reply:
    """What an answer proves."""
    try:
        if response.status != 200:
            raise answers.read_error(response.status, response.body)
        answer = _answer(request, response.body)
    except EtcdError as error:
        return _failed(request, error)
    if isinstance(request, LeaseKeepAlive) and answer.ttl_s <= 0:
        return Reply(outcome="fail", refusal="lease-not-found", error=LEASE_NOT_FOUND.message)
    return Reply(outcome="ok", answer=answer)


def unanswered(error: HttpError) -> Reply:
    """What it means that no answer came."""
    text = f"{type(error).__name__}: {error}"
    return Reply(outcome="fail" if error.definite else "info", error=text, served=False)


def _failed(request: StoreRequest, error: EtcdError) -> Reply:
    refusal = _REFUSALS.get(error.message)
    definite = error.definite and (refusal is not None or not isinstance(request, LeaseKeepAlive))
    if definite and refusal is None:
        refusal = "other"
    outcome: Outcome = "fail" if definite or isinstance(request, Range) else "info"
    return Reply(outcome=outcome, refusal=refusal, error=error.message, served=refusal not in (None, "other"))


def _answer(request: StoreRequest, data: bytes) -> StoreAnswer:
    """Raises EtcdError when it cannot be read."""
    match request:
        case Range() | Put() | Delete() | Txn():
            return _result(answers.read_answer(_ANSWERS[type(request)], data).result())
        case Compact() | LeaseRevoke():
            return StoreAnswer(answers.read_answer(answers.HeaderAnswer, data).header.revision)
        case LeaseGrant():
            granted = answers.read_answer(answers.LeaseGrantAnswer, data)
            return StoreAnswer(granted.header.revision, ttl_s=granted.ttl)
        case LeaseKeepAlive():
            return StoreAnswer(ttl_s=answers.read_answer(answers.KeepAliveAnswer, data).result.ttl)


def _result(result: api.OpResult) -> StoreAnswer:
    match result:
        case api.RangeResult():
            return StoreAnswer(result.revision, kvs=[_version(kv) for kv in result.kvs], count=result.count)
        case api.PutResult():
            return StoreAnswer(result.revision, kvs=[_version(result.prev_kv)] if result.prev_kv else [])
        case api.DeleteResult():
            return StoreAnswer(result.revision, kvs=[_version(kv) for kv in result.prev_kvs], count=result.deleted)
        case api.TxnResult():
            responses = [msgspec.structs.replace(_result(one), revision=0) for one in result.responses]
            return StoreAnswer(result.revision, succeeded=result.succeeded, responses=responses)


def _version(kv: api.KeyValue) -> Version:
    """What is no text any more is shown as what it is, for a checker to see."""
    key, value = (data.decode(errors="backslashreplace") for data in (kv.key, kv.value))
    return Version(key, value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)
