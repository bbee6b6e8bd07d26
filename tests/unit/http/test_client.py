"""The client against servers of all tempers, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock

from ha import http
from ha.world import Address, Stream
from tests.fakes.world import FakeHost, FakeWorld
from tests.unit.http.served import PORT, echo, served

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Scripted:
    """A server that reads one request per entry of the script and answers with its bytes; then it closes."""

    def __init__(self, world: FakeWorld, *scripts: list[bytes]) -> None:
        self.world = world
        self.scripts = list(scripts)
        self.connections = 0
        self.requests: list[bytes] = []
        self.client = http.Client(world.host("client").net, Address(world.address("server"), PORT))

    async def serve(self, host: FakeHost, *, task_status: trio.TaskStatus[None]) -> None:
        listener = await host.net.listen(PORT)
        task_status.started()
        await trio.serve_listeners(self.handle, [listener])

    async def handle(self, stream: Stream) -> None:
        script = self.scripts[self.connections]
        self.connections += 1
        with suppress(trio.BrokenResourceError):
            for data in script:
                request = bytes(await stream.receive_some())
                if not request:
                    break
                self.requests.append(request)
                await stream.send_all(data)


@asynccontextmanager
async def scripted(*scripts: list[bytes]) -> AsyncIterator[Scripted]:
    """One script per connection."""
    async with FakeWorld() as world:
        server = Scripted(world, *scripts)
        await world.start("server", server.serve)
        yield server


async def test_a_request_is_one_write_with_host_fixed_and_own_headers(autojump_clock: MockClock) -> None:
    async with scripted([OK, OK, OK]) as s:
        client = http.Client(s.world.host("x").net, s.client.address, headers={"user-agent": "test"})
        await client.request("GET", "/a?b=c", headers={"accept": "text/plain"}, timeout_s=1)
        await client.request("POST", "/", body=b"{}", timeout_s=1)
        await client.request("PUT", "/", timeout_s=1)
        host = b"host: %s\r\nuser-agent: test\r\n" % str(s.client.address).encode()
        assert s.requests == [
            b"GET /a?b=c HTTP/1.1\r\n" + host + b"accept: text/plain\r\n\r\n",
            b"POST / HTTP/1.1\r\n" + host + b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            b"PUT / HTTP/1.1\r\n" + host + b"content-length: 0\r\n\r\n",
        ]
        assert s.connections == 1


@pytest.mark.parametrize(("target", "headers"), [("/a b", {}), ("/a\r\nx: y", {}), ("/", {"x": "a\r\ny: b"})])
async def test_a_request_that_would_split_its_head_is_not_sent(
    target: str, headers: dict[str, str], autojump_clock: MockClock
) -> None:
    async with scripted([OK]) as s:
        with pytest.raises(ValueError, match=r"request line|line break"):
            await s.client.request("GET", target, headers=headers, timeout_s=1)
        assert s.connections == 0


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n", b"hello"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
async def test_a_body_is_framed_by_length_by_chunks_or_by_the_end(
    data: bytes, body: bytes, autojump_clock: MockClock
) -> None:
    async with scripted([data]) as s:
        response = await s.client.request("GET", "/", timeout_s=1)
        assert response.body == body
        assert "x" not in response.headers, "a trailer is not a header"


async def test_header_names_are_lower_case_and_the_content_type_is_at_hand(autojump_clock: MockClock) -> None:
    async with scripted([b"HTTP/1.1 404 Not\r\nContent-Type: a/b\r\nX-Y: z\r\nContent-Length: 1\r\n\r\n!"]) as s:
        response = await s.client.request("GET", "/", timeout_s=1)
        assert response.status == 404
        assert response.content_type == "a/b"
        assert response.headers == {"content-type": "a/b", "x-y": "z", "content-length": "1"}


async def test_the_answer_to_head_has_no_body(autojump_clock: MockClock) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    async with scripted([head], [OK]) as s:
        response = await s.client.request("HEAD", "/", timeout_s=1)
        assert (response.body, response.headers["content-length"]) == (b"", "5")
        assert (await s.client.request("GET", "/", timeout_s=1)).body == b"ok"


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
)  # fmt: skip
async def test_an_answer_that_breaks_off_is_a_lost_connection(data: bytes, autojump_clock: MockClock) -> None:
    async with scripted([data]) as s:
        with pytest.raises(http.ConnectionLost) as caught:
            await s.client.request("GET", "/", timeout_s=1)
        assert not caught.value.definite


@pytest.mark.parametrize(
    "data",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
     b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200_000],
)  # fmt: skip
async def test_an_answer_that_is_not_http_is_a_protocol_error(data: bytes, autojump_clock: MockClock) -> None:
    async with scripted([data]) as s:
        with pytest.raises(http.ProtocolError) as caught:
            await s.client.request("GET", "/", timeout_s=5)
        assert not caught.value.definite


# --- what is definite


async def test_a_refused_connection_is_definite(autojump_clock: MockClock) -> None:
    async with FakeWorld() as world:
        client = http.Client(world.host("client").net, Address(world.address("nobody"), PORT))
        with pytest.raises(http.ConnectError) as caught:
            await client.request("POST", "/", timeout_s=1)
        assert caught.value.definite
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_connection_that_is_not_made_in_time_is_definite(autojump_clock: MockClock) -> None:
    async with scripted([OK]) as s:
        s.world.partition(["client"], ["server"])
        start = trio.current_time()
        with pytest.raises(http.ConnectError) as caught:
            await s.client.request("POST", "/", timeout_s=2)
        assert caught.value.definite
        assert trio.current_time() - start == pytest.approx(2)


async def test_an_answer_that_does_not_come_in_time_is_not_definite_and_its_connection_is_closed(
    autojump_clock: MockClock,
) -> None:
    cancelled: list[float] = []

    async def handler(request: http.Request) -> http.Response:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            cancelled.append(trio.current_time())
            raise

    async with served(handler) as s:
        start = trio.current_time()
        with pytest.raises(http.RequestTimeout) as caught:
            await s.client().request("POST", "/", timeout_s=2)
        assert not caught.value.definite
        await trio.sleep(0.1)
        [at] = cancelled
        assert at - start < 2.01
        assert s.connections == 0


async def test_a_body_that_does_not_end_in_time_is_a_timeout(autojump_clock: MockClock) -> None:
    async def source(send: http.Send) -> None:
        while True:
            await send(b"more")
            await trio.sleep(0.5)

    async def handler(request: http.Request) -> http.StreamingResponse:
        return http.StreamingResponse(200, source)

    async with served(handler) as s:
        start = trio.current_time()
        with pytest.raises(http.RequestTimeout):
            await s.client().request("GET", "/", timeout_s=2)
        assert trio.current_time() - start == pytest.approx(2)


async def test_a_cancelled_request_closes_its_connection(autojump_clock: MockClock) -> None:
    async def handler(request: http.Request) -> http.Response:
        await trio.sleep(10)
        return await echo(request)

    async with served(handler) as s:
        client = s.client()
        with trio.move_on_after(1):
            await client.request("GET", "/", timeout_s=100)
        await trio.sleep(0.1)
        assert s.connections == 0
        assert (await client.request("GET", "/again", timeout_s=100)).body == b"GET /again "


# --- the pool


async def test_connections_are_reused_one_per_request_at_a_time(autojump_clock: MockClock) -> None:
    async def handler(request: http.Request) -> http.Response:
        await trio.sleep(0.1)
        return await echo(request)

    async with served(handler) as s:
        client = s.client(max_idle=3)
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                for i in range(5):
                    nursery.start_soon(lambda i=i: client.request("GET", f"/{i}", timeout_s=1))
            await trio.sleep(0.1)
            assert s.connections == 3
        for _ in range(3):
            await client.request("GET", "/", timeout_s=1)
        assert s.connections == 3
        await client.aclose()
        await trio.sleep(0.1)
        assert s.connections == 0
        with pytest.raises(trio.ClosedResourceError):
            await client.request("GET", "/", timeout_s=1)


async def test_a_get_on_a_connection_that_the_server_had_closed_is_sent_once_more(autojump_clock: MockClock) -> None:
    async with scripted([OK], [OK]) as s:
        await s.client.request("GET", "/", timeout_s=1)
        await trio.sleep(1)
        assert (await s.client.request("GET", "/", timeout_s=1)).body == b"ok"
        assert s.connections == 2


async def test_a_get_is_not_repeated_for_ever(autojump_clock: MockClock) -> None:
    async with scripted([OK], [b""], [OK]) as s:
        await s.client.request("GET", "/", timeout_s=1)
        await trio.sleep(1)
        with pytest.raises(http.ConnectionLost):
            await s.client.request("GET", "/", timeout_s=1)
        assert s.connections == 2


async def test_a_get_is_not_repeated_when_the_answer_had_begun(autojump_clock: MockClock) -> None:
    async with scripted([OK, b"HTTP/1.1 200"], [OK]) as s:
        await s.client.request("GET", "/", timeout_s=1)
        with pytest.raises(http.ConnectionLost):
            await s.client.request("GET", "/", timeout_s=1)
        assert s.connections == 1


async def test_a_post_on_a_connection_that_the_server_had_closed_is_never_repeated(autojump_clock: MockClock) -> None:
    async with scripted([OK], [OK]) as s:
        await s.client.request("GET", "/", timeout_s=1)
        await trio.sleep(1)
        with pytest.raises(http.ConnectionLost) as caught:
            await s.client.request("POST", "/", timeout_s=1)
        assert not caught.value.definite
        assert s.connections == 1


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nnoise",
        OK + b"noise",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ],
)
async def test_a_connection_unfit_for_another_request_is_not_pooled(data: bytes, autojump_clock: MockClock) -> None:
    async with scripted([data, b""], [OK]) as s:
        assert (await s.client.request("POST", "/", timeout_s=1)).body == b"ok"
        assert (await s.client.request("POST", "/", timeout_s=1)).body == b"ok"
        assert s.connections == 2


async def test_a_connection_that_was_idle_for_long_is_not_reused(autojump_clock: MockClock) -> None:
    async with scripted([OK, b""], [OK]) as s:
        await s.client.request("POST", "/", timeout_s=1)
        await trio.sleep(61)
        await s.client.request("POST", "/", timeout_s=1)
        assert s.connections == 2


async def test_a_stream_that_can_tell_is_asked_before_reuse(autojump_clock: MockClock) -> None:
    async with scripted([OK], [OK]) as s:
        await s.client.request("POST", "/", timeout_s=1)
        s.client._idle[0].stream.is_readable = lambda: True  # type: ignore[attr-defined]
        await s.client.request("POST", "/", timeout_s=1)
        assert s.connections == 2


async def test_an_early_answer_to_a_large_request_is_read(autojump_clock: MockClock) -> None:
    async with served(echo, limits=http.Limits(body_bytes=1000)) as s:
        response = await s.client().request("POST", "/", body=bytes(2_000_000), timeout_s=5)
        assert response.status == 413


# --- streams


async def ticks(send: http.Send) -> None:
    for i in range(3):
        await send(b"tick %d" % i)
        await trio.sleep(1)


async def ticking(request: http.Request) -> http.Response | http.StreamingResponse:
    return http.StreamingResponse(200, ticks, "x/y") if request.path == "/" else await echo(request)


async def test_a_stream_is_read_as_it_comes_and_its_connection_kept(autojump_clock: MockClock) -> None:
    async with served(ticking) as s:
        client = s.client()
        start = trio.current_time()
        async with client.stream("GET", "/", connect_timeout_s=0.5) as response:
            assert (response.status, response.headers["content-type"]) == (200, "x/y")
            seen = [(piece, round(trio.current_time() - start)) async for piece in response]
        assert seen == [(b"tick 0", 0), (b"tick 1", 1), (b"tick 2", 2)]
        assert len(client._idle) == 1
        async with client.stream("GET", "/", connect_timeout_s=0.5) as response:
            assert await response.read() == b"tick 0tick 1tick 2"
        assert s.connections == 1


async def test_leaving_a_stream_early_closes_its_connection(autojump_clock: MockClock) -> None:
    async with served(ticking) as s:
        client = s.client()
        async with client.stream("GET", "/", connect_timeout_s=0.5) as response:
            assert await response.__anext__() == b"tick 0"
        await trio.sleep(0.1)
        assert s.connections == 0
        assert (await client.request("GET", "/x", timeout_s=1)).body == b"GET /x "


async def test_the_head_of_a_stream_must_come_in_time(autojump_clock: MockClock) -> None:
    async def handler(request: http.Request) -> http.Response:
        await trio.sleep_forever()
        raise AssertionError

    async with served(handler) as s:
        for error, definite in ((http.RequestTimeout, False), (http.ConnectError, True)):
            start = trio.current_time()
            with pytest.raises(error) as caught:
                async with s.client().stream("GET", "/", connect_timeout_s=1):
                    raise AssertionError("there was no head")
            assert trio.current_time() - start == pytest.approx(1)
            assert caught.value.definite == definite
            s.world.partition(["client"], ["server"])


async def test_a_stream_that_is_cut_raises(autojump_clock: MockClock) -> None:
    async with served(ticking) as s, s.client().stream("GET", "/", connect_timeout_s=1) as response:
        with pytest.raises(http.ConnectionLost):  # noqa: PT012  (where in the loop is up to the network)
            async for _ in response:
                await s.world.kill("server")
