"""Framing: what is understood does not depend on where the bytes are split, and nothing that comes in raises."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from ha import http
from ha.http.encoding import encode_chunk, encode_request, encode_response
from ha.http.messages import Limits, Request, Response
from ha.http.parsing import RequestReader, ResponseReader
from tests.fakes.world import run_virtual
from tests.unit.http.served import served

BODIES = st.binary(max_size=300)
NAMES = st.from_regex(r"\Ax-[a-z]{1,8}\Z")
VALUES = st.from_regex(r"\A[!-~]([ -~]{0,20}[!-~])?\Z")
TARGETS = st.from_regex(r"\A/[a-z0-9/%&=?._~-]{0,30}\Z")


@st.composite
def requests(draw: st.DrawFn) -> tuple[Request, bytes]:
    """A request and its bytes, with a length or in chunks."""
    method = draw(st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE"]))
    headers = {"host": "a", **draw(st.dictionaries(NAMES, VALUES, max_size=4))}
    target, body = draw(TARGETS), draw(BODIES)
    if draw(st.booleans()):
        data = encode_request(method, target, "host: a\r\n", {**headers, "content-type": "a/b"}, body)
        headers["content-type"] = "a/b"
        if b"content-length" in data:
            headers["content-length"] = str(len(body))
        data = data.replace(b"host: a\r\nhost: a\r\n", b"host: a\r\n")
    else:
        headers["transfer-encoding"] = "chunked"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        cuts = sorted({0, len(body), *draw(st.lists(st.integers(0, len(body)), max_size=3))})
        chunks = b"".join(encode_chunk(body[a:b]) for a, b in pairwise(cuts))
        data = f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + chunks + b"0\r\n\r\n"
    return Request(method, target, headers, body), data


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Pieces of data, cut at these places (modulo its length)."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.lists(requests(), min_size=1, max_size=4), CUTS)
@settings(max_examples=150, deadline=None)
def test_pipelined_requests_are_read_alike_wherever_they_are_split(
    sent: list[tuple[Request, bytes]], cuts: list[int]
) -> None:
    reader = RequestReader(Limits())
    for piece in split(b"".join(data for _, data in sent), cuts):
        reader.feed(piece)
    assert reader.refusal is None
    assert [incoming.request for incoming in reader.requests] == [request for request, _ in sent]
    assert not reader.in_message


@given(requests())
@settings(max_examples=20, deadline=None)
def test_a_request_is_read_alike_when_it_comes_byte_by_byte(sent: tuple[Request, bytes]) -> None:
    reader = RequestReader(Limits())
    for i in range(len(sent[1])):
        assert not reader.requests
        reader.feed(sent[1][i : i + 1])
    assert [incoming.request for incoming in reader.requests] == [sent[0]]


@given(requests(), st.integers(0, 10_000), st.binary(max_size=20), CUTS)
@settings(max_examples=150, deadline=None)
def test_damaged_requests_are_refused_or_understood_but_never_raise(
    sent: tuple[Request, bytes], place: int, damage: bytes, cuts: list[int]
) -> None:
    at = place % len(sent[1])
    reader = RequestReader(Limits(header_bytes=2000, body_bytes=1000))
    for piece in split(sent[1][:at] + damage + sent[1][at:], cuts):
        reader.feed(piece)
    assert reader.refusal is None or (reader.closing and reader.refusal.status in {400, 413, 431})


@given(st.binary(max_size=400), st.sampled_from([200, 404, 500]), CUTS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_response_is_read_alike_wherever_it_is_split(body: bytes, status: int, cuts: list[int], keep: bool) -> None:  # noqa: FBT001  (drawn)
    response = Response(status, body, "a/b", {"x": "y"})
    data = encode_response(response, date=b"", keep_alive=keep, http_1_0=False, head_only=False)
    reader = ResponseReader()
    for piece in split(data, cuts):
        assert not reader.complete
        reader.feed(piece)
    assert reader.complete
    assert reader.fault is None
    assert (reader.status, b"".join(reader.body), reader.keep_alive) == (status, body, keep)
    assert reader.headers["content-length"] == str(len(body))


@given(st.binary(max_size=200), CUTS)
@settings(max_examples=100, deadline=None)
def test_noise_in_place_of_a_response_never_raises(data: bytes, cuts: list[int]) -> None:
    reader = ResponseReader()
    for piece in split(data, cuts):
        reader.feed(piece)
    assert reader.fault is not None or not reader.complete or reader.status >= 200


KINDS = st.sampled_from(["quick", "slow", "stream", "fail"])


@given(st.lists(KINDS, min_size=1, max_size=8), CUTS, st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_pipelined_requests_are_answered_in_order_whatever_their_handlers_do(
    kinds: list[str], cuts: list[int], seed: int
) -> None:
    run_virtual(lambda: converse(kinds, cuts), seed=seed)


async def handle(request: http.Request) -> http.Response | http.StreamingResponse:
    kind = request.path.rpartition("/")[2]
    body = request.target.encode()
    if kind == "slow":
        await trio.sleep(0.01)
    elif kind == "fail":
        raise LookupError(kind)
    elif kind == "stream":

        async def source(send: http.Send) -> None:
            for i in range(len(body)):
                await send(body[i : i + 1])
                await trio.sleep(0.001)

        return http.StreamingResponse(200, source)
    return http.Response(200, body)


async def converse(kinds: list[str], cuts: list[int]) -> None:
    """Send all requests in pieces; read all answers."""
    targets = [f"/{i}/{kind}" for i, kind in enumerate(kinds)]
    data = b"".join(encode_request("POST", target, "host: a\r\n", {}, b"body") for target in targets)
    async with served(handle) as s, await s.dial() as stream, trio.open_nursery() as nursery:

        async def send() -> None:
            for piece in split(data, cuts):
                await stream.send_all(piece)
                await trio.sleep(0.002)

        nursery.start_soon(send)
        reader = ResponseReader()
        rest = b""
        for kind, target in zip(kinds, targets, strict=True):
            reader.expect(head_only=False)
            while not reader.complete:
                rest = rest or await stream.receive_some()
                assert rest, "closed"
                reader.feed(rest[:1])  # byte by byte, so as not to swallow the next answer
                rest = rest[1:]
            assert reader.status == (500 if kind == "fail" else 200)
            if kind != "fail":
                assert b"".join(reader.body) == target.encode()
