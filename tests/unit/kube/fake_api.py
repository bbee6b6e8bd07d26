"""A small API server in memory, with faults: what clients of the API are tested against.

It keeps the promises that clients build on (resource versions, 404/409/410, watches that resume, bookmarks, graceful
deletion of bound pods, bindings that happen once) and nothing else. `fault` is asked before each request is served:
it may raise an ApiError, or block.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import trio

from ha import http
from ha.kube import errors
from ha.kube.errors import ApiError
from ha.kube.kinds import KINDS, POD, Kind, Object
from ha.kube.patch import json_patch, merge_patch
from ha.kube.selectors import parse_fields, parse_labels
from ha.world import Host

PORT = 6443
_BY_PLURAL = {(k.api_version, k.plural): k for k in KINDS}
Key = tuple[str, str, str]


class FakeApi:
    """The server. Objects can be put and read directly, without a request."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.fault: Callable[[http.Request], Awaitable[None]] | None = None
        self.revision = 100
        self._log: list[tuple[int, str, str, Object]] = []
        self._compacted = 0
        self._changed = trio.Event()
        self._uids = 0

    async def serve(self, host: Host, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listener = await host.net.listen(PORT)
        await http.serve(listener, self.handle, task_status=task_status)

    # -- direct access -----------------------------------------------------------------------------------

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        return self.objects[kind.plural, namespace, name]

    def find(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        return self.objects.get((kind.plural, namespace, name))

    def list(self, kind: Kind) -> list[Object]:
        return [self.objects[key] for key in sorted(self.objects) if key[0] == kind.plural]

    def put(self, kind: Kind, obj: Object) -> Object:
        """Create or replace, as somebody else would."""
        meta = obj["metadata"]
        key = (kind.plural, meta.get("namespace") or "", meta["name"])
        old = self.objects.get(key)
        if "uid" not in meta:
            self._uids += 1
            meta = {**meta, "uid": old["metadata"]["uid"] if old else f"uid-{self._uids}"}
        self.revision += 1
        new = {**obj, "metadata": {**meta, "resourceVersion": str(self.revision)}}
        self.objects[key] = new
        self._record("MODIFIED" if old else "ADDED", key, new)
        return new

    def remove(self, kind: Kind, name: str, namespace: str = "") -> None:
        key = (kind.plural, namespace, name)
        old = self.objects.pop(key)
        self.revision += 1
        gone = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.revision)}}
        self._record("DELETED", key, gone)

    def compact(self) -> None:
        """Forget the history: watches from before get 410."""
        self._compacted = self.revision
        self._log.clear()

    def _record(self, type_: str, key: Key, obj: Object) -> None:
        self._log.append((self.revision, type_, key[0], obj))
        self._changed.set()
        self._changed = trio.Event()

    # -- requests ----------------------------------------------------------------------------------------

    async def handle(self, request: http.Request) -> http.Response | http.StreamingResponse:
        self.requests.append((request.method, request.path))
        try:
            if self.fault is not None:
                await self.fault(request)
            return self._serve(request)
        except ApiError as error:
            return http.Response(error.status, orjson.dumps(error.to_status()))

    def _serve(  # noqa: C901, PLR0911  (one line per verb reads best)
        self, request: http.Request
    ) -> http.Response | http.StreamingResponse:
        parts = request.path.strip("/").split("/")
        version = "/".join(parts[1:2] if parts[0] == "api" else parts[1:3])
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and (version, rest[2]) in _BY_PLURAL:
            namespace, rest = rest[1], rest[2:]
        kind = _BY_PLURAL[version, rest[0]]
        name, sub = [*rest[1:], "", ""][:2]
        body: Any = orjson.loads(request.body) if request.body else None
        if request.method == "GET" and request.query.get("watch"):
            return self._watch(kind, namespace, request.query)
        if request.method == "GET" and not name:
            return self._list(kind, namespace, request.query)
        if request.method == "POST" and sub == "binding":
            return self._bind(namespace, name, body)
        if request.method == "POST":
            return self._create(kind, namespace, body)
        if request.method == "DELETE" and not name:
            for item in self._matching(kind, namespace, request.query):
                self._delete(kind, namespace, item["metadata"]["name"], {})
            return _ok({"kind": "Status", "status": "Success"})
        if request.method == "DELETE":
            return self._delete(kind, namespace, name, body or {})
        old = self._existing(kind, namespace, name)
        if request.method == "GET":
            return _ok(old)
        if request.method == "PATCH":
            patch = json_patch if "json-patch" in request.headers["content-type"] else merge_patch
            body = patch(orjson.loads(orjson.dumps(old)), body)
        return self._update(kind, old, body, sub)

    def _existing(self, kind: Kind, namespace: str, name: str) -> Object:
        found = self.objects.get((kind.plural, namespace, name))
        if found is None:
            raise errors.not_found(kind, name)
        return found

    def _create(self, kind: Kind, namespace: str, body: Object) -> http.Response:
        meta = dict(body["metadata"])
        if kind.namespaced:
            meta["namespace"] = namespace
        name = meta.get("name") or f"{meta['generateName']}{self.revision}"
        if (kind.plural, namespace, name) in self.objects:
            raise errors.already_exists(kind, name)
        meta |= {"name": name, "generation": 1}
        meta.pop("uid", None)
        return _ok(self.put(kind, {**body, "metadata": meta}), 201)

    def _update(self, kind: Kind, old: Object, body: Object, sub: str) -> http.Response:
        meta, before = body["metadata"], old["metadata"]
        for field in ("resourceVersion", "uid"):
            if meta.get(field) not in (None, before[field]):
                raise errors.conflict(kind, before["name"])
        if sub == "status":
            new = {**old, "status": body.get("status")}
        else:
            changed = body.get("spec") != old.get("spec")
            generation = before.get("generation", 1) + changed
            new = {
                **body,
                "status": old.get("status"),
                "metadata": {**meta, "uid": before["uid"], "generation": generation},
            }
            if kind.kind in ("Lease", "Event", "Endpoints", "EndpointSlice"):
                new.pop("status")
        if {**new, "metadata": None} == {**old, "metadata": None} and _same_meta(new, old):
            return _ok(old)
        new_key = before["name"], before.get("namespace") or ""
        new["metadata"] = {**new["metadata"], "name": new_key[0]}
        if kind.namespaced:
            new["metadata"]["namespace"] = new_key[1]
        return _ok(self.put(kind, new))

    def _bind(self, namespace: str, name: str, body: Object) -> http.Response:
        pod = self._existing(POD, namespace, name)
        uid = body["metadata"].get("uid")
        if pod["spec"].get("nodeName") or uid not in (None, pod["metadata"]["uid"]):
            raise errors.conflict(POD, name, f"pod {name} is already assigned to node")
        self.put(POD, {**pod, "spec": {**pod["spec"], "nodeName": body["target"]["name"]}})
        return _ok({"kind": "Status", "status": "Success"}, 201)

    def _delete(self, kind: Kind, namespace: str, name: str, options: Object) -> http.Response:
        old = self._existing(kind, namespace, name)
        wanted = options.get("preconditions") or {}
        if wanted.get("uid") not in (None, old["metadata"]["uid"]):
            raise errors.conflict(kind, name)
        grace = options.get("gracePeriodSeconds")
        if grace is None:
            grace = old.get("spec", {}).get("terminationGracePeriodSeconds", 30) if kind is POD else 0
        if kind is POD and old["spec"].get("nodeName") and grace > 0:
            if old["metadata"].get("deletionTimestamp"):
                return _ok(old)
            meta = {**old["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
            return _ok(self.put(kind, {**old, "metadata": meta}))
        self.remove(kind, name, namespace)
        return _ok(old)

    def _matching(self, kind: Kind, namespace: str, query: dict[str, str]) -> list[Object]:
        return [
            o
            for o in self.list(kind)
            if (not namespace or o["metadata"].get("namespace") == namespace) and _selected(o, query)
        ]

    def _list(self, kind: Kind, namespace: str, query: dict[str, str]) -> http.Response:
        meta = {"resourceVersion": str(self.revision)}
        return _ok({"kind": f"{kind.kind}List", "metadata": meta, "items": self._matching(kind, namespace, query)})

    def _watch(self, kind: Kind, namespace: str, query: dict[str, str]) -> http.StreamingResponse:
        since = int(query["resourceVersion"])
        until = trio.current_time() + int(query["timeoutSeconds"])
        too_old = since < self._compacted

        async def source(send: http.Send) -> None:
            seen, at = since, 0
            if too_old:
                await send(_event("ERROR", errors.expired("too old resource version").to_status()))
                return
            with trio.move_on_at(until):
                while True:
                    changed = self._changed
                    for revision, type_, plural, obj in self._log[at:]:
                        here = not namespace or obj["metadata"].get("namespace") == namespace
                        if revision > seen and plural == kind.plural and here and _selected(obj, query):
                            await send(_event(type_, obj))
                    at, seen = len(self._log), max(seen, self.revision)
                    await changed.wait()
            bookmark = {"kind": kind.kind, "metadata": {"resourceVersion": str(self.revision)}}
            await send(_event("BOOKMARK", bookmark))

        return http.StreamingResponse(200, source)


def _same_meta(new: Object, old: Object) -> bool:
    return all(new["metadata"].get(f) == old["metadata"].get(f) for f in ("labels", "annotations", "ownerReferences"))


def _selected(obj: Object, query: dict[str, str]) -> bool:
    fields = {
        "metadata.name": obj["metadata"]["name"],
        "spec.nodeName": (obj.get("spec") or {}).get("nodeName") or "",
    }
    return parse_labels(query.get("labelSelector", "")).matches(obj["metadata"].get("labels") or {}) and parse_fields(
        query.get("fieldSelector", "")
    ).matches(fields)


def _ok(obj: Object, status: int = 200) -> http.Response:
    return http.Response(status, orjson.dumps(obj))


def _event(type_: str, obj: Object) -> bytes:
    return orjson.dumps({"type": type_, "object": obj}) + b"\n"
