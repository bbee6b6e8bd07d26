"""What a client of etcd asked a member and what it got, as plain data: the words of etcd's v3 API.

A `StoreCall` rides on an `ha.history.Operation`, which says who asked, when, and with which outcome. Revisions
are etcd's: one counter for all keys. Fields that are zero, empty or false are left out of the JSON, as in etcd's
own. Keys and values are text here, though etcd's are bytes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "Compact",
    "Compare",
    "Delete",
    "LeaseGrant",
    "LeaseKeepAlive",
    "LeaseRevoke",
    "Put",
    "Range",
    "Refusal",
    "StoreAnswer",
    "StoreCall",
    "StoreRequest",
    "Txn",
    "TxnOp",
    "Version",
]


class _Plain(msgspec.Struct, frozen=True, omit_defaults=True):
    pass


class _Request(_Plain, frozen=True, tag_field="kind"):
    pass


class Range(_Request, frozen=True, tag="range"):
    """Read a key, or ``[key, range_end)``. `revision` 0: now. `serializable`: from whatever the member has."""

    key: str
    range_end: str = ""
    revision: int = 0
    serializable: bool = False


class Put(_Request, frozen=True, tag="put"):
    """Set a key. `prev_kv`: and tell what it held."""

    key: str
    value: str
    lease: int = 0
    prev_kv: bool = False


class Delete(_Request, frozen=True, tag="delete"):
    """Delete a key, or ``[key, range_end)``."""

    key: str
    range_end: str = ""
    prev_kv: bool = False


class Compare(_Plain, frozen=True):
    """A condition: one figure of a key, or its value, is equal to, not equal to, less or greater than `operand`."""

    key: str
    target: Literal["version", "create", "mod", "value"]
    result: Literal["equal", "not_equal", "less", "greater"]
    operand: int | str


TxnOp: TypeAlias = Range | Put | Delete


class Txn(_Request, frozen=True, tag="txn"):
    """If every condition holds do `success`, else `failure`, in one revision."""

    compare: list[Compare] = []
    success: list[TxnOp] = []
    failure: list[TxnOp] = []


class Compact(_Request, frozen=True, tag="compact"):
    """Forget what was superseded at or before `revision`, which itself stays readable."""

    revision: int


class LeaseGrant(_Request, frozen=True, tag="lease-grant"):
    """Grant a lease of this id."""

    lease: int
    ttl_s: int


class LeaseKeepAlive(_Request, frozen=True, tag="lease-keepalive"):
    """Renew a lease."""

    lease: int


class LeaseRevoke(_Request, frozen=True, tag="lease-revoke"):
    """End a lease, and delete its keys."""

    lease: int


StoreRequest: TypeAlias = Range | Put | Delete | Txn | Compact | LeaseGrant | LeaseKeepAlive | LeaseRevoke


class Version(_Plain, frozen=True):
    """One version of one key."""

    key: str
    value: str
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class StoreAnswer(_Plain, frozen=True):
    """The answer to any request. In a transaction's `responses`, `revision` is left out."""

    revision: int = 0
    """The store's revision, from the header: of a change, its own."""
    kvs: list[Version] = []
    """What a range found; what a put or a delete with `prev_kv` replaced."""
    count: int = 0
    """How many keys a range found, or a delete deleted."""
    succeeded: bool = False
    """Of a transaction: every condition held."""
    responses: list[StoreAnswer] = []
    """Of a transaction: to the operations of the branch taken, in order."""
    ttl_s: int = 0
    """Of a grant or a renewal: how long the lease lasts from then on; 0: there is no such lease."""


Refusal: TypeAlias = Literal["compacted", "future", "lease-not-found", "other"]
"""Why a member certainly did nothing: the revision is compacted, or is none yet; there is no such lease."""


class StoreCall(_Plain, frozen=True, kw_only=True):
    """A request to one member. Without an answer and without a refusal nothing is known of it."""

    member: str
    request: StoreRequest
    answer: StoreAnswer | None = None
    refusal: Refusal | None = None
