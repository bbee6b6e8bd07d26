"""What the server answers, byte by byte, in virtual time."""

from __future__ import annotations

import errno

import pytest
import trio
from trio.testing import MockClock

from ha import http
from ha.world import Stream
from tests.unit.http.served import answer, ask, echo, hear, is_closed, served

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_request_is_answered_and_the_connection_kept(autojump_clock: MockClock) -> None:
    async with served(echo) as s, await s.dial() as stream:
        for i in range(3):
            assert await ask(stream, GET % i) == answer(b"GET /%d " % i)
        assert not await is_closed(stream)


async def test_a_handler_sees_the_whole_request(autojump_clock: MockClock) -> None:
    seen: list[http.Request] = []

    async def handler(request: http.Request) -> http.Response:
        seen.append(request)
        return http.Response(200)

    async with served(handler) as s, await s.dial() as stream:
        await ask(
            stream,
            b"PUT /a%20b/c?x=1&y=&x=%2F+2 HTTP/1.1\r\nHost: a\r\nX-One:  1 \r\nx-two: a\r\nX-Two: b\r\n"
            b"Content-Length: 4\r\n\r\nbody",
        )
    [request] = seen
    assert (request.method, request.target, request.body) == ("PUT", "/a%20b/c?x=1&y=&x=%2F+2", b"body")
    assert request.path == "/a b/c"
    assert request.query == {"x": "/ 2", "y": ""}
    assert request.headers == {"host": "a", "x-one": "1", "x-two": "a, b", "content-length": "4"}


def test_the_path_of_an_absolute_target_is_that_of_its_resource() -> None:
    assert http.Request("GET", "http://example.org:80/a/b?c").path == "/a/b"


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(autojump_clock: MockClock) -> None:
    running = 0

    async def handler(request: http.Request) -> http.Response:
        nonlocal running
        running += 1
        assert running == 1
        if request.path in {"/0", "/3"}:
            await trio.sleep(0.5)
        running -= 1
        return await echo(request)

    async with served(handler) as s, await s.dial() as stream:
        received = await ask(stream, b"".join(GET % i for i in range(6)))
        assert received == b"".join(answer(b"GET /%d " % i) for i in range(6))


async def test_a_chunked_body_is_put_together(autojump_clock: MockClock) -> None:
    async with served(echo) as s, await s.dial() as stream:
        data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        data += b"3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n"
        assert await ask(stream, data + GET % 1) == answer(b"POST / abcdefg") + answer(b"GET /1 ")


async def test_head_is_answered_with_the_length_but_no_body(autojump_clock: MockClock) -> None:
    async with served(echo) as s, await s.dial() as stream:
        received = await ask(stream, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET % 1)
        assert received == answer(b"HEAD / ").removesuffix(b"HEAD / ") + answer(b"GET /1 ")


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body_have_neither_length_nor_type(status: int, autojump_clock: MockClock) -> None:
    async def handler(request: http.Request) -> http.Response:
        return http.Response(status, b"must not be sent", headers={"etag": "x"})

    async with served(handler) as s, await s.dial() as stream:
        received = await ask(stream, GET % 1)
        assert received.startswith(b"HTTP/1.1 %d " % status)
        assert received.split(b"\r\n")[1:] == [b"etag: x", b"", b""]


@pytest.mark.parametrize(
    ("request_", "head", "closed"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"connection: close\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", b"connection: close\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"connection: keep-alive\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"connection: close\r\n", True),
    ],
)
async def test_the_connection_is_closed_when_asked_and_the_answer_says_so(
    request_: bytes, head: bytes, *, closed: bool, autojump_clock: MockClock
) -> None:
    async with served(echo) as s, await s.dial() as stream:
        assert await ask(stream, request_) == answer(b"GET / ", head=head)
        assert await is_closed(stream) == closed


async def test_what_follows_the_last_request_is_ignored(autojump_clock: MockClock) -> None:
    async with served(echo) as s, await s.dial() as stream:
        received = await ask(stream, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET % 1)
        assert received == answer(b"GET / ", head=b"connection: close\r\n")


