"""etcd's v3 API as JSON: requests in, answers out, both ways as gRPC-gateway writes them.

Keys and values are base64, 64-bit integers are strings, fields of value zero are left out. Answers are put
together as text: everything in them is digits or base64, so nothing needs escaping and no intermediate dict
is built. Requests are decoded by msgspec straight into the types of `ha.etcd.api`; those that it refuses are
tried once more after rewriting what gateways also accept (field names in camelCase as the protobuf JSON
mapping has them, numbers for enumerations, nulls), so that the usual form pays nothing for the unusual one.
"""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
from collections.abc import Iterable
from typing import Any, TypeVar, get_args

import msgspec
import orjson

from ha.etcd.api import (
    Comparison,
    DeleteResult,
    Done,
    Filter,
    KeyValue,
    LeaseGrantResult,
    LeaseInfo,
    OpResult,
    PutResult,
    RangeResult,
    SortOrder,
    SortTarget,
    Target,
    TxnResult,
    WatchBatch,
    WatchEvent,
)
from ha.etcd.errors import HTTP_STATUS

__all__ = [
    "PROGRESS_HEADER",
    "Encoder",
    "MalformedError",
    "decode",
    "encode_error",
    "encode_stream_error",
    "split_values",
]

T = TypeVar("T")

PROGRESS_HEADER = "ha-watch-progress-seconds"
"""Tells our client how often a stream speaks, so that it knows when one is dead."""

_CAMEL_FIELD = re.compile(rb'"[a-z]+[A-Z][A-Za-z]*"\s*:')
_HUMP = re.compile(r"(?<=[a-z])[A-Z]")
_ENUMERATIONS: dict[str, tuple[str, ...]] = {
    "result": get_args(Comparison),
    "target": get_args(Target),
    "sort_order": get_args(SortOrder),
    "sort_target": get_args(SortTarget),
    "filters": get_args(Filter),
}
_STATUS_TEXT = {400: "Bad Request", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}


class MalformedError(Exception):
    """The body is not the request that it should be."""


# Requests


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def _decode(kind: type[T], body: bytes) -> T:
    decoder: msgspec.json.Decoder[T] | None = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, strict=False)
    return decoder.decode(body)


def decode(kind: type[T], body: bytes) -> T:
    """Read a request; an empty body is an empty one. Raises MalformedError."""
    if not body:
        body = b"{}"
    try:
        if _CAMEL_FIELD.search(body) is None:
            return _decode(kind, body)
    except msgspec.ValidationError:
        pass  # it may be in the other form
    except msgspec.MsgspecError as error:
        raise MalformedError(str(error)) from error
    try:
        return _decode(kind, orjson.dumps(_usual_form(orjson.loads(body), "")))
    except (msgspec.MsgspecError, orjson.JSONDecodeError) as error:
        raise MalformedError(str(error)) from error


def _usual_form(value: object, field: str) -> object:
    if isinstance(value, dict):
        names = {name: _HUMP.sub(lambda hump: "_" + hump[0].lower(), name) for name in value}
        return {names[k]: _usual_form(v, names[k]) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_usual_form(v, field) for v in value]
    if isinstance(value, int) and not isinstance(value, bool) and field in _ENUMERATIONS:
        values = _ENUMERATIONS[field]
        return values[value] if 0 <= value < len(values) else value
    return value


def split_values(body: bytes) -> list[bytes]:
    """The JSON values that follow each other in a body: the messages of a stream. Raises MalformedError."""
    values, decoder = [], json.JSONDecoder()
    try:
        text = body.decode().strip()
        while text:
            _, end = decoder.raw_decode(text)
            values.append(text[:end].encode())
            text = text[end:].lstrip()
    except ValueError as error:
        raise MalformedError(str(error)) from error
    return values


# Errors


def encode_error(code: int, message: str) -> tuple[int, bytes]:
    """HTTP status and body of an error."""
    return HTTP_STATUS.get(code, 500), orjson.dumps({"error": message, "code": code, "message": message})


def encode_stream_error(code: int, message: str) -> bytes:
    """The line that ends a stream with an error."""
    status = HTTP_STATUS.get(code, 500)
    text = _STATUS_TEXT.get(status, "Error")
    error = {"grpc_code": code, "http_code": status, "message": message, "http_status": text}
    return orjson.dumps({"error": error}) + b"\n"


# Answers


