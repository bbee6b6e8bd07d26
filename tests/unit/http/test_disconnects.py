"""Streams, disconnects, stalled readers and cancellation, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from ha import http
from ha.world.sim.network import SimStream
from tests.unit.http.served import Served, answer, ask, echo, hear, is_closed, served

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


class Endless:
    """A handler that waits for ever, in itself or in a stream, and notes when it was cancelled."""

    def __init__(self) -> None:
        self.started = trio.Event()
        self.cancelled_at: float | None = None

    async def wait(self, send: http.Send | None = None) -> None:
        if send is not None:
            await send(b"first")
        self.started.set()
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            self.cancelled_at = trio.current_time()
            raise

    async def handle(self, request: http.Request) -> http.Response | http.StreamingResponse:
        if request.path == "/stream":
            return http.StreamingResponse(200, self.wait)
        if request.path == "/block":
            await self.wait()
        return await echo(request)


async def close(s: Served, stream: SimStream) -> None:
    await stream.aclose()


async def reset(s: Served, stream: SimStream) -> None:
    s.world.wire.reset(stream)


async def send_eof(s: Served, stream: SimStream) -> None:
    await stream.send_eof()


@pytest.mark.parametrize("leave", [close, reset, send_eof])
@pytest.mark.parametrize("path", ["/stream", "/block"])
@pytest.mark.parametrize("before", [b"", GET % 1, b"GET /block HTTP/1.1\r\n"])
async def test_what_runs_for_a_client_is_cancelled_as_soon_as_the_client_is_gone(
    path: str, leave: Callable[[Served, SimStream], Awaitable[None]], before: bytes, autojump_clock: MockClock
) -> None:
    endless = Endless()
    async with served(endless.handle) as s:
        stream = await s.dial()
        await stream.send_all(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode() + before)
        await endless.started.wait()
        await trio.sleep(100)
        assert endless.cancelled_at is None
        left_at = trio.current_time()
        await leave(s, stream)
        await trio.sleep(1)
        assert endless.cancelled_at is not None
        assert endless.cancelled_at - left_at < 0.01


async def test_the_chunks_of_a_stream_come_as_they_are_sent_and_the_connection_goes_on(
    autojump_clock: MockClock,
) -> None:
    async def source(send: http.Send) -> None:
        await send(b"abc")
        await send(b"")
        await trio.sleep(10)
        await send(b"x" * 20)

    async def handler(request: http.Request) -> http.Response | http.StreamingResponse:
        return (
            http.StreamingResponse(200, source, "text/plain", {"x": "y"})
            if request.path == "/"
            else await echo(request)
        )

    async with served(handler) as s, await s.dial() as stream:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n"
        assert await ask(stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + GET % 1) == head + b"3\r\nabc\r\n"
        await trio.sleep(9)
        assert await hear(stream) == b"14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n" + answer(b"GET /1 ")
        assert await ask(stream, GET % 2) == answer(b"GET /2 ")


async def test_a_stream_that_raises_is_logged_and_cut_without_a_proper_end(autojump_clock: MockClock) -> None:
    async def source(send: http.Send) -> None:
        await send(b"abc")
        raise RuntimeError("the fault of the source")

    async def handler(request: http.Request) -> http.StreamingResponse:
        return http.StreamingResponse(200, source)

    async with served(handler) as s, await s.dial() as stream:
        received = await ask(stream, GET % 1)
        assert received.endswith(b"\r\n\r\n3\r\nabc\r\n")
        assert await is_closed(stream)
        assert "the fault of the source" in s.logged[0]


async def test_a_stream_for_http_1_0_ends_with_the_connection(autojump_clock: MockClock) -> None:
    async def source(send: http.Send) -> None:
        await send(b"abc")
        await send(b"def")

    async def handler(request: http.Request) -> http.StreamingResponse:
        return http.StreamingResponse(200, source, "text/plain")

    async with served(handler) as s, await s.dial() as stream:
        received = await ask(stream, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert received == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nabcdef"
        assert await is_closed(stream)


async def test_head_of_a_stream_does_not_run_it(autojump_clock: MockClock) -> None:
    endless = Endless()
    async with served(endless.handle) as s, await s.dial() as stream:
        received = await ask(stream, b"HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        assert received.endswith(b"transfer-encoding: chunked\r\n\r\n")
        assert not endless.started.is_set()


async def flood(request: http.Request) -> http.Response | http.StreamingResponse:
    async def source(send: http.Send) -> None:
        while True:
            await send(bytes(10_000))

    return http.StreamingResponse(200, source) if request.path == "/1" else http.Response(200, bytes(10_000_000))


@pytest.mark.parametrize("path", [1, 2])
async def test_a_stalled_reader_is_dropped_after_the_send_timeout(path: int, autojump_clock: MockClock) -> None:
    async with served(flood, limits=http.Limits(send_timeout_s=5)) as s, await s.dial() as stream:
        await stream.send_all(GET % path)
        start = trio.current_time()
        await trio.sleep(0.1)
        while s.connections:
            await trio.sleep(0.1)
        assert 5 <= trio.current_time() - start < 5.3


@pytest.mark.parametrize("path", [1, 2])
async def test_a_slow_reader_is_not_dropped(path: int, autojump_clock: MockClock) -> None:
    async with served(flood, limits=http.Limits(send_timeout_s=5)) as s, await s.dial() as stream:
        await stream.send_all(GET % path)
        received = 0
        for _ in range(30):
            await trio.sleep(4)
            for _ in range(8):
                received += len(await stream.receive_some(10_000))
        assert received > 1_000_000, "dropped"


@pytest.mark.parametrize("path", [b"/1", b"/2"])
async def test_the_server_is_cancelled_at_once_under_a_stalled_reader(path: bytes, autojump_clock: MockClock) -> None:
    async with served(flood) as s, await s.dial() as stream:
        await stream.send_all(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        await trio.sleep(1)
        start = trio.current_time()
        await s.world.signal("server", "terminate", process="main")
        assert trio.current_time() == start


async def test_cancelling_the_server_ends_handlers_and_closes_every_connection(autojump_clock: MockClock) -> None:
    endless = Endless()
    async with served(endless.handle) as s, await s.dial() as busy, await s.dial() as idle:
        await busy.send_all(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        await endless.started.wait()
        await s.world.signal("server", "terminate", process="main")
        assert endless.cancelled_at is not None
        assert await is_closed(busy)
        assert await is_closed(idle)
        with pytest.raises(ConnectionRefusedError):
            await s.dial()


async def test_a_client_that_shuts_its_sending_side_while_the_answer_is_written_gets_all_of_it(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: http.Request) -> http.Response:
        await trio.sleep(0.1)
        return http.Response(200, bytes(1_000_000))

    async with served(handler) as s, await s.dial() as stream:
        await stream.send_all(GET % 1)
        await trio.sleep(1)
        await stream.send_eof()
        assert len(await hear(stream)) > 1_000_000
        assert s.connections == 0


async def test_a_client_that_pipelines_without_end_has_to_wait(autojump_clock: MockClock) -> None:
    """The queue of requests is bounded, so is the memory that a client can take."""
    release = trio.Event()
    answered = 0

    async def handler(request: http.Request) -> http.Response:
        nonlocal answered
        await release.wait()
        answered += 1
        return http.Response(204)

    body = bytes(100_000)
    data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with served(handler, limits=http.Limits(pipelined=4)) as s, await s.dial() as stream:
        all_sent = trio.Event()

        async def send() -> None:
            for _ in range(30):
                await stream.send_all(data)
            all_sent.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(10)
            assert not all_sent.is_set(), "everything was taken although nothing was answered"
            release.set()
            assert len(await hear(stream)) == 30 * len(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert answered == 30


async def test_a_broken_stream_of_the_source_itself_is_not_taken_for_the_clients(autojump_clock: MockClock) -> None:
    async def source(send: http.Send) -> None:
        raise trio.BrokenResourceError("an upstream of the source")

    async def handler(request: http.Request) -> http.StreamingResponse:
        return http.StreamingResponse(200, source)

    async with served(handler) as s, await s.dial() as stream:
        await ask(stream, GET % 1)
        assert "an upstream of the source" in s.logged[0]


async def test_connections_switch_between_blocking_and_quick_handlers(autojump_clock: MockClock) -> None:
    async def handler(request: http.Request) -> http.Response:
        if request.path.startswith("/b"):
            await trio.sleep(0.1)
        return await echo(request)

    async with served(handler) as s, await s.dial() as stream:
        for path in ("q", "b", "q", "q", "b", "b", "q", "b", "q", "q", "q"):
            assert await ask(stream, b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode()) == answer(
                b"GET /%b " % path.encode()
            )
