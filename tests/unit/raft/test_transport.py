from __future__ import annotations

from functools import partial

import pytest
import trio

from ha.raft import frames
from ha.raft import transport as module
from ha.raft.frames import Challenge, FrameDecoder, Hello, Proof, ProtocolError, Welcome, encode_frame, prove
from ha.raft.messages import Append, Heartbeat, Message
from ha.raft.transport import LinkEvent, LinkTiming, PeerTransport
from ha.world import Address
from tests.fakes.world import FakeHost, FakeWorld

PORT = 2380
TIMING = LinkTiming(dial_s=0.5, ping_s=0.2, dead_s=1.0, backoff_s=0.2, flush_s=0.1)


class Ear:
    """Takes down what the transport tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Message]] = []
        self.events: list[tuple[str, LinkEvent]] = []
        self.changed = trio.Event()
        self.is_full = False

    def on_message(self, peer: str, message: Message) -> None:
        self.heard.append((peer, message))
        self._change()

    def on_event(self, peer: str, event: LinkEvent) -> None:
        self.events.append((peer, event))
        self._change()

    def _change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def has_room(self) -> bool:
        return not self.is_full

    async def wait_room(self) -> None:
        while self.is_full:
            await self.changed.wait()

    def make_room(self) -> None:
        self.is_full = False
        self._change()

    async def until(self, condition) -> None:
        with trio.fail_after(30):
            while not condition():
                await self.changed.wait()


class Pair:
    """Two members, a and b."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world
        self.addresses = {name: Address(world.address(name), PORT) for name in "ab"}
        self.ears = {name: Ear() for name in "ab"}
        self.transports: dict[str, PeerTransport] = {}

    async def start(self, name: str, token: str = "t") -> None:
        await self.world.start(name, partial(self._serve, name, token))

    async def _serve(self, name: str, token: str, host: FakeHost, *, task_status) -> None:
        self.transports[name] = PeerTransport(
            host, name=name, peers=self.addresses, port=PORT, token=token, timing=TIMING, handler=self.ears[name]
        )
        await self.transports[name].run(task_status=task_status)

    async def connected(self) -> None:
        for name, peer in ("ab", "ba"):
            await self.ears[name].until(lambda name=name, peer=peer: (peer, LinkEvent.CONNECTED) in self.events(name))

    def events(self, name: str) -> list[tuple[str, LinkEvent]]:
        return self.ears[name].events

    def sequences(self, name: str) -> list[int]:
        return [message.sequence for _, message in self.ears[name].heard]


