"""A load balancer before some API servers that say whatever the test wants, all in the fake world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import trio

from ha import balancer, http
from ha.balancer import Config, Statistics
from ha.world import Address, Stream
from tests.fakes.world import FakeHost, FakeWorld

PORT = 6443


class ApiServer:
    """Answers with its name; `ready` and `live` are what its health endpoints say."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = self.live = True

    async def serve(self, host: FakeHost, *, task_status: trio.TaskStatus[None]) -> None:
        await http.serve(await host.net.listen(PORT), self.handle, log=host.log, task_status=task_status)

    async def handle(self, request: http.Request) -> http.Response | http.StreamingResponse:
        if request.path == "/readyz":
            return http.Response(200 if self.ready else 500)
        if request.path == "/livez":
            return http.Response(200 if self.live else 500)
        if request.path == "/watch":
            return http.StreamingResponse(200, self.watch)
        return http.Response(200, self.name.encode())

    async def watch(self, send: http.Send) -> None:
        await send(self.name.encode())
        await trio.sleep_forever()


class Cluster:
    """What a test holds."""

    def __init__(self, world: FakeWorld, servers: dict[str, ApiServer]) -> None:
        self.world, self.servers = world, servers
        self.client_host = world.host("client")
        self.address = Address(world.address("lb"), PORT)

    async def get(self, path: str = "/", *, timeout_s: float = 5.0) -> str:
        """The name of the server that answers one request on a fresh connection."""
        client = http.Client(self.client_host.net, self.address, max_idle=0)
        response = await client.request("GET", path, timeout_s=timeout_s)
        assert response.status == 200
        return response.body.decode()

    async def dial(self) -> Stream:
        return await self.client_host.net.dial(self.address)

    async def statistics_text(self, path: str) -> bytes:
        client = http.Client(self.client_host.net, Address(self.address.ip, 8404), max_idle=0)
        response = await client.request("GET", path, timeout_s=5)
        assert response.status == 200
        return response.body

    async def statistics(self) -> Statistics:
        return msgspec.json.decode(await self.statistics_text("/stats"), type=Statistics)

    async def states(self) -> dict[str, str]:
        return {name: b.state for name, b in (await self.statistics()).backends.items()}

    async def start(self, name: str) -> None:
        await self.world.start(name, self.servers[name].serve)


@asynccontextmanager
async def cluster(
    *names: str,
    serve_backend: Callable[..., Awaitable[None]] | None = None,
    check_interval_s: float = 0.4,
    check_timeout_s: float = 0.2,
    fall: int = 2,
    rise: int = 1,
    connect_timeout_s: float = 0.5,
) -> AsyncIterator[Cluster]:
    """Start servers of these names (or `serve_backend` in their place), then a balancer before them."""
    async with FakeWorld() as world:
        servers = {name: ApiServer(name) for name in names}
        for server in servers.values():
            await world.start(server.name, serve_backend or server.serve)
        config = Config(
            backends={name: f"{world.address(name)}:{PORT}" for name in names},
            check_interval_s=check_interval_s,
            check_timeout_s=check_timeout_s,
            fall=fall,
            rise=rise,
            connect_timeout_s=connect_timeout_s,
        )

        async def serve_balancer(host: FakeHost, *, task_status: trio.TaskStatus[None]) -> None:
            await balancer.serve(host, config, task_status=task_status)

        await world.start("lb", serve_balancer)
        await trio.sleep(0.05)
        yield Cluster(world, servers)
