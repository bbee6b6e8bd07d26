"""A client of etcd's v3 API over HTTP/JSON: for our members and for the gateways of real ones.

**Bounded.** No call takes longer than `timeout_s`. A member that refuses, has no leader or does not answer
is left for the next one. With several members an attempt gets only its share of the time, so that a paused
one (it accepts connections, and says nothing) costs a fraction of the timeout and not all of it.

**Definite.** What was certainly not done is tried again, on the next member and, after a short pause, all
over again, until the time is up: an election, for one, is survived without an error. What may have been done
is repeated only if it is a read (or renews a lease): a write of unknown outcome fails with ``definite=False``.

**Suspicion.** The member that answered last is asked first. One that failed comes last, the one that failed
most recently at the very end. Before a write goes to a member that has been quiet for longer than an
attempt, a cheap question makes sure that it lives: so writes of unknown outcome are rare. When a member stops
answering one request, others that wait on it get no more than their own share of patience; without this,
requests pile up behind a dead connection (upstream: 40 s). Reads and watches find out by themselves. A write
cannot be given up to find out, and a task of its own for each would double its cost: who wants the same for
a client that does nothing but write lets `EtcdClient.run` probe in the background.

**Watches** say when they are dead: our members speak every so often, and a stream that falls silent for three
such periods is over; behind a silent stream of a real etcd the member is probed instead. A member that has
lost its leader ends the stream (``hasleader``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn, TypeAlias, TypeVar

import msgspec
import trio

from ha.etcd.answers import (
    DeleteAnswer,
    HashAnswer,
    HeaderAnswer,
    KeepAliveAnswer,
    LeaseGrantAnswer,
    LeaseInfoAnswer,
    LeasesAnswer,
    MembersAnswer,
    PutAnswer,
    RangeAnswer,
    StatusAnswer,
    TxnAnswer,
    read_answer,
    read_error,
)
from ha.etcd.api import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    DeleteResult,
    Filter,
    HashResult,
    KeyValue,
    LeaseGrantRequest,
    LeaseGrantResult,
    LeaseInfo,
    LeaseRevokeRequest,
    Member,
    MemberStatus,
    Op,
    PutRequest,
    RangeRequest,
    RangeResult,
    TxnRequest,
    TxnResult,
    WatchBatch,
    WatchCreateRequest,
    WatchEvent,
    prefix_end,
    request_ops,
)
from ha.etcd.client_watch import WatchReader, open_watch
from ha.etcd.endpoints import Endpoint, Endpoints, UnresponsiveError
from ha.etcd.errors import (
    DEADLINE_EXCEEDED,
    LEASE_NOT_FOUND,
    UNAVAILABLE,
    CompactedError,
    EtcdError,
    EtcdTimeoutError,
    EtcdUnavailableError,
    FutureRevisionError,
    error_of,
)
from ha.http import HttpError, RequestTimeout
from ha.world import Address, Network

__all__ = [
    "CompactedError",
    "Compare",
    "DeleteRangeRequest",
    "EtcdClient",
    "EtcdError",
    "EtcdTimeoutError",
    "EtcdUnavailableError",
    "FutureRevisionError",
    "HashResult",
    "KeyValue",
    "Op",
    "PutRequest",
    "RangeRequest",
    "RangeResult",
    "TxnRequest",
    "TxnResult",
    "WatchBatch",
    "WatchEvent",
    "WatchReader",
    "prefix_end",
]

T = TypeVar("T")
_Attempt: TypeAlias = Callable[[Endpoint, float], Awaitable[T]]

HTTP_OK = 200
_PAUSE_FIRST_S = 0.005
_PAUSE_MAX_S = 0.05
_encode = msgspec.json.Encoder().encode


class EtcdClient:
    """See the module. `endpoints` are client addresses; the first one is asked first. Share it between tasks."""

    def __init__(self, net: Network, endpoints: Sequence[Address], *, timeout_s: float) -> None:
        self._endpoints = Endpoints(net, endpoints, timeout_s=timeout_s)
        self._timeout_s = timeout_s

    async def run(self) -> NoReturn:
        """Probe members that let requests wait, until cancelled. Optional: see the module on suspicion."""
        await self._endpoints.probe_slow_ones()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._endpoints.aclose()

    # Keys

    async def range(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        revision: int = 0,
        limit: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
    ) -> RangeResult:
        """Read a key, ``[key, range_end)``, or from `key` to the end (`range_end` zero byte)."""
        return await self.read(
            RangeRequest(
                key=key,
                range_end=range_end,
                revision=revision,
                limit=limit,
                serializable=serializable,
                keys_only=keys_only,
                count_only=count_only,
            )
        )

    async def read(self, request: RangeRequest) -> RangeResult:
        """A range with everything that it can ask for: sorting, filters by revision."""
        body = await self._call("/v3/kv/range", _encode(request), repeatable=True)
        return read_answer(RangeAnswer, body).result()

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> int:
        """Set a key; the revision of that."""
        body = await self._call("/v3/kv/put", _encode(PutRequest(key, value, lease)))
        return read_answer(PutAnswer, body).header.revision

    async def delete_range(self, key: bytes, range_end: bytes = b"", *, prev_kv: bool = False) -> DeleteResult:
        """Delete a key or a range."""
        body = await self._call("/v3/kv/deleterange", _encode(DeleteRangeRequest(key, range_end, prev_kv)))
        return read_answer(DeleteAnswer, body).result()

    async def txn(self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()) -> TxnResult:
        """Do `success` if all of `compare` holds, else `failure`, in one revision."""
        request = TxnRequest(list(compare), request_ops(success), request_ops(failure))
        repeatable = all(isinstance(op, RangeRequest) for op in (*success, *failure))
        body = await self._call("/v3/kv/txn", _encode(request), repeatable=repeatable)
        return read_answer(TxnAnswer, body).result()

    async def compact(self, revision: int) -> None:
        """Forget the history before a revision. Raises CompactedError when that was done already."""
        await self._call("/v3/kv/compaction", _encode(CompactionRequest(revision)))

    # Leases

    async def lease_grant(self, ttl_s: int, *, lease: int = 0) -> LeaseGrantResult:
        """Grant a lease; 0: the member chooses the id."""
        body = await self._call("/v3/lease/grant", _encode(LeaseGrantRequest(ttl_s, lease)))
        return read_answer(LeaseGrantAnswer, body).result()

    async def lease_keepalive(self, lease: int) -> int:
        """Renew a lease; its TTL in seconds. Raises EtcdError (not found) when it is gone."""
        body = await self._call("/v3/lease/keepalive", _encode({"ID": lease}), repeatable=True)
        ttl_s = read_answer(KeepAliveAnswer, body).result.ttl
        if ttl_s <= 0:
            raise error_of(LEASE_NOT_FOUND.code, LEASE_NOT_FOUND.message)
        return ttl_s

    async def lease_revoke(self, lease: int) -> int:
        """Revoke a lease and delete its keys; the revision after that."""
        body = await self._call("/v3/lease/revoke", _encode(LeaseRevokeRequest(lease)))
        return read_answer(HeaderAnswer, body).header.revision

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseInfo:
        """What is left of a lease."""
        body = await self._call("/v3/lease/timetolive", _encode({"ID": lease, "keys": keys}), repeatable=True)
        return read_answer(LeaseInfoAnswer, body).result()

    async def leases(self) -> list[int]:
        """The ids of all leases."""
        body = await self._call("/v3/lease/leases", b"{}", repeatable=True)
        return [lease.id for lease in read_answer(LeasesAnswer, body).leases]

    # Cluster

    async def status(self, endpoint: Address) -> MemberStatus:
        """What one member says of itself, bounded by the timeout. `endpoint` must be one of this client's."""
        return read_answer(StatusAnswer, await self._ask_one(endpoint, "/v3/maintenance/status", b"{}")).result()

    async def hash_kv(self, endpoint: Address, revision: int = 0) -> HashResult:
        """What one member's keys come to at a revision (0: now). Members of the real etcd hash all that they have now,
        whatever revision is asked for: their hashes compare when their answers tell the same one.
        """
        body = await self._ask_one(endpoint, "/v3/maintenance/hash", _encode({"revision": revision}))
        return read_answer(HashAnswer, body).result()

    async def member_list(self) -> list[Member]:
        """The members of the cluster."""
        return read_answer(MembersAnswer, await self._call("/v3/cluster/member/list", b"{}", repeatable=True)).result()

    # Watches

    @asynccontextmanager
    async def watch(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        filters: Sequence[Filter] = (),
    ) -> AsyncIterator[WatchReader]:
        """Watch a key or a range from a revision on (0: from now on): an async iterator of `WatchBatch`.

        It ends with CompactedError, or EtcdUnavailableError when the member or the way to it is lost: then go on
        from the revision after the last batch. Empty batches (how far the watch has come) only with
        `progress_notify`. Entering takes at most the timeout, and raises the same errors.
        """
        request = WatchCreateRequest(
            key=key,
            range_end=range_end,
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=True,
            filters=list(filters),
        )
        async with AsyncExitStack() as stack:

            async def attempt(endpoint: Endpoint, timeout_s: float) -> WatchReader:
                return await open_watch(stack, endpoint, request, timeout_s=timeout_s, progress_notify=progress_notify)

            yield await self._with_failover(attempt, repeatable=True)

    # Failover

    async def _call(self, path: str, body: bytes, *, repeatable: bool = False) -> bytes:
        async def attempt(endpoint: Endpoint, timeout_s: float) -> bytes:
            response = await endpoint.request("POST", path, body, timeout_s=timeout_s)
            if response.status != HTTP_OK:
                raise read_error(response.status, response.body)
            return response.body

        return await self._with_failover(attempt, repeatable=repeatable)

    async def _with_failover(self, attempt: _Attempt[T], *, repeatable: bool) -> T:
        """Ask one member after the other, round after round, while that is safe and there is time."""
        deadline_s = trio.current_time() + self._timeout_s
        last_start_s = deadline_s - min(_PAUSE_MAX_S, self._timeout_s / 10)
        pause_s = _PAUSE_FIRST_S
        while True:
            for endpoint in self._endpoints.in_order():
                try:
                    return await self._try(endpoint, attempt, deadline_s, repeatable=repeatable)
                except (EtcdUnavailableError, EtcdTimeoutError) as error:
                    if trio.current_time() >= last_start_s or not (error.definite or repeatable):
                        raise
                    failure = error
            if trio.current_time() + pause_s >= last_start_s:
                raise failure
            await trio.sleep(pause_s)  # whether a leader was elected can only be asked again
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    async def _try(self, endpoint: Endpoint, attempt: _Attempt[T], deadline_s: float, *, repeatable: bool) -> T:
        """One attempt with one member. Raises EtcdError."""
        alone = len(self._endpoints) == 1
        if not (alone or repeatable or endpoint.is_fresh or await _is_alive(endpoint, deadline_s)):
            raise EtcdUnavailableError(UNAVAILABLE, f"{endpoint.address} does not answer", definite=True)
        timeout_s, question_s = max(deadline_s - trio.current_time(), 0.0), self._endpoints.attempt_s / 2
        can_ask = not alone and timeout_s > 2 * question_s
        if can_ask:  # a member that does not answer is asked whether it lives, within the same time
            timeout_s -= question_s
        if repeatable and not alone:
            timeout_s = min(timeout_s, self._endpoints.attempt_s)
        try:
            return await attempt(endpoint, timeout_s)
        except RequestTimeout as error:
            if can_ask:
                await endpoint.is_alive()  # if it is not, nobody else waits for it for long
            raise EtcdTimeoutError(DEADLINE_EXCEEDED, f"{endpoint.address}: {error}", definite=False) from error
        except HttpError as error:
            endpoint.failed()
            raise EtcdUnavailableError(UNAVAILABLE, f"{endpoint.address}: {error}", definite=error.definite) from error
        except UnresponsiveError as error:
            raise EtcdUnavailableError(UNAVAILABLE, str(error), definite=False) from error
        except (EtcdUnavailableError, EtcdTimeoutError):
            endpoint.failed()
            raise

    async def _ask_one(self, address: Address, path: str, body: bytes) -> bytes:
        endpoint = self._endpoints.find(address)
        try:
            response = await endpoint.http.request("POST", path, body=body, timeout_s=self._timeout_s)
        except HttpError as error:
            raise EtcdUnavailableError(UNAVAILABLE, f"{address}: {error}", definite=error.definite) from error
        if response.status != HTTP_OK:
            raise read_error(response.status, response.body)
        return response.body


async def _is_alive(endpoint: Endpoint, deadline_s: float) -> bool:
    with trio.move_on_at(deadline_s):
        return await endpoint.is_alive()
    return False
