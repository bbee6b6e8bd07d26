"""The JSON gateway of etcd's v3 API over HTTP/1.1: routes, errors, health, version, metrics.

Paths, bodies, statuses and wording are those of etcd 3.5 (its gRPC-gateway), so that one client serves both.
Beyond it ``/v3/maintenance/hash`` is HashKV, which compares members at one revision, and answers
``compact_revision`` beside the hash. Questions that only the leader can answer (how long a lease still
lasts) are forwarded to its client URL, once: a request that was forwarded is never forwarded again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec
import orjson

from ha.etcd.api import (
    CompactionRequest,
    DeleteRangeRequest,
    LeaseGrantRequest,
    LeaseRevokeRequest,
    Member,
    PutRequest,
    RangeRequest,
    TxnRequest,
)
from ha.etcd.errors import INVALID_ARGUMENT, NO_LEADER, EtcdError
from ha.etcd.metrics import render_metrics
from ha.etcd.service import EtcdService
from ha.etcd.streams import WatchRequest, WatchStream
from ha.etcd.watch import WatchHub
from ha.etcd.wire import PROGRESS_HEADER, Encoder, MalformedError, decode, encode_error, split_values
from ha.http import Client, HttpError, Request, Response, StreamingResponse

__all__ = ["Gateway", "Timing"]

ETCD_VERSION = "3.5.0"
"""The version whose API this is."""
_FORWARDED = "ha-forwarded"
_READS = ("GET", "HEAD")
_TEXT = "text/plain; charset=utf-8"

_Route: TypeAlias = Callable[[Request], Awaitable[Response | StreamingResponse]]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Periods and bounds, in seconds."""

    election_s: float
    progress_s: float
    request_timeout_s: float


class _HashRequest(msgspec.Struct, frozen=True):
    revision: int = 0


class _KeepAliveRequest(msgspec.Struct, frozen=True, rename={"id": "ID"}):
    id: int = 0


class _TimeToLiveRequest(msgspec.Struct, frozen=True, rename={"id": "ID"}):
    id: int = 0
    keys: bool = False


class _Empty(msgspec.Struct, frozen=True):
    pass


