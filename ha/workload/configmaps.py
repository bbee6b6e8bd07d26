"""A register is a ConfigMap: operations as requests to the API server, answers as outcomes. Pure.

What an answer proves, and nothing more:

| answer | read | write, cas, create |
|---|---|---|
| 2xx | ok | ok |
| 404 for the object | ok: absent | fail |
| 4xx (409 conflict or exists, 422, 429 and so on) | fail | fail: refused before anything was done |
| 408, 5xx, anything else | fail | info: the server may have written before it failed |
| no connection | fail | fail: nothing was sent |
| timeout, connection lost | info | info |

A 503 is unknown too: it is also what a server says that lost its store in the middle of a write. A refusal
tells nothing of the current revision, since the body of a 409 does not name it.
"""

from __future__ import annotations

import msgspec

from ha.history import OperationType, Outcome
from ha.http import HttpError, Response
from ha.kube.kinds import CONFIG_MAP
from ha.kube.kinds import NAMESPACE as NAMESPACE_KIND

__all__ = [
    "HEADERS",
    "NAMESPACE",
    "Answer",
    "Call",
    "call",
    "interpret",
    "namespace_call",
    "unanswered",
]

NAMESPACE = "ha-workload"
LABEL = "ha-workload"
HEADERS = {"content-type": "application/json", "accept": "application/json"}


class Call(msgspec.Struct, frozen=True):
    """A request to be sent."""

    method: str
    target: str
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request came to. `served`: the server did its work, be it by refusing."""

    outcome: Outcome
    value: str | None = None
    revision: int | None = None
    error: str | None = None
    served: bool = True


class _Metadata(msgspec.Struct):
    name: str = ""
    resourceVersion: str = ""  # noqa: N815  (Kubernetes' own field name)


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    data: dict[str, str] = {}


class _Status(msgspec.Struct):
    kind: str = ""
    reason: str = ""
    message: str = ""
    details: dict[str, object] | None = None


_object = msgspec.json.Decoder(_Object)
_status = msgspec.json.Decoder(_Status)


def call(
    type_: OperationType, workload: str, key: str, *, value: str | None = None, expected: int | None = None
) -> Call:
    """The request for an operation on the ConfigMap `key`."""
    if type_ == "read":
        return Call("GET", CONFIG_MAP.path(NAMESPACE, key))
    metadata: dict[str, object] = {"name": key, "namespace": NAMESPACE, "labels": {LABEL: workload}}
    if type_ == "cas":
        metadata["resourceVersion"] = str(expected)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}
    if type_ == "create":
        return Call("POST", CONFIG_MAP.path(NAMESPACE), msgspec.json.encode(body))
    assert type_ in ("write", "cas"), f"no request for {type_}"
    return Call("PUT", CONFIG_MAP.path(NAMESPACE, key), msgspec.json.encode(body))


def namespace_call() -> Call:
    """The request that creates the namespace of all workloads."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return Call("POST", NAMESPACE_KIND.path(), msgspec.json.encode(body))


def interpret(type_: OperationType, response: Response) -> Answer:
    """What an answer proves."""
    if 200 <= response.status < 300:
        return _done(type_, response.body)
    if type_ == "read" and response.status == 404 and _is_about_object(response.body):
        return Answer(outcome="ok", revision=0)
    error = f"{response.status} {_reason(response.body)}".strip()
    refused = 400 <= response.status < 500 and response.status != 408
    served = refused and response.status != 429
    return Answer(outcome="fail" if refused or type_ == "read" else "info", error=error, served=served)


def unanswered(error: HttpError) -> Answer:
    """What it means that no answer came."""
    text = f"{type(error).__name__}: {error}"
    return Answer(outcome="fail" if error.definite else "info", error=text, served=False)


def _done(type_: OperationType, body: bytes) -> Answer:
    """A success. A write without a readable object in its answer was acknowledged all the same, a read without one
    saw nothing. An object that lost its value has the empty one, which nobody writes.
    """
    try:
        found = _object.decode(body)
    except msgspec.DecodeError as error:
        return _unreadable(type_, str(error))
    revision = _revision(found.metadata)
    if revision is None:
        return _unreadable(type_, "no resourceVersion")
    return Answer(outcome="ok", value=found.data.get("value", ""), revision=revision)


def _unreadable(type_: OperationType, why: str) -> Answer:
    return Answer(outcome="fail" if type_ == "read" else "ok", error=f"unreadable answer: {why}", served=False)


def _revision(metadata: _Metadata) -> int | None:
    return int(metadata.resourceVersion) if metadata.resourceVersion.isdecimal() else None


def _is_about_object(body: bytes) -> bool:
    """Whether a 404 is the API server's word on an object, and not that of something that knows no such path."""
    try:
        status = _status.decode(body)
    except msgspec.DecodeError:
        return False
    return status.kind == "Status" and status.reason == "NotFound" and bool(status.details)


def _reason(body: bytes) -> str:
    try:
        status = _status.decode(body)
    except msgspec.DecodeError:
        return ""
    return f"{status.reason}: {status.message}".strip(": ")
