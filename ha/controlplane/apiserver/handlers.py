"""Requests for objects, verb by verb: decode, do, encode. The work is done by reader, watches, registry, deletion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec
import orjson

from ha.controlplane.apiserver.deletion import DeleteOptions, Deletion
from ha.controlplane.apiserver.reading import Reader
from ha.controlplane.apiserver.registry import Outcome, Part, Registry, Transform
from ha.controlplane.apiserver.representation import (
    HEADERS,
    PATCHES,
    body_of,
    check_kind,
    json_response,
    object_of,
)
from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.routing import Route
from ha.controlplane.apiserver.selection import list_options, selection
from ha.controlplane.apiserver.subresources import SCALE, bind, finalize, scale_of, scaling
from ha.controlplane.apiserver.watching import Watches
from ha.http import Request, Response, StreamingResponse
from ha.kube import errors
from ha.kube.errors import ApiError
from ha.kube.kinds import BINDING, Kind, Object
from ha.kube.patch import PatchError, PatchSyntaxError, json_patch, merge_patch

__all__ = ["Handlers"]


_Handler: TypeAlias = Callable[[Request, Resource, Route], Awaitable[Response | StreamingResponse]]


class Handlers:
    """One method per verb. `resource` is the kind's declaration, `route` says which object."""

    def __init__(self, registry: Registry, reader: Reader, watches: Watches) -> None:
        self._registry = registry
        self._reader = reader
        self._watches = watches
        self._deletion = Deletion(registry)
        self._verbs: Mapping[str, _Handler] = {
            "GET": self._get,
            "LIST": self._list,
            "WATCH": self._watch,
            "POST": self._post,
            "PUT": self._put,
            "PATCH": self._patch,
            "DELETE": self._delete,
            "DELETECOLLECTION": self._delete_collection,
        }

    async def handle(self, request: Request, route: Route, verb: str) -> Response | StreamingResponse:
        """Answer one request. Raises ApiError."""
        if not route.kind.storable:
            return await self._post_binding(request, route)
        return await self._verbs[verb](request, self._registry.resources[route.kind], route)

    async def _post(self, request: Request, resource: Resource, route: Route) -> Response:
        if route.subresource == "binding":
            return await self._post_binding(request, route)
        return await self._create(request, resource, route)

    async def _get(self, request: Request, resource: Resource, route: Route) -> Response:
        assert route.name is not None, "a get has a name"
        version = request.query.get("resourceVersion", "") if "?" in request.target else ""
        entry = await self._reader.get(resource, route.namespace, route.name, version)
        if route.subresource == "scale":
            scale = scale_of(resource.codec.decode(entry.raw, entry.revision))
            return json_response(request, orjson.dumps(scale))
        return json_response(request, resource.codec.answer(entry.raw, entry.revision))

    async def _list(self, request: Request, resource: Resource, route: Route) -> Response:
        listed = await self._reader.list(resource, route.namespace, list_options(request.query))
        codec = resource.codec
        items = [codec.item(e.raw, e.revision) for e in listed.entries]
        token = listed.next.token() if listed.next else ""
        return json_response(request, codec.list_of(items, listed.revision, token, listed.remaining))

    async def _watch(self, request: Request, resource: Resource, route: Route) -> StreamingResponse:
        watcher = await self._watches.start(resource, route.namespace, list_options(request.query))
        return StreamingResponse(200, watcher.run, headers=HEADERS)

    async def _create(self, request: Request, resource: Resource, route: Route) -> Response:
        body = object_of(request, route.kind)
        outcome = await self._registry.create(resource, route.namespace, body, dry_run=_dry_run(request))
        return self._answer(request, resource, outcome)

    async def _put(self, request: Request, resource: Resource, route: Route) -> Response:
        assert route.name is not None, "a put has a name"
        if route.subresource == "scale":
            scale = object_of(request, route.kind, expected=SCALE)
            return await self._scale(request, resource, route, lambda _old: scale)
        body = self._registry.receive(resource, route.namespace, object_of(request, route.kind))
        if route.name != body["metadata"].setdefault("name", route.name):
            raise _renamed(body, route.name)
        if route.subresource == "finalize":
            outcome = await self._registry.update(resource, None, route.name, finalize(body), part="all")
            return self._answer(request, resource, outcome)
        try:
            return await self._update(request, resource, route, lambda _old: _copy(body))
        except ApiError as error:
            creates = resource.create_on_update and not route.subresource
            if error.status != 404 or not creates or body["metadata"].get("resourceVersion"):
                raise
        outcome = await self._registry.create(resource, route.namespace, body, dry_run=_dry_run(request))
        return self._answer(request, resource, outcome)

    async def _patch(self, request: Request, resource: Resource, route: Route) -> Response:
        name = route.name
        assert name is not None, "a patch has a name"
        apply = _patcher(request)

        def scale(old: Object) -> Object:
            patched = apply(old)
            check_kind(patched, SCALE)
            return patched

        def whole(old: Object) -> Object:
            patched = apply(old)
            check_kind(patched, route.kind)
            new = self._registry.receive(resource, route.namespace, patched)
            if new["metadata"].get("name") != name:
                raise _renamed(new, name)
            return new

        if route.subresource == "scale":
            return await self._scale(request, resource, route, scale)
        return await self._update(request, resource, route, whole)

    async def _update(self, request: Request, resource: Resource, route: Route, transform: Transform) -> Response:
        assert route.name is not None, "an update has a name"
        part: Part = "status" if route.subresource == "status" else "main"
        outcome = await self._registry.update(
            resource, route.namespace, route.name, transform, part=part, dry_run=_dry_run(request)
        )
        return self._answer(request, resource, outcome)

    async def _scale(self, request: Request, resource: Resource, route: Route, wanted: Transform) -> Response:
        assert route.name is not None, "a scale has a name"
        transform = scaling(resource, route.name, wanted)
        outcome = await self._registry.update(
            resource, route.namespace, route.name, transform, dry_run=_dry_run(request)
        )
        scale = scale_of(resource.codec.decode(outcome.raw, outcome.revision))
        return json_response(request, orjson.dumps(scale))

    async def _post_binding(self, request: Request, route: Route) -> Response:
        binding = object_of(request, route.kind, expected=BINDING)
        name = route.name or (binding.get("metadata") or {}).get("name", "")
        assert route.namespace is not None, "bindings are namespaced"
        await bind(self._registry, route.namespace, name, binding, dry_run=_dry_run(request))
        return json_response(request, orjson.dumps({**_SUCCESS, "code": 201}), 201)

    async def _delete(self, request: Request, resource: Resource, route: Route) -> Response:
        assert route.name is not None, "a delete has a name"
        outcome = await self._deletion.delete(resource, route.namespace, route.name, _delete_options(request))
        if outcome.deleted and not resource.returns_deleted:
            return json_response(request, orjson.dumps(_deleted(route.kind, route.name, outcome.uid)))
        return self._answer(request, resource, outcome)

    async def _delete_collection(self, request: Request, resource: Resource, route: Route) -> Response:
        """Delete what a list finds, one by one; what vanishes meanwhile is no error."""
        options = list_options(request.query)
        selection(resource, route.namespace, options)
        delete = _delete_options(request)
        listed = await self._reader.list(resource, route.namespace, options)
        for entry in listed.entries:
            namespace, _, name = entry.path.rpartition("/")
            try:
                await self._deletion.delete(resource, namespace or None, name, delete)
            except ApiError as error:
                if error.status != 404:
                    raise
        items = [resource.codec.item(e.raw, e.revision) for e in listed.entries]
        return json_response(request, resource.codec.list_of(items, listed.revision))

    def _answer(self, request: Request, resource: Resource, outcome: Outcome) -> Response:
        codec = resource.codec
        body = codec.answer(outcome.raw, outcome.revision) if outcome.revision else outcome.raw
        return json_response(request, body, 201 if outcome.created else 200)


_SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def _deleted(kind: Kind, name: str, uid: str) -> Object:
    details = {"name": name, "group": kind.group, "kind": kind.plural, "uid": uid}
    return {**_SUCCESS, "details": {k: v for k, v in details.items() if v}}


def _copy(obj: Object) -> Object:
    copied: Object = orjson.loads(orjson.dumps(obj))
    return copied


def _renamed(body: Object, name: str) -> ApiError:
    given = body["metadata"].get("name", "")
    return errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")


def _dry_run(request: Request) -> bool:
    wanted = request.query.get("dryRun", "") if "dryRun" in request.target else ""
    if wanted not in {"", "All"}:
        raise errors.bad_request(f'dryRun: Unsupported value: "{wanted}": supported values: "All"')
    return wanted == "All"


def _patcher(request: Request) -> Callable[[Object], Object]:
    """The function that a patch request applies. Raises the 415 of a patch type that is not understood here."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in PATCHES:
        if media_type.startswith("application/") and "patch" in media_type:
            accepted = ", ".join(PATCHES)
            raise errors.unsupported_media_type(
                f"the body of the request was in an unknown format - accepted media types include: {accepted}",
            )
        raise errors.unsupported_media_type()
    try:
        patch = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"error decoding patch: {error}") from error
    if media_type == "application/merge-patch+json":
        if not isinstance(patch, dict):
            raise errors.bad_request("error decoding patch: json: cannot unmarshal array into Go value of type map")
        return lambda old: merge_patch(old, patch)
    return lambda old: _json_patched(old, patch)


def _json_patched(old: Object, patch: object) -> Object:
    try:
        patched = json_patch(old, patch)
    except PatchSyntaxError as error:
        raise errors.bad_request(str(error)) from error
    except PatchError as error:
        raise errors.unprocessable() from error
    if not isinstance(patched, dict):
        raise errors.unprocessable()
    return patched


def _delete_options(request: Request) -> DeleteOptions:
    """From the body, or from the query where the body says nothing."""
    body = body_of(request, "DeleteOptions") if request.body else {}
    query = request.query
    merged = dict(body) if isinstance(body, dict) else {}
    if "gracePeriodSeconds" in query:
        merged.setdefault("gracePeriodSeconds", query["gracePeriodSeconds"])
    if "propagationPolicy" in query:
        merged.setdefault("propagationPolicy", query["propagationPolicy"])
    if _dry_run(request):
        merged.setdefault("dryRun", ["All"])
    if merged.get("preconditions") is None:
        merged.pop("preconditions", None)
    try:
        return msgspec.convert(merged, DeleteOptions, strict=False)
    except msgspec.ValidationError as error:
        raise errors.bad_request(f"DeleteOptions cannot be handled: {error}") from error