class Gateway:
    """Handles the HTTP requests of one member. `leaders` are clients to the other members, by name."""

    def __init__(
        self,
        service: EtcdService,
        hub: WatchHub,
        encoder: Encoder,
        members: Mapping[str, Member],
        leaders: Mapping[str, Client],
        timing: Timing,
    ) -> None:
        self._service, self._hub, self._encoder = service, hub, encoder
        self._members, self._leaders, self._timing = members, leaders, timing
        self._posts: dict[str, _Route] = {
            "/v3/kv/range": self._range,
            "/v3/kv/put": self._put,
            "/v3/kv/deleterange": self._delete_range,
            "/v3/kv/txn": self._txn,
            "/v3/kv/compaction": self._compaction,
            "/v3/watch": self._watch,
            "/v3/lease/keepalive": self._lease_keep_alive,
            "/v3/maintenance/status": self._maintenance_status,
            "/v3/maintenance/hash": self._maintenance_hash,
            "/v3/cluster/member/list": self._member_list,
        }
        leases = {
            "grant": self._lease_grant,
            "revoke": self._lease_revoke,
            "timetolive": self._lease_time_to_live,
            "leases": self._lease_leases,
        }
        for prefix in ("/v3/lease", "/v3/kv/lease"):
            self._posts |= {f"{prefix}/{name}": route for name, route in leases.items()}
        self._gets: dict[str, _Route] = {
            "/health": self._health,
            "/healthz": self._health,
            "/version": self._version,
            "/metrics": self._metrics,
            "/debug/digests": self._digests,
        }

    async def handle(self, request: Request) -> Response | StreamingResponse:
        """Answer one request."""
        path, method = request.path, request.method
        route = self._posts.get(path) if method == "POST" else self._gets.get(path) if method in _READS else None
        if route is None:
            if path in self._posts or path in self._gets:
                return Response(405, b"Method Not Allowed\n", _TEXT)
            return Response(404, b"Not Found\n" if path.startswith("/v3/") else b"404 page not found\n", _TEXT)
        try:
            return await route(request)
        except EtcdError as error:
            return Response(*encode_error(error.code, error.message))
        except MalformedError as error:
            return Response(*encode_error(INVALID_ARGUMENT, str(error)))

    @property
    def _term(self) -> int:
        return self._service.term

    # Keys

    async def _range(self, request: Request) -> Response:
        result = await self._service.range(decode(RangeRequest, request.body))
        return Response(200, self._encoder.operation(result, self._term))

    async def _put(self, request: Request) -> Response:
        result = await self._service.put(decode(PutRequest, request.body))
        return Response(200, self._encoder.operation(result, self._term))

    async def _delete_range(self, request: Request) -> Response:
        result = await self._service.delete_range(decode(DeleteRangeRequest, request.body))
        return Response(200, self._encoder.operation(result, self._term))

    async def _txn(self, request: Request) -> Response:
        result = await self._service.txn(decode(TxnRequest, request.body))
        return Response(200, self._encoder.operation(result, self._term))

    async def _compaction(self, request: Request) -> Response:
        result = await self._service.compact(decode(CompactionRequest, request.body))
        return Response(200, self._encoder.operation(result, self._term))

    async def _watch(self, request: Request) -> StreamingResponse:
        stream = WatchStream(
            self._service,
            self._hub,
            self._encoder,
            [decode(WatchRequest, value) for value in split_values(request.body)],
            progress_s=self._timing.progress_s,
            election_s=self._timing.election_s,
            require_leader=request.headers.get("grpc-metadata-hasleader") == "true",
        )
        return StreamingResponse(200, stream.run, headers={PROGRESS_HEADER: f"{self._timing.progress_s:g}"})

    # Leases

    async def _lease_grant(self, request: Request) -> Response:
        result = await self._service.lease_grant(decode(LeaseGrantRequest, request.body))
        return Response(200, self._encoder.lease_grant(result, self._term))

    async def _lease_revoke(self, request: Request) -> Response:
        result = await self._service.lease_revoke(decode(LeaseRevokeRequest, request.body))
        return Response(200, self._encoder.operation(result, self._term))

    async def _lease_keep_alive(self, request: Request) -> Response:
        forwarded = await self._forwarded(request)
        if forwarded is not None:
            return forwarded
        lines = []
        for value in split_values(request.body):
            lease = decode(_KeepAliveRequest, value).id
            ttl_s = await self._service.lease_keep_alive(lease)
            lines.append(self._encoder.lease_keep_alive(self._service.revision, self._term, lease, ttl_s))
        return Response(200, b"".join(lines))

    async def _lease_time_to_live(self, request: Request) -> Response:
        forwarded = await self._forwarded(request)
        if forwarded is not None:
            return forwarded
        asked = decode(_TimeToLiveRequest, request.body)
        info = await self._service.lease_time_to_live(asked.id, keys=asked.keys)
        return Response(200, self._encoder.lease_info(self._service.revision, self._term, info))

    async def _lease_leases(self, request: Request) -> Response:
        decode(_Empty, request.body)
        leases = await self._service.leases()
        return Response(200, self._encoder.leases(self._service.revision, self._term, leases))

    async def _forwarded(self, request: Request) -> Response | None:
        """The leader's answer; None when this member is to answer itself."""
        if self._service.status.leader is None:
            await self._service.barrier()  # an election ends before it does
        client = self._leaders.get(self._service.status.leader or "")
        if client is None or _FORWARDED in request.headers:
            return None
        try:
            answer = await client.request(
                "POST",
                request.path,
                body=request.body,
                headers={_FORWARDED: "1"},
                timeout_s=self._timing.request_timeout_s,
            )
        except HttpError:
            return Response(*encode_error(NO_LEADER.code, NO_LEADER.message))
        return Response(answer.status, answer.body, answer.content_type)

    # Cluster and maintenance

    async def _maintenance_status(self, request: Request) -> Response:
        decode(_Empty, request.body)
        status, store = self._service.status, self._service.machine.store
        fields: dict[str, object] = {"version": ETCD_VERSION, "dbSize": str(store.size_bytes)}
        if status.leader is not None:
            fields["leader"] = str(self._members[status.leader].id)
        fields |= {"raftIndex": str(status.commit_index), "raftTerm": str(status.term)}
        fields |= {"raftAppliedIndex": str(status.applied_index), "dbSizeInUse": str(store.size_bytes)}
        if status.is_learner:
            fields["isLearner"] = True
        return Response(200, self._encoder.other(store.revision, status.term, fields))

    async def _maintenance_hash(self, request: Request) -> Response:
        revision = max(decode(_HashRequest, request.body).revision, 0)
        fields: dict[str, object] = {"hash": self._service.hash_kv(revision)}
        compact_revision = self._service.machine.store.compact_revision
        if compact_revision:
            fields["compact_revision"] = str(compact_revision)
        return Response(200, self._encoder.other(self._service.revision, self._term, fields))

    async def _member_list(self, request: Request) -> Response:
        decode(_Empty, request.body)
        members = [
            {"ID": str(m.id), "name": m.name, "peerURLs": m.peer_urls, "clientURLs": m.client_urls}
            for m in self._members.values()
        ]
        return Response(200, self._encoder.other(0, self._term, {"members": members}))

    async def _health(self, request: Request) -> Response:
        reason = ""
        if self._service.status.leader is None:
            reason = "RAFT NO LEADER"
        elif request.query.get("serializable") != "true":
            try:
                await self._service.barrier()
            except EtcdError as error:
                reason = f"QGET ERROR:{error.message}"
        body = {"health": "false" if reason else "true", "reason": reason}
        return Response(503 if reason else 200, orjson.dumps(body), _TEXT)

    async def _version(self, request: Request) -> Response:
        del request
        return Response(200, orjson.dumps({"etcdserver": ETCD_VERSION, "etcdcluster": ETCD_VERSION}))

    async def _digests(self, request: Request) -> Response:
        """Ours alone: what the log held that was applied here, for whoever compares members."""
        del request
        return Response(200, orjson.dumps(self._service.digests))

    async def _metrics(self, request: Request) -> Response:
        del request
        text = render_metrics(self._service, watchers=len(self._hub))
        return Response(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")
