"""Errors of etcd's API, with its gRPC codes and its wording.

Clients match on both (client-go looks for codes.OutOfRange and for the very sentence about compaction), so
the texts are part of the protocol. The state machine answers them as `Fault` values, the gateway and the
client raise them as `EtcdError`.

`definite` tells a caller whether the request certainly had no effect. A request that was refused by a check
had none; one that timed out or lost its connection may still take effect, now or later.
"""

from __future__ import annotations

from ha.etcd.api import Fault

__all__ = [
    "COMPACTED",
    "DUPLICATE_KEY",
    "EMPTY_KEY",
    "FUTURE_REVISION",
    "HTTP_STATUS",
    "KEY_NOT_FOUND",
    "LEASE_EXISTS",
    "LEASE_NOT_FOUND",
    "LEASE_PROVIDED",
    "LEASE_TTL_TOO_LARGE",
    "NO_LEADER",
    "STALE_LESSOR",
    "TIMEOUT",
    "TOO_LARGE",
    "TOO_MANY_OPS",
    "TOO_MANY_REQUESTS",
    "UNKNOWN_COMMAND",
    "VALUE_PROVIDED",
    "CompactedError",
    "EtcdError",
    "EtcdTimeoutError",
    "EtcdUnavailableError",
    "FutureRevisionError",
    "error_of",
]

UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
OUT_OF_RANGE = 11
INTERNAL = 13
UNAVAILABLE = 14

HTTP_STATUS = {1: 408, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400}
HTTP_STATUS |= {12: 501, 13: 500, 14: 503, 15: 500, 16: 401}
"""gRPC code → HTTP status, as version 1 of gRPC-gateway maps them."""

EMPTY_KEY = Fault(INVALID_ARGUMENT, "etcdserver: key is not provided")
KEY_NOT_FOUND = Fault(INVALID_ARGUMENT, "etcdserver: key not found")
VALUE_PROVIDED = Fault(INVALID_ARGUMENT, "etcdserver: value is provided")
LEASE_PROVIDED = Fault(INVALID_ARGUMENT, "etcdserver: lease is provided")
TOO_MANY_OPS = Fault(INVALID_ARGUMENT, "etcdserver: too many operations in txn request")
DUPLICATE_KEY = Fault(INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")
TOO_LARGE = Fault(INVALID_ARGUMENT, "etcdserver: request is too large")
COMPACTED = Fault(OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
FUTURE_REVISION = Fault(OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")
LEASE_NOT_FOUND = Fault(NOT_FOUND, "etcdserver: requested lease not found")
LEASE_EXISTS = Fault(FAILED_PRECONDITION, "etcdserver: lease already exists")
LEASE_TTL_TOO_LARGE = Fault(OUT_OF_RANGE, "etcdserver: too large lease TTL")
TOO_MANY_REQUESTS = Fault(RESOURCE_EXHAUSTED, "etcdserver: too many requests")
NO_LEADER = Fault(UNAVAILABLE, "etcdserver: no leader")
TIMEOUT = Fault(UNAVAILABLE, "etcdserver: request timed out")
STALE_LESSOR = Fault(FAILED_PRECONDITION, "ha: the lease is counted by a later leader")
UNKNOWN_COMMAND = Fault(INTERNAL, "ha: this member does not know the command")

_INDEFINITE = frozenset({1, UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, 15})
_NOTHING_PROPOSED = frozenset({NO_LEADER.message})


class EtcdError(Exception):
    """An error that a member answered. `code` is gRPC's."""

    def __init__(self, code: int, message: str, *, definite: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.definite = definite


class EtcdUnavailableError(EtcdError):
    """No member could serve the request: refused, connection lost, no leader, watch gone silent."""


class EtcdTimeoutError(EtcdError):
    """The deadline passed without an answer."""


class CompactedError(EtcdError):
    """What was asked for is compacted away. `compact_revision` is 0 when the answer did not tell."""

    def __init__(self, code: int, message: str, *, definite: bool, compact_revision: int = 0) -> None:
        super().__init__(code, message, definite=definite)
        self.compact_revision = compact_revision


class FutureRevisionError(EtcdError):
    """The revision asked for does not exist yet."""


def error_of(code: int, message: str) -> EtcdError:
    """The exception for an answered error."""
    definite = code not in _INDEFINITE or message in _NOTHING_PROPOSED
    kind = EtcdUnavailableError if code == UNAVAILABLE else EtcdError
    if message == COMPACTED.message:
        kind = CompactedError
    elif message == FUTURE_REVISION.message:
        kind = FutureRevisionError
    elif message.startswith(TIMEOUT.message) or code == DEADLINE_EXCEEDED:
        kind = EtcdTimeoutError
    return kind(code, message, definite=definite)