async def test_messages_arrive_once_and_in_order(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await pair.start("b")
        await pair.connected()
        for number in range(500):
            pair.transports["a"].send("b", Heartbeat(1, number))
            if number % 7 == 0:
                await pair.transports["a"].flush()
        await pair.transports["a"].flush()
        await pair.ears["b"].until(lambda: len(pair.ears["b"].heard) == 500)
        assert pair.sequences("b") == list(range(500))
        assert {peer for peer, _ in pair.ears["b"].heard} == {"a"}


async def test_large_messages_arrive_between_small_ones(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await pair.start("b")
        await pair.connected()
        for number in range(10):
            entries = [(bytes(1 << 20), 1, 1)] if number % 3 == 0 else []
            pair.transports["a"].send("b", Append(1, number, 0, 0, 0, entries))
            await pair.transports["a"].flush()
        await pair.ears["b"].until(lambda: len(pair.ears["b"].heard) == 10)
        assert pair.sequences("b") == list(range(10))


async def test_what_is_sent_without_a_connection_is_dropped(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        pair.transports["a"].send("b", Heartbeat(1, 1))
        await pair.transports["a"].flush()
        await pair.start("b")
        await pair.connected()
        await trio.sleep(2)
        assert pair.ears["b"].heard == []


async def test_a_peer_that_calls_is_dialled_at_once(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await trio.sleep(20.05)
        await pair.start("b")
        begun = trio.current_time()
        await pair.connected()
        assert trio.current_time() - begun < 0.05


async def test_the_end_of_a_process_is_told_at_once(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await pair.start("b")
        await pair.connected()
        begun = trio.current_time()
        await world.kill("b")
        await pair.ears["a"].until(lambda: ("b", LinkEvent.DIED) in pair.events("a"))
        assert trio.current_time() - begun < 0.01


async def test_a_silent_peer_is_given_up_but_not_called_dead(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await pair.start("b")
        await pair.connected()
        await world.signal("b", "pause", process="main")
        await pair.ears["a"].until(lambda: ("b", LinkEvent.DISCONNECTED) in pair.events("a"))
        assert ("b", LinkEvent.DIED) not in pair.events("a")
        await world.signal("b", "resume", process="main")
        pair.events("a").clear()
        await pair.connected()
        pair.transports["a"].send("b", Heartbeat(1, 1))
        await pair.transports["a"].flush()
        await pair.ears["b"].until(lambda: pair.sequences("b") == [1])


async def test_a_partition_is_overcome_soon_after_it_heals(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await pair.start("b")
        await pair.connected()
        world.partition("a", "b")
        await trio.sleep(60)
        for name in "ab":
            pair.events(name).clear()
        world.heal()
        begun = trio.current_time()
        await pair.connected()
        assert trio.current_time() - begun < 1


async def test_a_peer_that_does_not_read_holds_up_nobody_and_grows_nothing(autojump_clock, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUE_BYTES", 1 << 20)
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await pair.start("b")
        await pair.connected()
        pair.ears["b"].is_full = True
        link = pair.transports["a"]._links["b"]
        begun, longest = trio.current_time(), 0
        for number in range(400):
            pair.transports["a"].send("b", Append(1, number, 0, 0, 0, [(bytes(20_000), 1, 1)]))
            await pair.transports["a"].flush()
            longest = max(longest, link.queued_bytes)
        assert trio.current_time() - begun < 2 * TIMING.flush_s
        assert longest < (1 << 20) + 50_000
        await pair.ears["a"].until(lambda: ("b", LinkEvent.DISCONNECTED) in pair.events("a"))
        pair.ears["b"].make_room()
        await trio.sleep(5)
        assert pair.sequences("b") == list(range(len(pair.sequences("b")))), "a gap"


async def test_a_new_connection_supersedes_the_one_before(autojump_clock) -> None:
    """What is still on its way on the old one is not delivered."""
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("b")
        impostor = world.host("a")
        old = await dial(impostor, pair.addresses["b"])
        await old.send_all(encode_frame(Heartbeat(1, 1)))
        await pair.ears["b"].until(lambda: pair.sequences("b") == [1])
        new = await dial(impostor, pair.addresses["b"])
        with pytest.raises(trio.BrokenResourceError):
            await keep_sending(old, Heartbeat(1, 2))
        await new.send_all(encode_frame(Heartbeat(1, 3)))
        await pair.ears["b"].until(lambda: 3 in pair.sequences("b"))
        assert 2 not in pair.sequences("b")
        assert pair.events("b").count(("a", LinkEvent.ACCEPTED)) == 2


class ReluctantEar(Ear):
    """Takes its time to be cancelled."""

    async def wait_room(self) -> None:
        try:
            await super().wait_room()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)


async def test_a_new_connection_may_end_before_the_one_that_it_supersedes(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        pair.ears["b"] = ReluctantEar()
        await pair.start("b")
        impostor = world.host("a")
        old = await dial(impostor, pair.addresses["b"])
        pair.ears["b"].is_full = True
        await old.send_all(encode_frame(Heartbeat(1, 1)))
        await pair.ears["b"].until(lambda: pair.sequences("b") == [1])
        new = await dial(impostor, pair.addresses["b"], nonce=b"m" * 16)
        await new.aclose()
        await pair.ears["b"].until(lambda: ("a", LinkEvent.DIED) in pair.events("b"))
        pair.ears["b"].make_room()
        await trio.sleep(1)
        last = await dial(impostor, pair.addresses["b"], nonce=b"l" * 16)
        await last.send_all(encode_frame(Heartbeat(1, 2)))
        await pair.ears["b"].until(lambda: pair.sequences("b") == [1, 2])


async def dial(host: FakeHost, address: Address, *, token: str = "t", name: str = "a", nonce: bytes = b"n" * 16):
    """The dialler's side of the handshake, by hand."""
    stream = await host.net.dial(address)
    hello = Hello(name, "b", nonce)
    decoder = FrameDecoder()
    await stream.send_all(encode_frame(hello))
    challenge = await next_frame(stream, decoder)
    assert isinstance(challenge, Challenge)
    await stream.send_all(encode_frame(Proof(prove(token, "dialler", hello, challenge.nonce))))
    assert isinstance(await next_frame(stream, decoder), Welcome)
    return stream


async def keep_sending(stream, message: Message) -> None:
    while True:
        await stream.send_all(encode_frame(message))
        await trio.sleep(0.01)


async def next_frame(stream, decoder: FrameDecoder):
    while (frame := decoder.next_frame()) is None:
        data = await stream.receive_some()
        if not data:
            raise EOFError
        decoder.feed(data)
    return frame


@pytest.mark.parametrize("wrong", [{"token": "x"}, {"name": "nobody"}, {"name": "b"}])
async def test_who_does_not_hold_the_token_or_is_no_member_is_refused(autojump_clock, wrong) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("b")
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await dial(world.host("x"), pair.addresses["b"], **wrong)
        assert pair.events("b") == []


async def test_the_acceptor_must_hold_the_token_too(autojump_clock) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await pair.start("b", token="x")
        await trio.sleep(5)
        assert pair.transports["a"].connected == pair.transports["b"].connected == 0


def test_a_proof_cannot_be_reflected_or_replayed() -> None:
    hello = Hello("a", "b", b"nonce")
    proof = prove("t", "dialler", hello, b"challenge")
    assert proof != prove("t", "acceptor", hello, b"challenge")
    assert proof != prove("t", "dialler", hello, b"another")
    assert proof != prove("t", "dialler", Hello("a", "b", b"another"), b"challenge")
    assert proof != prove("t", "dialler", Hello("c", "b", b"nonce"), b"challenge")


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x03\x00\x00\x00abc"])
async def test_junk_ends_its_connection_only(autojump_clock, junk: bytes) -> None:
    async with FakeWorld() as world:
        pair = Pair(world)
        await pair.start("a")
        await pair.start("b")
        await pair.connected()
        stream = await world.host("x").net.dial(pair.addresses["b"])
        await stream.send_all(junk)
        with pytest.raises((trio.BrokenResourceError, EOFError)):
            await next_frame(stream, FrameDecoder())
        assert pair.transports["b"].connected == 1


def test_a_stranger_cannot_announce_a_large_frame() -> None:
    decoder = FrameDecoder()
    decoder.feed((1 << 20).to_bytes(4, "little"))
    with pytest.raises(ProtocolError, match="1048576 bytes"):
        decoder.next_frame()


def test_frames_are_found_however_the_bytes_are_split() -> None:
    sent = [Heartbeat(1, number) for number in range(3)]
    data = b"".join(encode_frame(message) for message in sent)
    for size in range(1, len(data) + 1):
        decoder, got = FrameDecoder(), []
        for start in range(0, len(data), size):
            decoder.feed(data[start : start + size])
            while (frame := decoder.next_frame()) is not None:
                got.append(frame)
        assert got == sent


def test_the_limit_of_a_frame_admits_the_largest_append() -> None:
    append = Append(1, 1, 1, 1, 1, [(bytes(1 << 20), 2, 1), (bytes(3 << 19), 3, 1)])
    assert len(encode_frame(append)) < frames.MAX_FRAME_BYTES
