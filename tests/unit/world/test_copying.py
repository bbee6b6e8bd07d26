"""`Network.copy`: what one connection of a node receives, sent to another, whatever happens to the two meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from ha.world import Address, Copied, Cut, Network, NotAttestedError, Stream
from tests.unit.world.both import Bench, in_both_worlds, run_in

LARGE = bytes(range(256)) * 16_384
"""4 MiB: more than all buffers between two ends."""
CUT = Cut((("b", "c"), ("c", "b")))


class Way(NamedTuple):
    """A client on `a`, whose connection `b` accepted, and one from `b` to a server on `c`."""

    net: Network
    client: Stream
    accepted: Stream
    dialled: Stream
    server: Stream


async def way(world: Bench) -> Way:
    fronts, backs = await world.host("b").net.listen(7000), await world.host("c").net.listen(7001)
    client = await world.host("a").net.dial(Address(world.address("b"), 7000))
    dialled = await world.host("b").net.dial(Address(world.address("c"), 7001))
    return Way(world.host("b").net, client, await fronts.accept(), dialled, await backs.accept())


class Copying:
    """A copy that goes on beside the test."""

    def __init__(self, net: Network, source: Stream, sink: Stream) -> None:
        self.net, self.source, self.sink = net, source, sink
        self.counted = 0
        self.how: Copied | None = None
        self.ended = trio.Event()
        self.scope = trio.CancelScope()

    def count(self, size: int) -> None:
        self.counted += size

    async def run(self) -> None:
        with self.scope:
            self.how = await self.net.copy(self.source, self.sink, self.count)
        self.ended.set()

    async def end(self) -> Copied | None:
        with trio.fail_after(10):
            await self.ended.wait()
        return self.how


@asynccontextmanager
async def copying(net: Network, source: Stream, sink: Stream) -> AsyncIterator[Copying]:
    one = Copying(net, source, sink)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        yield one
        nursery.cancel_scope.cancel()


async def sent_whole(stream: Stream, data: bytes) -> None:
    await stream.send_all(data)
    await stream.send_eof()


async def received(stream: Stream, size: int | None = None, *, within_s: float = 10) -> bytes:
    """So much, or all until the end."""
    data = bytearray()
    with trio.fail_after(within_s):
        while (size is None or len(data) < size) and (piece := await stream.receive_some()):
            data += piece
    return bytes(data)


@in_both_worlds
async def test_everything_is_copied_in_order_and_counted_until_the_end(world: Bench) -> None:
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as one, trio.open_nursery() as nursery:
        await w.client.send_all(b"small")
        assert await received(w.server, 5) == b"small"
        nursery.start_soon(sent_whole, w.client, LARGE)
        assert await received(w.server, len(LARGE)) == LARGE
        assert await one.end() == "end"
        assert one.counted == 5 + len(LARGE)


@in_both_worlds
async def test_the_end_is_left_to_the_caller_and_the_other_direction_goes_on(world: Bench) -> None:
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as up, copying(w.net, w.dialled, w.accepted) as down:
        await w.client.send_eof()
        assert await up.end() == "end"
        await w.server.send_all(LARGE[:100_000])
        assert await received(w.client, 100_000) == LARGE[:100_000]
        await w.server.send_eof()
        assert await down.end() == "end"
        with trio.move_on_after(world.never_s) as waiting:
            await w.server.receive_some()
        assert waiting.cancelled_caught


@in_both_worlds
async def test_large_and_small_pieces_alternate_both_ways_at_once(world: Bench) -> None:
    w = await way(world)
    pieces = [LARGE[: 4 ** (i % 10)] for i in range(60)]

    async def send(stream: Stream) -> None:
        for piece in pieces:
            await stream.send_all(piece)
        await stream.send_eof()

    async def receive(stream: Stream) -> None:
        assert await received(stream, sum(map(len, pieces))) == b"".join(pieces)

    up, down = copying(w.net, w.accepted, w.dialled), copying(w.net, w.dialled, w.accepted)
    async with up, down, trio.open_nursery() as nursery:
        for sender, receiver in ((w.client, w.server), (w.server, w.client)):
            nursery.start_soon(send, sender)
            nursery.start_soon(receive, receiver)


@in_both_worlds
async def test_a_slow_reader_slows_the_writer_down(world: Bench) -> None:
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as one, trio.open_nursery() as nursery:
        while True:  # until every buffer on the way is full
            with trio.move_on_after(world.never_s) as waiting:
                await w.client.send_all(LARGE[:65536])
            if waiting.cancelled_caught:
                break
        stuck = one.counted
        with trio.move_on_after(world.never_s) as waiting:
            await w.client.send_all(LARGE[:65536])
        assert waiting.cancelled_caught
        assert one.counted == stuck, "what is not taken is not read"
        await received(w.server, stuck // 2)
        nursery.start_soon(received, w.server)
        await trio.sleep(world.soon_s)
        assert one.counted > stuck
        nursery.cancel_scope.cancel()


@in_both_worlds
async def test_a_source_that_is_reset_is_told(world: Bench) -> None:
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as one:
        await w.client.send_all(b"x")
        await received(w.server, 1)
        await world.reset([("a", "b")])
        assert await one.end() == "source broken"


@in_both_worlds
async def test_a_sink_whose_reader_is_gone_is_told(world: Bench) -> None:
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as one:
        await w.client.send_all(b"x")
        await received(w.server, 1)
        await w.server.aclose()
        with trio.move_on_after(5):
            while one.how is None:
                await w.client.send_all(LARGE[:1000])
                await trio.sleep(0.001)
        assert await one.end() == "sink broken"


@in_both_worlds
async def test_a_connection_that_is_reset_in_the_middle_ends_both_copies(world: Bench) -> None:
    """What was dialled from here: nothing comes from its socket any more."""
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as up, copying(w.net, w.dialled, w.accepted) as down:
        await w.client.send_all(b"x")
        await received(w.server, 1)
        await world.reset([("b", "c")])
        assert await down.end() == "source broken"
        await w.client.send_all(b"y")
        assert await up.end() == "sink broken"


@in_both_worlds
async def test_a_stream_that_is_closed_by_somebody_else_is_told(world: Bench) -> None:
    """Its descriptor may be that of another connection at once: nothing may pass between strangers."""
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as up, copying(w.net, w.dialled, w.accepted) as down:
        await w.client.send_all(b"x")
        await received(w.server, 1)
        await w.accepted.aclose()
        assert await up.end() == "source broken"
        await w.server.send_all(b"y")
        assert await down.end() == "sink broken"


@in_both_worlds
async def test_after_a_cancelled_copy_both_streams_can_be_used(world: Bench) -> None:
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as one:
        await w.client.send_all(b"x")
        await received(w.server, 1)
        one.scope.cancel()
        await one.end()
        await w.client.send_all(b"mine")
        assert await received(w.accepted, 4) == b"mine"
        await w.dialled.send_all(b"yours")
        assert await received(w.server, 5) == b"yours"


@in_both_worlds
async def test_a_cut_that_begins_later_holds_what_is_copied_until_it_is_mended(world: Bench) -> None:
    w = await way(world)
    async with copying(w.net, w.accepted, w.dialled) as up, copying(w.net, w.dialled, w.accepted) as down:
        await w.client.send_all(b"before")
        await received(w.server, 6)
        await world.impose(CUT)
        await w.client.send_all(b"held")
        await w.server.send_all(b"back")
        for stream in (w.client, w.server):
            with trio.move_on_after(world.never_s) as waiting:
                await stream.receive_some()
            assert waiting.cancelled_caught
        assert (await world.lift(CUT))["bytes_held"] == 8
        assert await received(w.server, 4) == b"held"
        assert await received(w.client, 4) == b"back"
        await w.client.send_all(b"after")
        assert await received(w.server, 5) == b"after"
        assert (up.counted, down.counted) == (15, 4)


@in_both_worlds
async def test_links_that_are_cut_again_and_again_lose_and_disorder_nothing(world: Bench) -> None:
    """Whatever was under way when it began: in a buffer, in a pipe, or refused by the sink."""
    w = await way(world)

    async def disturb() -> None:
        while True:
            await trio.sleep(0.003)
            await world.impose(CUT)
            await trio.sleep(0.003)
            with suppress(NotAttestedError):  # between two rounds there may be nothing to hold
                await world.lift(CUT)

    async with copying(w.net, w.accepted, w.dialled) as up, copying(w.net, w.dialled, w.accepted):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(disturb)
            for _ in range(4):
                for sender, receiver in ((w.client, w.server), (w.server, w.client)):
                    async with trio.open_nursery() as passing:
                        passing.start_soon(sender.send_all, LARGE)
                        assert await received(receiver, len(LARGE)) == LARGE
            nursery.cancel_scope.cancel()
        assert up.counted == 4 * len(LARGE)


def test_large_pieces_leave_no_descriptor_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go through pipes."""
    pipe, made = os.pipe2, []

    def noted(flags: int) -> tuple[int, int]:
        made.append(pipe(flags))
        return made[-1]

    async def test(world: Bench) -> None:
        w = await way(world)
        async with copying(w.net, w.accepted, w.dialled) as one:
            await w.client.send_all(b"x")  # there is a pump now
            await received(w.server, 1)
            before = open_descriptors()
            monkeypatch.setattr(os, "pipe2", noted)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sent_whole, w.client, LARGE)
                await received(w.server, len(LARGE))
            assert await one.end() == "end"
            assert made
            assert open_descriptors() == before

    run_in("real", test, tmp_path)


def test_a_shortage_of_descriptors_makes_it_slower_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, "too many open files")

    async def test(world: Bench) -> None:
        w = await way(world)
        monkeypatch.setattr(os, "pipe2", none_left)
        async with copying(w.net, w.accepted, w.dialled), trio.open_nursery() as nursery:
            nursery.start_soon(sent_whole, w.client, LARGE)
            assert await received(w.server, len(LARGE)) == LARGE

    run_in("real", test, tmp_path)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
