"""The balancer on real sockets: what in-memory streams cannot show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ha import balancer, http
from ha.balancer import Config
from ha.world import Address, Listener
from ha.world.real.net import LoopbackNetwork
from ha.world.real.sockets import SocketListener
from tests.fakes.world import FakeWorld


class Loopback(LoopbackNetwork):
    """That of the real world; `ports` maps the ports asked for to those taken."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1")
        self.ports: dict[int, int] = {}

    async def listen(self, port: int) -> Listener:
        listener = await super().listen(0)
        assert isinstance(listener, SocketListener)
        self.ports[port] = listener.socket.getsockname()[1]
        return listener


async def start_server(
    nursery: trio.Nursery, handle: Callable[[trio.SocketStream], Awaitable[None]]
) -> tuple[str, trio.CancelScope]:
    """A backend: its address, and what ends it with all its connections."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    scope = trio.CancelScope()

    async def serve() -> None:
        with scope:
            await trio.serve_listeners(handle, [listener])

    nursery.start_soon(serve)
    return f"127.0.0.1:{listener.socket.getsockname()[1]}", scope


async def echo(stream: trio.SocketStream) -> None:
    """Health checks go unanswered; other connections are echoed until their end, which is echoed as well."""
    async with stream:
        first = bytes(await stream.receive_some(4))
        if first == b"GET ":
            await trio.sleep_forever()
        await stream.send_all(first)
        async for piece in stream:
            await stream.send_all(piece)
        await stream.send_eof()


async def start_balancer(nursery: trio.Nursery, backends: dict[str, str]) -> tuple[Loopback, Address]:
    host = FakeWorld().host("lb")
    net = Loopback()
    host.net = net  # type: ignore[assignment]
    config = Config(backends=backends, check_interval_s=60, check_timeout_s=60, connect_timeout_s=5)
    await nursery.start(balancer.serve, host, config)
    return net, Address("127.0.0.1", net.ports[6443])


async def test_megabytes_pass_both_ways_with_their_ends() -> None:
    async with trio.open_nursery() as nursery:
        address, _ = await start_server(nursery, echo)
        net, front = await start_balancer(nursery, {"a": address})
        data = bytes(range(256)) * 40_000

        async with await net.dial(front) as stream, trio.open_nursery() as conversation:

            async def send() -> None:
                await stream.send_all(data)
                await stream.send_eof()

            conversation.start_soon(send)
            assert b"".join([piece async for piece in stream]) == data
        nursery.cancel_scope.cancel()


async def test_a_dead_backend_ends_its_tunnels_and_new_ones_go_to_the_other() -> None:
    async with trio.open_nursery() as nursery:
        first, end_first = await start_server(nursery, echo)
        second, _ = await start_server(nursery, echo)
        net, front = await start_balancer(nursery, {"a": first, "b": second})
        async with await net.dial(front) as stream:
            await stream.send_all(b"hello")
            received = b""
            while len(received) < 5:
                received += await stream.receive_some()
            end_first.cancel()
            with trio.fail_after(5):
                assert await stream.receive_some() == b""
        for _ in range(4):
            async with await net.dial(front) as stream:
                await stream.send_all(b"again")
                await stream.send_eof()
                with trio.fail_after(5):
                    assert b"".join([piece async for piece in stream]) == b"again"
        client = http.Client(net, Address("127.0.0.1", net.ports[8404]), max_idle=0)
        statistics = await client.request("GET", "/stats", timeout_s=5)
        assert statistics.status == 200
        nursery.cancel_scope.cancel()