async def test_a_client_that_expects_100_is_told_to_continue(autojump_clock: MockClock) -> None:
    async with served(echo) as s, await s.dial() as stream:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        assert await ask(stream, head) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await ask(stream, b"abc") == answer(b"POST / abc")
        assert await ask(stream, head + b"abc") == answer(b"POST / abc"), "the body came unasked"


async def test_a_client_that_expects_100_after_a_slow_request_is_told_in_order(autojump_clock: MockClock) -> None:
    async def handler(request: http.Request) -> http.Response:
        await trio.sleep(0.1)
        return await echo(request)

    async with served(handler) as s, await s.dial() as stream:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        assert await ask(stream, GET % 1 + head) == answer(b"GET /1 ") + b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await ask(stream, b"abc") == answer(b"POST / abc")


async def test_a_date_is_sent_by_a_server_that_has_a_clock(autojump_clock: MockClock) -> None:
    async with served(echo, has_clock=True) as s, await s.dial() as stream:
        assert b"\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n" in await ask(stream, GET % 1)
        assert b"\r\ndate: Tue, 14 Nov 2023 22:13:21 GMT\r\n" in await ask(stream, GET % 1)


# --- refusals


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"NONSENSE / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
async def test_a_malformed_request_gets_400_after_the_answers_to_those_before_it(
    data: bytes, autojump_clock: MockClock
) -> None:
    async with served(echo) as s, await s.dial() as stream:
        received = await ask(stream, GET % 1 + data)
        assert received.startswith(answer(b"GET /1 ") + b"HTTP/1.1 400 Bad Request\r\n")
        assert b"connection: close\r\n" in received
        assert await is_closed(stream)


LIMITS = http.Limits(header_bytes=1000, body_bytes=1000)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000 + b"\r\n\r\n",
        b"GET /" + b"x" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nEndless: " + b"x" * 2000,
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x" * 2000,
    ],
)
async def test_a_head_that_is_too_large_gets_431(data: bytes, autojump_clock: MockClock) -> None:
    async with served(echo, limits=LIMITS) as s, await s.dial() as stream:
        assert (await ask(stream, data)).startswith(b"HTTP/1.1 431 ")
        assert await is_closed(stream)


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001,
    ],
)
async def test_a_body_that_is_too_large_gets_413_before_it_was_sent(data: bytes, autojump_clock: MockClock) -> None:
    async with served(echo, limits=LIMITS) as s, await s.dial() as stream:
        assert (await ask(stream, data)).startswith(b"HTTP/1.1 413 ")
        assert await is_closed(stream)


async def test_a_head_and_a_body_at_the_limit_are_accepted(autojump_clock: MockClock) -> None:
    limits = http.Limits(header_bytes=1000, body_bytes=1000)
    async with served(echo, limits=limits) as s, await s.dial() as stream:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nX: "
        fill = 1000 - (1 + 4 + 1 + 4 + 14 + 4 + 4 + 1 + 4)
        assert (await ask(stream, head + b"x" * fill + b"\r\n\r\n" + b"y" * 1000)).startswith(b"HTTP/1.1 200 ")
        assert (await ask(stream, head + b"x" * (fill + 1) + b"\r\n\r\n")).startswith(b"HTTP/1.1 431 ")


async def test_a_refused_client_may_finish_sending_for_a_while(autojump_clock: MockClock) -> None:
    """Else the reset that follows a close on unread data destroys the answer on its way."""
    async with served(echo, limits=LIMITS) as s, await s.dial() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        await stream.send_all(b"x" * 1_000_000)
        assert (await hear(stream)).startswith(b"HTTP/1.1 413 ")


# --- timeouts


async def test_a_head_that_does_not_come_in_time_gets_408_however_it_trickles(autojump_clock: MockClock) -> None:
    async with served(echo, limits=http.Limits(head_timeout_s=5)) as s, await s.dial() as stream:
        start = trio.current_time()
        received = b""
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\n\r\n":
            try:
                await stream.send_all(bytes([byte]))
            except trio.BrokenResourceError:
                break
            with trio.move_on_after(0.5):
                received += await stream.receive_some()
                break
        assert received.startswith(b"HTTP/1.1 408 ")
        assert 5 <= trio.current_time() - start < 5.6


