"""An API server in memory, proxies on nodes, and pods that answer with their names, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
import pytest
import trio

from ha import http
from ha.http import HttpError
from ha.kube.kinds import ENDPOINT_SLICE, NODE, SERVICE, Object
from ha.node import proxy
from ha.world import Address
from tests.fakes.world import FakeWorld
from tests.unit.kube.fake_api import PORT, FakeApi
from tests.unit.node.proxy.objects import endpoint, service, slice_

NODE_PORT = 30080


class Cluster:
    """Nodes n1 and n2 run a kube-proxy each."""

    def __init__(self, world: FakeWorld, api: FakeApi) -> None:
        self.world = world
        self.api = api
        self._pods: dict[str, tuple[str, str]] = {}  # node and address by name

    async def start_proxy(self, node: str, **settings: Any) -> None:
        server = f"{self.world.address('api')}:{PORT}"
        config = proxy.Config(node_name=node, api_server=server, **settings)
        self.api.put(NODE, {"metadata": {"name": node}, "spec": {}})
        await self.world.start(node, partial(proxy.serve, config=config), process="kube-proxy")

    def start_pod(self, name: str, node: str) -> None:
        """A pod that listens. It takes connections once `publish` shows it."""
        address = self.world.subnet(node).replace(".0/24", f".{len(self._pods) + 1}")
        self._pods[name] = node, address
        program = "ha.node.serve_hostname:serve"
        self.world.start_process(node, f"default_{name}_c", program, b'{"port": 8080}', {}, address=address)

    def publish(self, *ready: str, **others: str) -> None:
        """Show these pods as the Service's endpoints; `others` in another state."""
        states = {**dict.fromkeys(ready, "ready"), **others}
        endpoints = [endpoint(self._pods[name][1], self._pods[name][0], state) for name, state in states.items()]
        self.api.put(ENDPOINT_SLICE, slice_(*endpoints))

    def expose(self, **spec: Any) -> Object:
        return self.api.put(SERVICE, service(**{"node_port": NODE_PORT, **spec}))

    def client(self, node: str, port: int = NODE_PORT, *, by: str = "tester") -> http.Client:
        return http.Client(self.world.host(by).net, Address(self.world.address(node), port))

    async def ask(self, node: str, port: int = NODE_PORT, *, by: str = "tester", timeout_s: float = 5.0) -> str:
        """Who answers a new connection; empty: it was refused or broken."""
        client = self.client(node, port, by=by)
        try:
            return (await client.request("GET", "/", timeout_s=timeout_s)).body.decode()
        except HttpError:
            return ""
        finally:
            await client.aclose()

    async def answers(self, node: str, count: int = 40) -> set[str]:
        return {await self.ask(node) for _ in range(count)}

    async def health(self, node: str, path: str = "/healthz") -> tuple[int, Any]:
        answer = await self.client(node, 10256).request("GET", path, timeout_s=1.0)
        return answer.status, orjson.loads(answer.body)

    async def table(self, node: str) -> Any:
        return orjson.loads((await self.client(node, 10249).request("GET", "/table", timeout_s=1.0)).body)

    async def metric(self, node: str, name: str) -> float:
        text = (await self.client(node, 10249).request("GET", "/metrics", timeout_s=1.0)).body.decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with FakeWorld(seed=1) as world:
        api = FakeApi()
        await world.start("api", api.serve)
        cluster = Cluster(world, api)
        for node in ("n1", "n2"):
            await cluster.start_proxy(node)
        for name, node in (("a", "n1"), ("b", "n1"), ("c", "n2")):
            cluster.start_pod(name, node)
        await trio.sleep(2)
        yield cluster
