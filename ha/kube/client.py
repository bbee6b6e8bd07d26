"""The client of the API server: one connection pool, every request bounded, nothing retried behind the caller's back.

A request ends in one of three ways: an object (done), `ApiError` (answered, not done), or `ha.http.HttpError`
(not answered); both errors carry ``definite``. Whether to ask again is the caller's decision, because only the
caller knows whether asking twice is harmless; the pool dials anew by itself.

A server that stops talking without closing (paused, or behind a balancer that holds on to it) is the failure
that hurts most here: plain requests end by `timeout_s`, a watch by the timeout that it asked the server for. Whoever
finds out first calls `reset`, which ends every watch of this client, so that the others need not find out for
themselves (the kubelet does that when its heartbeat fails, as upstream's does).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlencode

import orjson
import trio

from ha.http import Client, ConnectionLost, Response, StreamedResponse
from ha.kube.errors import ApiError
from ha.kube.kinds import POD, Kind, Object
from ha.world import Address, Network

__all__ = ["FencedError", "KubeClient", "ObjectList", "Watch", "WatchEvent"]

Objects: TypeAlias = list[Object]
EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]

_PATCH_TYPES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}
_JSON = {"content-type": "application/json"}
_WATCH_SLACK_S = 5.0
"""How much longer than asked a watch may last before the server counts as silent."""


@dataclass(frozen=True, slots=True)
class ObjectList:
    """One page of a collection and the resource version that it is a snapshot of."""

    items: Objects
    resource_version: str
    continue_: str = ""


class WatchEvent(NamedTuple):
    """One change. A BOOKMARK carries nothing but the resource version reached."""

    type: EventType
    object: Object


class Watch:
    """The events of one watch, in order. Ends when the server ends it; raises ApiError for an ERROR event."""

    def __init__(self, response: StreamedResponse) -> None:
        self._chunks = aiter(response)
        self._buffer = bytearray()

    def __aiter__(self) -> Watch:
        return self

    async def aclose(self) -> None:
        """End the iteration over the body; the connection is the response's business."""
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()

    async def __anext__(self) -> WatchEvent:
        while (end := self._buffer.find(b"\n")) < 0:
            self._buffer += await anext(self._chunks)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        event: dict[str, Any] = orjson.loads(line)
        if event["type"] == "ERROR":
            status: Object = event["object"]
            raise ApiError.from_status(int(status.get("code") or 500), status)
        return WatchEvent(event["type"], event["object"])


class FencedError(Exception):
    """A write was not sent, because the right to write is not certainly held any more."""