async def test_a_slow_body_is_fine_as_long_as_it_comes(autojump_clock: MockClock) -> None:
    async with served(echo, limits=http.Limits(head_timeout_s=5)) as s, await s.dial() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        for byte in (b"a", b"b", b"c"):
            await trio.sleep(4)
            await stream.send_all(byte)
        assert await hear(stream) == answer(b"POST / abc")
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        await trio.sleep(5.1)
        assert (await hear(stream)).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed_silently_and_a_slow_handler_is_not_idle(autojump_clock: MockClock) -> None:
    async def handler(request: http.Request) -> http.Response:
        await trio.sleep(20)
        return await echo(request)

    async with served(handler, limits=http.Limits(idle_timeout_s=10)) as s, await s.dial() as stream:
        await stream.send_all(GET % 1)
        await trio.sleep(20.5)
        assert await hear(stream) == answer(b"GET /1 ")
        start = trio.current_time()
        assert await stream.receive_some() == b""
        assert 8 < trio.current_time() - start < 10


async def test_idle_connections_expire_in_time_beside_busy_ones(autojump_clock: MockClock) -> None:
    async with served(echo, limits=http.Limits(idle_timeout_s=10)) as s, await s.dial() as busy:
        for _ in range(7):
            await ask(busy, GET % 1)
        async with await s.dial() as idle:
            with trio.fail_after(10.1):
                assert await idle.receive_some() == b""


# --- boundaries


async def test_a_handler_that_raises_is_logged_and_answered_with_500_and_the_connection_goes_on(
    autojump_clock: MockClock,
) -> None:
    async def handler(request: http.Request) -> http.Response:
        if request.path == "/1":
            raise RuntimeError("fault of the handler")
        if request.path == "/2":
            await trio.sleep(0.1)
            raise RuntimeError("later fault of the handler")
        return await echo(request)

    async with served(handler) as s, await s.dial() as stream:
        for i in (1, 2):
            assert (await ask(stream, GET % i)).startswith(b"HTTP/1.1 500 ")
        assert await ask(stream, GET % 3) == answer(b"GET /3 ")
        assert "fault of the handler" in s.logged[0]
        assert "Traceback" in s.logged[0]
        assert "later fault of the handler" in s.logged[1]


async def test_a_response_that_would_split_its_head_is_a_fault_of_the_handler(autojump_clock: MockClock) -> None:
    async def handler(request: http.Request) -> http.Response:
        return http.Response(200, headers={"x": "a\r\nset-cookie: b"})

    async with served(handler) as s, await s.dial() as stream:
        assert (await ask(stream, GET % 1)).startswith(b"HTTP/1.1 500 ")
        assert "line break" in s.logged[0]


class FailingListener(trio.abc.Listener[Stream]):
    """Fails to accept as if descriptors had run out, then hands out one connection."""

    def __init__(self, stream: Stream, failures: int) -> None:
        self.stream: Stream | None = stream
        self.failures = failures

    async def accept(self) -> Stream:
        await trio.lowlevel.checkpoint()
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "too many open files")
        if self.stream is None:
            await trio.sleep_forever()
        stream, self.stream = self.stream, None
        assert stream is not None
        return stream

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_shortage_of_descriptors_does_not_end_the_server(autojump_clock: MockClock) -> None:
    here, there = trio.testing.memory_stream_pair()
    logged: list[object] = []

    async with trio.open_nursery() as nursery:
        listener = FailingListener(there, failures=3)
        nursery.start_soon(lambda: http.serve(listener, echo, log=lambda *args, **_: logged.append(args)))
        assert await ask(here, GET % 1) == answer(b"GET /1 ")
        assert logged == [("accept failed",)] * 3
        nursery.cancel_scope.cancel()