class Encoder:
    """Writes the answers of one member. `term` in each is the Raft term at the time of the answer."""

    def __init__(self, cluster_id: int, member_id: int) -> None:
        self.cluster_id = cluster_id
        self.member_id = member_id
        self._ids = f'"cluster_id":"{cluster_id}","member_id":"{member_id}"'

    def header(self, revision: int, term: int) -> str:
        """The header as a field of an answer."""
        return f'"header":{{{self._ids}{_int("revision", revision)}{_int("raft_term", term)}}}'

    def operation(self, result: OpResult | Done, term: int) -> bytes:
        """The answer to a range, put, delete range, transaction, compaction or revocation."""
        return f"{{{self.header(result.revision, term)}{_fields(result)}}}".encode()

    def lease_grant(self, result: LeaseGrantResult, term: int) -> bytes:
        """The answer to a lease grant."""
        return f"{{{self.header(result.revision, term)}{_int('ID', result.id)}{_int('TTL', result.ttl)}}}".encode()

    def lease_keep_alive(self, revision: int, term: int, lease: int, ttl_s: int) -> bytes:
        """One line of a keepalive stream; TTL 0 when there is no such lease."""
        fields = f"{self.header(revision, term)}{_int('ID', lease)}{_int('TTL', ttl_s)}"
        return f'{{"result":{{{fields}}}}}\n'.encode()

    def lease_info(self, revision: int, term: int, info: LeaseInfo) -> bytes:
        """The answer to a question for the time to live."""
        keys = ",".join(f'"{_base64(key)}"' for key in info.keys)
        fields = f"{_int('ID', info.id)}{_int('TTL', info.ttl)}{_int('grantedTTL', info.granted_ttl)}"
        return f"{{{self.header(revision, term)}{fields}{_array('keys', keys)}}}".encode()

    def leases(self, revision: int, term: int, leases: Iterable[int]) -> bytes:
        """The answer to a question for all leases."""
        items = ",".join(f'{{"ID":"{lease}"}}' for lease in leases)
        return f"{{{self.header(revision, term)}{_array('leases', items)}}}".encode()

    def watch_created(self, revision: int, term: int, watch_id: int) -> bytes:
        """The first line of a watch."""
        return f'{{"result":{{{self.header(revision, term)}{_int("watch_id", watch_id)},"created":true}}}}\n'.encode()

    def watch_batch(self, batch: WatchBatch, term: int, watch_id: int) -> bytes:
        """Events."""
        events = ",".join(map(_event, batch.events))
        head = f"{self.header(batch.revision, term)}{_int('watch_id', watch_id)}"
        return f'{{"result":{{{head}{_array("events", events)}}}}}\n'.encode()

    def watch_progress(self, revision: int, term: int, watch_id: int) -> bytes:
        """Everything up to `revision` was delivered."""
        return f'{{"result":{{{self.header(revision, term)}{_int("watch_id", watch_id)}}}}}\n'.encode()

    def watch_canceled(
        self,
        revision: int,
        term: int,
        watch_id: int,
        *,
        compact_revision: int = 0,
        reason: str = "",
        created: bool = False,
    ) -> bytes:
        """The last line of a watch; `created` when it never began."""
        fields = f"{self.header(revision, term)}{_int('watch_id', watch_id)}{_flag('created', value=created)}"
        fields += f',"canceled":true{_int("compact_revision", compact_revision)}'
        if reason:
            fields += f',"cancel_reason":{json.dumps(reason)}'
        return f'{{"result":{{{fields}}}}}\n'.encode()

    def other(self, revision: int, term: int, fields: dict[str, object]) -> bytes:
        """Any other answer: `fields` after the header, as orjson writes them."""
        return f"{{{self.header(revision, term)}".encode() + (b"," + orjson.dumps(fields)[1:] if fields else b"}")


def _fields(result: OpResult | Done) -> str:
    """The fields of an answer after its header, each with a leading comma."""
    match result:
        case RangeResult():
            kvs = ",".join(map(_key_value, result.kvs))
            return f"{_array('kvs', kvs)}{_flag('more', value=result.more)}{_int('count', result.count)}"
        case PutResult():
            return "" if result.prev_kv is None else f',"prev_kv":{_key_value(result.prev_kv)}'
        case DeleteResult():
            kvs = ",".join(map(_key_value, result.prev_kvs))
            return f"{_int('deleted', result.deleted)}{_array('prev_kvs', kvs)}"
        case TxnResult():
            responses = ",".join(map(_response_op, result.responses))
            return f"{_flag('succeeded', value=result.succeeded)}{_array('responses', responses)}"
        case Done():
            return ""


def _response_op(result: OpResult) -> str:
    revision = f'"revision":"{result.revision}"'
    match result:
        case RangeResult():
            return f'{{"response_range":{{"header":{{{revision}}}{_fields(result)}}}}}'
        case PutResult():
            return f'{{"response_put":{{"header":{{{revision}}}{_fields(result)}}}}}'
        case DeleteResult():
            return f'{{"response_delete_range":{{"header":{{{revision}}}{_fields(result)}}}}}'
        case TxnResult():
            return f'{{"response_txn":{{"header":{{}}{_fields(result)}}}}}'


def _event(event: WatchEvent) -> str:
    kind = '"type":"DELETE",' if event.type == "DELETE" else ""
    previous = "" if event.prev_kv is None else f',"prev_kv":{_key_value(event.prev_kv)}'
    return f'{{{kind}"kv":{_key_value(event.kv)}{previous}}}'


def _key_value(kv: KeyValue) -> str:
    if not kv.version:
        return f'{{"key":"{_base64(kv.key)}","mod_revision":"{kv.mod_revision}"}}'
    value = f',"value":"{_base64(kv.value)}"' if kv.value else ""
    return (
        f'{{"key":"{_base64(kv.key)}","create_revision":"{kv.create_revision}","mod_revision":"{kv.mod_revision}"'
        f',"version":"{kv.version}"{value}{_int("lease", kv.lease)}}}'
    )


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _int(name: str, value: int) -> str:
    return f',"{name}":"{value}"' if value else ""


def _flag(name: str, *, value: bool) -> str:
    return f',"{name}":true' if value else ""


def _array(name: str, items: str) -> str:
    return f',"{name}":[{items}]' if items else ""
