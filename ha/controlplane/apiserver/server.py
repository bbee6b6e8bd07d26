"""The front: from an HTTP request to its answer, whatever happens in between.

It routes, measures, and turns every failure into a Status. A request other than a watch is bounded by
`REQUEST_TIMEOUT_S`, as upstream's; the store's own deadline strikes much earlier.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable

import trio

from ha.controlplane.apiserver.cache import Feed
from ha.controlplane.apiserver.discovery import discovery_documents
from ha.controlplane.apiserver.handlers import Handlers
from ha.controlplane.apiserver.health import Health
from ha.controlplane.apiserver.metrics import Metrics, render
from ha.controlplane.apiserver.representation import HEADERS, json_response, require_acceptable, status_response
from ha.controlplane.apiserver.routing import Route, Router
from ha.controlplane.apiserver.selection import flag
from ha.controlplane.apiserver.store import Store
from ha.controlplane.apiserver.watching import Watches
from ha.http import Request, Response, StreamingResponse
from ha.kube import errors
from ha.kube.errors import ApiError
from ha.kube.kinds import KINDS

__all__ = ["REQUEST_TIMEOUT_S", "Front"]

REQUEST_TIMEOUT_S = 60
_OTHER_PATHS = ("/healthz", "/livez", "/metrics", "/readyz")
_OPENAPI_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_OPENAPI_PROTOBUF_OLD = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""What old clients ask for; they cannot parse it as a media type themselves, so it is answered by the new name."""
_EMPTY_OPENAPI = b"\n\x032.0\x12\x15\n\nKubernetes\x12\x07v1.32.0"
"""An OpenAPI v2 document without definitions, in protobuf: what kubectl 1.20 reads before it creates anything.
Without schemas it skips client-side validation; the server validates."""
_OF_COLLECTIONS = {"GET": "LIST", "DELETE": "DELETECOLLECTION"}


class Front:
    """The HTTP handler of the server."""

    def __init__(
        self,
        handlers: Handlers,
        health: Health,
        *,
        store: Store,
        feed: Feed,
        watches: Watches,
        address: str,
        log: Callable[..., None],
    ) -> None:
        self._handlers = handlers
        self._health = health
        self._store = store
        self._feed = feed
        self._watches = watches
        self._log = log
        self._metrics = Metrics()
        self._router = Router(list(KINDS))
        self._documents = discovery_documents(KINDS, address, _OTHER_PATHS)

    async def handle(self, request: Request) -> Response | StreamingResponse:
        """Answer a request. Never raises an Exception."""
        started_s = trio.current_time()
        verb, resource = request.method, ""
        try:
            route = self._router.resolve(request.path)
            if route is None:
                return self._answer_other(request)
            verb, resource = _verb(request, route), route.kind.plural
            route.require(request.method)
            require_acceptable(request)
            response = await self._bounded(request, route, verb)
        except ApiError as error:
            response = status_response(request, error)
        except Exception as error:  # noqa: BLE001  (the boundary: one broken request must not end the server)
            self._log("a handler failed", target=request.target, error=traceback.format_exc())
            response = status_response(request, errors.internal_error(repr(error)))
        self._metrics.observe(verb, resource, response.status, trio.current_time() - started_s)
        return response

    async def _bounded(self, request: Request, route: Route, verb: str) -> Response | StreamingResponse:
        with trio.move_on_after(REQUEST_TIMEOUT_S):
            return await self._handlers.handle(request, route, verb)
        raise errors.store_timeout(f"request did not complete within the allotted {REQUEST_TIMEOUT_S}s")

    def _answer_other(self, request: Request) -> Response:
        """Whatever is no object: health, metrics, discovery."""
        path = request.path
        if path.startswith(("/readyz", "/livez", "/healthz")):
            return self._health.answer(path, request.query)
        if path == "/metrics":
            return Response(200, render(self._samples()), "text/plain; version=0.0.4; charset=utf-8")
        accept = request.headers.get("accept", "")
        if path == "/openapi/v2" and (_OPENAPI_PROTOBUF in accept or _OPENAPI_PROTOBUF_OLD in accept):
            return Response(200, _EMPTY_OPENAPI, _OPENAPI_PROTOBUF)
        document = self._documents.get(path) or self._documents.get(path.rstrip("/"))
        if document is None:
            return Response(404, b"404 page not found\n", "text/plain; charset=utf-8", HEADERS)
        if request.method != "GET":
            return status_response(request, errors.method_not_allowed())
        return json_response(request, document)

    def _samples(self) -> Iterable[str]:
        yield from self._metrics.lines()
        yield f'apiserver_longrunning_requests{{verb="WATCH"}} {self._watches.open}'
        yield f"apiserver_watch_cache_resource_version {self._feed.revision}"
        yield f"apiserver_watch_cache_following {int(self._feed.following)}"
        yield f"apiserver_watch_cache_restarts_total {self._feed.restarts}"
        for kind, cache in self._feed.caches.items():
            yield f'apiserver_storage_objects{{resource="{kind.qualified_plural}"}} {cache.size}'
        for error, count in sorted(self._store.failures.items()):
            yield f'etcd_request_errors_total{{type="{error}"}} {count}'
        yield f"apiserver_store_serves {int(self._health.store_serves)}"


def _verb(request: Request, route: Route) -> str:
    """The verb as upstream counts it: reads of a collection are LIST or WATCH."""
    if route.name is not None:
        return request.method
    if request.method == "GET" and "watch" in request.target and flag(request.query, "watch"):
        return "WATCH"
    return _OF_COLLECTIONS.get(request.method, request.method)
