"""A client for tests: requests to an API server's handler, in process or over a world's network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import orjson
import trio

from ha.controlplane import apiserver
from ha.etcd.machine import EtcdMachine
from ha.http import Client, Response
from ha.world import Address
from tests.fakes.world import FakeWorld
from tests.unit.apiserver.fake_etcd import FakeEtcd

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


class Api:
    """One API server as its clients see it."""

    def __init__(self, client: Client, etcd: FakeEtcd) -> None:
        self.client = client
        self.etcd = etcd

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Response:
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        headers = {"accept": accept} | ({"content-type": content_type} if data else {})
        return await self.client.request(method, path, body=data, headers=headers, timeout_s=60)

    async def ask(self, method: str, path: str, body: object = None, *, expect: int = 200, **options: str) -> Any:
        response = await self.request(method, path, body, **options)
        assert response.status == expect, response
        return orjson.loads(response.body)

    async def get(self, path: str, *, expect: int = 200) -> Any:
        return await self.ask("GET", path, expect=expect)

    async def post(self, path: str, body: object, *, expect: int = 201) -> Any:
        return await self.ask("POST", path, body, expect=expect)

    async def put(self, path: str, body: object, *, expect: int = 200) -> Any:
        return await self.ask("PUT", path, body, expect=expect)

    async def patch(self, path: str, body: object, *, content_type: str = MERGE, expect: int = 200) -> Any:
        return await self.ask("PATCH", path, body, content_type=content_type, expect=expect)

    async def delete(self, path: str, body: object = None, *, expect: int = 200) -> Any:
        return await self.ask("DELETE", path, body, expect=expect)

    async def ready(self) -> None:
        """Wait until ``/readyz`` says so."""
        while (await self.request("GET", "/readyz")).status != 200:
            await trio.sleep(0.05)

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[AsyncIterator[Any]]:
        """The decoded events of a watch."""
        async with self.client.stream("GET", path, connect_timeout_s=30) as response:
            assert response.status == 200, await response.read()
            async with aclosing(_lines(response)) as events:
                yield events


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Any, None]:
    buffer = b""
    async for chunk in chunks:
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            yield orjson.loads(line)
    assert not buffer, "a torn frame"


@asynccontextmanager
async def api_server(
    world: FakeWorld,
    *,
    machine: EtcdMachine | None = None,
    node: str = "cp-1",
    unavailable: bool = False,
    **config: Any,
) -> AsyncIterator[Api]:
    """A running API server on a fake store; several may share one `machine`. Ready, unless the store is not."""
    etcd = FakeEtcd(machine, timeout_s=config.get("store_request_timeout_s", 5.0))
    etcd.unavailable = unavailable
    settings = apiserver.Config(name="kube-apiserver", etcd=["10.0.0.9:2379"], **config)
    host = world.host(node, "kube-apiserver")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(apiserver.run, host, settings, etcd))
        client = Client(world.host("client").net, Address(host.address, settings.port))
        api = Api(client, etcd)
        if not unavailable:
            await api.ready()
        yield api
        await client.aclose()
        nursery.cancel_scope.cancel()


def configmap(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "registry.example/web:1"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": containers, **spec},
    }


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


@asynccontextmanager
async def serving(**config: Any) -> AsyncIterator[Api]:
    """One API server in a world of its own. Use with ``autojump_clock``."""
    async with FakeWorld(seed=1) as world, api_server(world, **config) as api:
        yield api
