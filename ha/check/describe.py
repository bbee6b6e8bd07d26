"""Operations in words, for explanations that convict."""

from __future__ import annotations

from ha.history import Operation
from ha.history.store import (
    Compact,
    Delete,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    StoreAnswer,
    StoreCall,
    StoreRequest,
    Txn,
)

__all__ = ["describe", "what"]

_SIGNS = {"equal": "=", "not_equal": "≠", "less": "<", "greater": ">"}
_FEW = 4
"""More keys than this are counted."""
_LONG = 40
"""Of a value that is longer only the beginning is shown."""


def describe(operation: Operation) -> str:
    """One operation on one line: who, what, with which answer, when."""
    who = f"{operation.workload} client {operation.client}"
    if operation.store is not None:
        return f"{who} at {operation.store.member}: {_call(operation, operation.store)} [{_when(operation)}]"
    return f"{who}: {what(operation)} [{_when(operation)}]"


def what(operation: Operation) -> str:
    """What was asked of an object, and answered."""
    demand = "" if operation.expected is None else f" over revision {operation.expected}"
    if operation.type == "read":
        return f"read {operation.key} -> {_seen(operation)}"
    value = "" if operation.value is None else f" = {operation.value!r}"
    return f"{operation.type} {operation.key}{value}{demand} -> {_answer(operation)}"


def _seen(operation: Operation) -> str:
    if operation.outcome != "ok":
        return operation.outcome
    if operation.revision == 0:
        return "absent"
    revision = "?" if operation.revision is None else operation.revision
    return f"{operation.value!r} at revision {revision}"


def _answer(operation: Operation) -> str:
    if operation.outcome == "info":
        return "unknown"
    if operation.revision is None:
        return operation.outcome
    return f"{operation.outcome}, revision {operation.revision}"


def _when(operation: Operation) -> str:
    end = "never answered" if operation.completed_s is None else f"{operation.completed_s:.6f} s"
    return f"{operation.invoked_s:.6f} s to {end}"


# ---- operations on the store itself


def _call(operation: Operation, call: StoreCall) -> str:
    if call.answer is not None:
        return f"{_request(call.request)} -> {_told(call.request, call.answer)}"
    unknown = "unknown" if operation.outcome == "info" else "failed"
    return f"{_request(call.request)} -> {call.refusal or unknown}"


def _request(request: StoreRequest) -> str:
    match request:
        case Range():
            kind = "serializable range" if request.serializable else "range"
            return f"{kind} {_keys(request)}" + (f" at revision {request.revision}" if request.revision else "")
        case Put():
            lease = f" with lease {request.lease:x}" if request.lease else ""
            return f"put {request.key} = {_value(request.value)}{lease}"
        case Delete():
            return f"delete {_keys(request)}"
        case Txn():
            conditions = [f"{c.target} {c.key} {_SIGNS[c.result]} {c.operand!r}" for c in request.compare]
            success, failure = ("; ".join(map(_request, ops)) for ops in (request.success, request.failure))
            return f"if {' and '.join(conditions) or 'true'} then {{{success}}} else {{{failure}}}"
        case Compact():
            return f"compact {request.revision}"
        case LeaseGrant() | LeaseKeepAlive() | LeaseRevoke():
            verb = {LeaseGrant: "grant", LeaseKeepAlive: "renew", LeaseRevoke: "revoke"}[type(request)]
            return f"{verb} lease {request.lease:x}"


def _value(value: str) -> str:
    return repr(value) if len(value) <= _LONG else f"{value[: _LONG // 2]!r}… of {len(value)} bytes"


def _keys(request: Range | Delete) -> str:
    return f"[{request.key}, {request.range_end})" if request.range_end else request.key


def _told(request: StoreRequest, answer: StoreAnswer) -> str:
    parts = [f"revision {answer.revision}"] if answer.revision else []
    if isinstance(request, Txn):
        ops = request.success if answer.succeeded else request.failure
        told = [_told(op, response) for op, response in zip(ops, answer.responses, strict=False)]
        parts.append(f"{'then' if answer.succeeded else 'else'} {{{'; '.join(told)}}}")
    elif isinstance(request, Range | Delete):
        parts.append(f"{answer.count} keys")
    if len(answer.kvs) > _FEW:
        first = ", ".join(str(kv.mod_revision) for kv in answer.kvs[:_FEW])
        parts.append(f"of revisions {first} and {len(answer.kvs) - _FEW} more")
    else:
        parts += [
            f"{kv.key} = {_value(kv.value)} (made {kv.create_revision}, at {kv.mod_revision}, version {kv.version})"
            for kv in answer.kvs
        ]
    if answer.ttl_s:
        parts.append(f"{answer.ttl_s} s")
    return ", ".join(parts) or "ok"