class KubeClient:
    """Typed access to one API server (or to the balancer before several). `timeout_s` bounds each request.

    `may_write` is asked before every write; when it says no the write ends in FencedError. That is how a leader
    that was paused past its lease is kept from acting on what it knew before.
    """

    def __init__(
        self,
        net: Network,
        server: Address,
        *,
        user_agent: str,
        timeout_s: float,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self.server = server
        self._net = net
        self._timeout_s = timeout_s
        self._may_write = may_write
        self._headers = {"user-agent": user_agent, "accept": "application/json"}
        self._http = Client(net, server, headers=self._headers)
        self._watches: set[trio.CancelScope] = set()

    async def aclose(self) -> None:
        """Close the pool."""
        await self._http.aclose()

    async def reset(self) -> None:
        """Close idle connections and end every watch with ConnectionLost: what comes next dials anew."""
        for scope in list(self._watches):
            scope.cancel()
        old, self._http = self._http, Client(self._net, self.server, headers=self._headers)
        await old.aclose()

    async def get(
        self, kind: Kind, name: str, namespace: str | None = None, *, resource_version: str | None = None
    ) -> Object:
        """One object; with resource_version "0" whatever the server has cached."""
        query = {} if resource_version is None else {"resourceVersion": resource_version}
        return await self._call("GET", kind.path(namespace, name), query=query)

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        limit: int = 0,
        continue_: str = "",
    ) -> ObjectList:
        """A collection, over all namespaces unless one is named."""
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": resource_version or "",
            "limit": str(limit or ""),
            "continue": continue_,
        }
        body = await self._call("GET", kind.path(namespace), query={k: v for k, v in query.items() if v})
        meta = body.get("metadata", {})
        return ObjectList(body.get("items") or [], str(meta.get("resourceVersion", "")), str(meta.get("continue", "")))

    async def create(
        self, kind: Kind, obj: Object, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        """Create an object in the given namespace, or in the one that it names."""
        meta = obj["metadata"]
        namespace = namespace if namespace is not None else meta.get("namespace")
        name = meta["name"] if subresource else None
        return await self._call("POST", kind.path(namespace, name, subresource), _typed(kind, obj))

    async def update(self, kind: Kind, obj: Object, *, subresource: str | None = None) -> Object:
        """Replace an object. Its resourceVersion, when it carries one, is the precondition."""
        meta = obj["metadata"]
        path = kind.path(meta.get("namespace"), meta["name"], subresource)
        return await self._call("PUT", path, _typed(kind, obj))

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        patch: Object | Objects,
        *,
        type: Literal["merge", "json"] = "merge",  # noqa: A002  (the API's own word)
        subresource: str | None = None,
    ) -> Object:
        """Apply a merge patch (RFC 7386) or a JSON patch (RFC 6902)."""
        headers = {"content-type": _PATCH_TYPES[type]}
        return await self._call("PATCH", kind.path(namespace, name, subresource), patch, headers=headers)

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_s: int | None = None,
    ) -> Object:
        """Delete an object, only if it still is the one of the given uid or resource version."""
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options: Object = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": grace_period_s,
            "preconditions": {k: v for k, v in preconditions.items() if v is not None} or None,
        }
        body = {k: v for k, v in options.items() if v is not None}
        return await self._call("DELETE", kind.path(namespace, name), body)

    async def delete_collection(
        self, kind: Kind, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> None:
        """Delete all objects of a collection that match."""
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        await self._call("DELETE", kind.path(namespace), query={k: v for k, v in query.items() if v})

    async def bind(self, pod_name: str, namespace: str, node: str, *, uid: str | None = None) -> None:
        """Assign a Pod to a node: possible once. A conflict means that it is bound already."""
        meta: Object = {"name": pod_name, "namespace": namespace}
        if uid is not None:
            meta["uid"] = uid
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": meta, "target": target}
        await self._call("POST", POD.path(namespace, pod_name, "binding"), binding)

    @asynccontextmanager
    async def watch(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_s: float,
    ) -> AsyncIterator[Watch]:
        """Changes after a resource version, for at most about `timeout_s` (rounded up to whole seconds)."""
        seconds = max(1, -int(-timeout_s // 1))
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
        }
        target = f"{kind.path(namespace)}?{urlencode({k: v for k, v in query.items() if v})}"
        with trio.move_on_after(seconds + self._timeout_s + _WATCH_SLACK_S) as scope:
            self._watches.add(scope)
            try:
                async with self._http.stream("GET", target, connect_timeout_s=self._timeout_s) as response:
                    if response.status != 200:
                        raise _error(response.status, await response.read())
                    async with aclosing(Watch(response)) as events:
                        yield events
            finally:
                self._watches.discard(scope)
        if scope.cancelled_caught:
            raise ConnectionLost(f"watch of {kind.plural} at {self.server}: silent beyond its timeout, or reset")

    async def _call(
        self,
        method: str,
        path: str,
        body: Object | Objects | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] = _JSON,
    ) -> Object:
        if method != "GET" and not self._may_write():
            raise FencedError(f"{method} {path}: the lease that permits it was not renewed in time")
        answer: Response = await self._http.request(
            method,
            f"{path}?{urlencode(query)}" if query else path,
            body=b"" if body is None else orjson.dumps(body),
            headers=headers if body is not None else {},
            timeout_s=self._timeout_s,
        )
        if answer.status >= 400:
            raise _error(answer.status, answer.body)
        decoded: Object = orjson.loads(answer.body)
        return decoded


def _typed(kind: Kind, obj: Object) -> Object:
    """The object with its type: items of lists come without, and subresources have one of their own."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}


def _error(status: int, body: bytes) -> ApiError:
    try:
        decoded: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        decoded = body.decode(errors="replace")
    return ApiError.from_status(status, decoded)
