"""The same on the sockets of the real world: what in-memory streams cannot show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from ha import http
from ha.world import Address
from ha.world.real.net import LoopbackNetwork
from ha.world.real.sockets import SocketListener
from tests.unit.http.served import answer, echo

LOOPBACK = LoopbackNetwork("127.0.0.1")


@asynccontextmanager
async def served(handler: http.Handler, *, limits: http.Limits | None = None) -> AsyncIterator[Address]:
    listener = await LOOPBACK.listen(0)
    assert isinstance(listener, SocketListener)
    address = Address(*listener.socket.getsockname())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: http.serve(listener, handler, limits=limits))
        yield address
        nursery.cancel_scope.cancel()
        began = trio.current_time()
    assert trio.current_time() - began < 2, "not cancelled promptly"


async def test_requests_and_streams_work_on_sockets() -> None:
    async def source(send: http.Send) -> None:
        for _ in range(3):
            await send(b"x" * 100_000)

    async def handler(request: http.Request) -> http.Response | http.StreamingResponse:
        assert request.peer.startswith("127.0.0.1:")
        return http.StreamingResponse(200, source) if request.path == "/stream" else await echo(request)

    async with served(handler) as address:
        client = http.Client(LOOPBACK, address)
        body = bytes(range(256)) * 10_000
        assert (await client.request("POST", "/", body=body, timeout_s=5)).body == b"POST / " + body
        async with client.stream("GET", "/stream", connect_timeout_s=5) as response:
            assert await response.read() == b"x" * 300_000
        assert len(client._idle) == 1
        await client.aclose()


async def test_a_refused_body_is_answered_in_spite_of_what_is_still_being_sent() -> None:
    async with served(echo) as address:
        client = http.Client(LOOPBACK, address)
        response = await client.request("POST", "/", body=bytes(8_000_000), timeout_s=5)
        assert response.status == 413
        await client.aclose()


async def test_a_post_is_not_sent_on_a_connection_that_the_server_has_closed() -> None:
    async with served(echo, limits=http.Limits(idle_timeout_s=0.05)) as address:
        client = http.Client(LOOPBACK, address)
        await client.request("GET", "/", timeout_s=5)
        with trio.fail_after(5):
            while not client._idle[0].is_stale():
                await trio.sleep(0.01)
        assert (await client.request("POST", "/", timeout_s=5)).body == b"POST / "
        await client.aclose()


async def test_a_socket_that_is_closed_cancels_a_stream_at_once() -> None:
    cancelled = trio.Event()

    async def source(send: http.Send) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async def handler(request: http.Request) -> http.StreamingResponse:
        return http.StreamingResponse(200, source)

    async with served(handler) as address:
        async with http.Client(LOOPBACK, address).stream("GET", "/", connect_timeout_s=5):
            assert not cancelled.is_set()
        with trio.fail_after(2):
            await cancelled.wait()


async def test_a_server_is_cancelled_while_a_socket_is_stalled() -> None:
    sending = trio.Event()

    async def handler(request: http.Request) -> http.Response:
        sending.set()
        return http.Response(200, bytes(50_000_000))

    async with served(handler) as address, await LOOPBACK.dial(address) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await sending.wait()
        await trio.sleep(0.05)  # until the socket's buffers are full, or nearly so


async def test_pipelined_requests_are_answered_on_a_socket() -> None:
    async with served(echo) as address, await LOOPBACK.dial(address) as stream:
        data = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(100))
        await stream.send_all(data)
        await stream.send_eof()
        expected = b"".join(answer(b"GET /%d " % i) for i in range(100))
        assert b"".join([piece async for piece in stream]) == expected


async def test_an_answer_is_one_write() -> None:
    async with served(echo) as address, await LOOPBACK.dial(address) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await stream.receive_some() == answer(b"GET / ")
