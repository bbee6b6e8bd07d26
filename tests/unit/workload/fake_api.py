"""An API server in a hundred lines: Namespaces, ConfigMaps and one Deployment, in memory, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import trio

from ha.http import Request, Response, StreamingResponse, serve

PORT = 6443


def status(code: int, reason: str) -> Response:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": "m", "details": {"name": "x"}}
    return Response(code, json.dumps({**body, "code": code}).encode())


class FakeApi:
    """``before`` and ``after`` may answer in place of the server: before or after the request took effect."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.revision = 10
        self.requests: list[Request] = []
        self.before: Callable[[Request], Response | None] = lambda _: None
        self.after: Callable[[Request], Response | None] = lambda _: None
        self.delay_s = 0.0
        self.cached: Callable[[], Sequence[dict[str, Any]]] = lambda: list(self.objects.values())
        """What lists are answered from."""
        self.changed = trio.Event()

    async def serve(self, host, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        await serve(await host.net.listen(PORT), self.handle, task_status=task_status)

    async def handle(self, request: Request) -> Response | StreamingResponse:
        self.requests.append(request)
        await trio.sleep(self.delay_s)
        if "watch" in request.query:
            return self.watch()
        return self.before(request) or self._answer(request, self._act(request))

    def _answer(self, request: Request, answer: Response) -> Response:
        return self.after(request) or answer

    def put(self, path: str, body: dict[str, Any]) -> Response:
        self.revision += 1
        body["metadata"]["resourceVersion"] = str(self.revision)
        self.objects[path] = body
        self.changed.set()
        self.changed = trio.Event()
        return Response(200, json.dumps(body).encode())

    def _act(self, request: Request) -> Response:
        body = json.loads(request.body) if request.body else {}
        if request.method == "POST":
            path = f"{request.path}/{body['metadata']['name']}"
            return status(409, "AlreadyExists") if path in self.objects else self.put(path, body)
        if request.method == "PUT":
            held = self.objects.get(request.path)
            if held is None:
                return status(404, "NotFound")
            demanded = body["metadata"].get("resourceVersion")
            if demanded not in (None, held["metadata"]["resourceVersion"]):
                return status(409, "Conflict")
            return self.put(request.path, body)
        if request.path.endswith("/configmaps"):
            return self._list(request)
        held = self.objects.get(request.path)
        return status(404, "NotFound") if held is None else Response(200, json.dumps(held).encode())

    def _list(self, request: Request) -> Response:
        label, _, value = request.query["labelSelector"].partition("=")
        found = [o for o in self.cached() if o["metadata"].get("labels", {}).get(label) == value]
        return Response(200, json.dumps({"kind": "ConfigMapList", "metadata": {}, "items": found}).encode())

    def watch(self) -> StreamingResponse:
        async def source(send) -> None:
            await self.changed.wait()
            deployment = next(o for o in self.objects.values() if o["kind"] == "Deployment")
            await send(json.dumps({"type": "MODIFIED", "object": deployment}).encode() + b"\n")

        return StreamingResponse(200, source)
