"""Short ways to write histories of a store down."""

from __future__ import annotations

from typing import Any

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
    Version,
)


def kv(key: str, value: str, mod: int, create: int | None = None, version: int = 1, lease: int = 0) -> Version:
    return Version(key, value, mod if create is None else create, mod, version, lease)


def asked(
    request: StoreRequest,
    start_s: float,
    end_s: float | None,
    answer: StoreAnswer | None = None,
    *,
    outcome: str | None = None,
    refusal: Any = None,
    client: int = 0,
) -> Operation:
    """Ok with an answer, fail with a refusal, else info, unless it is said."""
    outcome = outcome or ("ok" if answer is not None else "fail" if refusal else "info")
    call = StoreCall(member="etcd-1", request=request, answer=answer, refusal=refusal)
    fields: Any = {"type": "read" if isinstance(request, Range) else "write", "key": "k", "outcome": outcome}
    return Operation(workload="store", client=client, invoked_s=start_s, completed_s=end_s, store=call, **fields)


def put(key: str, value: str, revision: int, start_s: float, end_s: float, lease: int = 0) -> Operation:
    return asked(Put(key, value, lease), start_s, end_s, StoreAnswer(revision))


def delete(key: str, revision: int, start_s: float, end_s: float, count: int = 1) -> Operation:
    return asked(Delete(key), start_s, end_s, StoreAnswer(revision, count=count))


def get(key: str, found: Version | None, told: int, start_s: float, end_s: float, **request: Any) -> Operation:
    kvs = [] if found is None else [found]
    return asked(Range(key, **request), start_s, end_s, StoreAnswer(told, kvs=kvs, count=len(kvs)))


def compact(revision: int, start_s: float, end_s: float) -> Operation:
    return asked(Compact(revision), start_s, end_s, StoreAnswer(50))


def grant(lease: int, ttl_s: int, start_s: float, end_s: float) -> Operation:
    return asked(LeaseGrant(lease, ttl_s), start_s, end_s, StoreAnswer(1, ttl_s=ttl_s))


def renew(lease: int, ttl_s: int, start_s: float, end_s: float) -> Operation:
    return asked(LeaseKeepAlive(lease), start_s, end_s, StoreAnswer(ttl_s=ttl_s))


def revoke(lease: int, start_s: float, end_s: float, revision: int = 1) -> Operation:
    return asked(LeaseRevoke(lease), start_s, end_s, StoreAnswer(revision))
