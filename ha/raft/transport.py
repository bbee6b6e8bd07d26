"""Messages between members over `ha.world.Network`: in order, at most once, never blocking the sender.

Each member dials every other one and sends on that connection only; what it receives comes on the connections
that it accepted. So each direction has one connection, one queue and one failure of its own.

* **FIFO, at most once.** A connection delivers its frames in order. When it ends, what was queued is dropped and
  never sent on the next: the core repairs what it misses.
* **Epochs.** A new connection from a peer supersedes the one before, and no frame of a superseded connection is
  delivered, though bytes of it may still be buffered.
* **Bounded.** `send` never waits. A peer that does not read fills its queue, and then loses its connection, queue
  included. Towards a receiver that does not keep up (`Handler.wait_room`) reading stops, so the pressure travels
  back.
* **Dead peers.** The dialler pings; without an answer for `dead_s` (a paused process, a path that swallows
  packets) it drops the connection and dials again, since TCP alone would notice after minutes, and after a
  partition would wait for its own back-off. An acceptor that hears nothing for as long does the same.
* **Reconnecting** backs off, but a peer that calls us is alive, and is dialled at once.
* **Authenticated**, both sides: see `ha.raft.frames`.

Rejected: one connection for both directions (simultaneous dialling needs a rule for which one lives, and the loser
may already carry messages); dropping single messages when a queue is full (a gap in a FIFO stream is what the
core may assume not to happen within a connection).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import trio

from ha.raft.frames import (
    MAX_FRAME_BYTES,
    Challenge,
    FrameDecoder,
    Hello,
    Ping,
    Pong,
    Proof,
    ProtocolError,
    Welcome,
    encode_frame,
    prove,
)
from ha.raft.messages import Message
from ha.world import Address, Host, Stream

__all__ = ["Handler", "LinkTiming", "PeerTransport"]

MAX_QUEUE_BYTES = 16 << 20
NONCE_BYTES = 16
FIRST_BACKOFF_S = 0.01
_F = TypeVar("_F")
_PING, _PONG = encode_frame(Ping()), encode_frame(Pong())
_CONNECTION_ENDED = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Handler(Protocol):
    """Who is told. All but `wait_room` are called synchronously, between awaits of the transport."""

    def on_message(self, peer: str, message: Message) -> None:
        """A message arrived."""
        ...

    def on_connected(self, peer: str) -> None:
        """From now on `send` to this peer goes somewhere."""
        ...

    def on_disconnected(self, peer: str) -> None:
        """From now on `send` to this peer goes nowhere."""
        ...

    def on_died(self, peer: str) -> None:
        """A connection, either way, was ended by the peer: its process probably died."""
        ...

    def has_room(self) -> bool:
        """Whether more messages are welcome now."""
        ...

    async def wait_room(self) -> None:
        """Wait until they are."""
        ...


class LinkTiming(NamedTuple):
    """In seconds: how long dialling and authenticating may take, when to ping, when silence is death."""

    dial_s: float
    ping_s: float
    dead_s: float
    backoff_s: float


class _Link:
    """The outgoing direction to one peer."""

    def __init__(self, peer: str, address: Address) -> None:
        self.peer, self.address = peer, address
        self.is_up = False
        self.is_writing = False
        self.queue: list[bytes] = []
        self.queued_bytes = 0
        self.filled = trio.Event()
        self.overflowed = False
        self.called = trio.Event()

    def put(self, frame: bytes) -> None:
        if self.queued_bytes > MAX_QUEUE_BYTES:
            self.overflowed = True
        else:
            self.queue.append(frame)
            self.queued_bytes += len(frame)
        self.filled.set()

    def take(self) -> bytes:
        data = b"".join(self.queue) if len(self.queue) > 1 else self.queue[0]
        self.queue.clear()
        self.queued_bytes = 0
        return data

    def reset(self) -> None:
        self.queue.clear()
        self.queued_bytes = 0
        self.overflowed = self.is_writing = False
        self.filled = trio.Event()


class PeerTransport:
    """All connections of one member."""

    def __init__(
        self,
        host: Host,
        *,
        name: str,
        peers: Mapping[str, Address],
        port: int,
        token: str,
        timing: LinkTiming,
        handler: Handler,
    ) -> None:
        self._host, self._name, self._port, self._token = host, name, port, token
        self._timing, self._handler = timing, handler
        self._links = {peer: _Link(peer, address) for peer, address in sorted(peers.items()) if peer != name}
        self._accepted: dict[str, trio.CancelScope] = {}
        self._last_sent: tuple[Message | None, bytes] = (None, b"")

    @property
    def connected(self) -> int:
        """To how many peers messages can be sent now."""
        return sum(link.is_up for link in self._links.values())

    @property
    def has_unsent(self) -> bool:
        """Whether a message waits for its writer to run (not: for its peer to read)."""
        return any(link.filled.is_set() and not link.is_writing for link in self._links.values())

    def send(self, peer: str, message: Message) -> None:
        """Queue a message; drop it when the peer is not connected."""
        link = self._links[peer]
        if link.is_up:
            if self._last_sent[0] is not message:
                self._last_sent = (message, encode_frame(message))
            link.put(self._last_sent[1])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and keep connected, until cancelled. Started when it listens. Raises OSError if it cannot."""
        listener = await self._host.net.listen(self._port)
        async with trio.open_nursery() as nursery:
            for link in self._links.values():
                nursery.start_soon(self._keep_connected, link)
            nursery.start_soon(partial(trio.serve_listeners, self._accept, [listener]))
            task_status.started()

    # -- outgoing ------------------------------------------------------------------------------------------

    async def _keep_connected(self, link: _Link) -> None:
        backoff = FIRST_BACKOFF_S
        while True:
            link.called = trio.Event()
            if await self._connect(link):
                backoff = FIRST_BACKOFF_S
            with trio.move_on_after(backoff):
                await link.called.wait()
            backoff = min(2 * backoff, self._timing.backoff_s)

    async def _connect(self, link: _Link) -> bool:
        """Dial, authenticate, and send until the connection ends. Whether it got as far as sending."""
        stream: Stream | None = None
        try:
            with trio.move_on_after(self._timing.dial_s) as limit:
                stream = await self._host.net.dial(link.address)
                await self._introduce(stream, link.peer)
            if limit.cancelled_caught:
                return False
            assert stream is not None
            await self._use(link, stream)
        except ProtocolError as error:
            self._host.log("peer refused", peer=link.peer, error=str(error))
        except _CONNECTION_ENDED:
            return False
        else:
            return True
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)
        return False

    async def _introduce(self, stream: Stream, peer: str) -> None:
        hello = Hello(self._name, peer, self._host.random.randbytes(NONCE_BYTES))
        decoder = FrameDecoder()
        await stream.send_all(encode_frame(hello))
        challenge = await _expect(Challenge, stream, decoder)
        if not hmac.compare_digest(challenge.proof, prove(self._token, "acceptor", hello, challenge.nonce)):
            raise ProtocolError(f"{peer} does not hold the cluster's token")
        await stream.send_all(encode_frame(Proof(prove(self._token, "dialler", hello, challenge.nonce))))
        await _expect(Welcome, stream, decoder)

    async def _use(self, link: _Link, stream: Stream) -> None:
        link.reset()
        link.is_up = True
        self._handler.on_connected(link.peer)
        died = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, link, stream, nursery.cancel_scope)
                nursery.start_soon(self._ping, link)
                died = await self._await_pongs(stream)
                nursery.cancel_scope.cancel()
        finally:
            link.is_up = False
            link.reset()
            self._handler.on_disconnected(link.peer)
        if died:
            self._handler.on_died(link.peer)

    async def _write(self, link: _Link, stream: Stream, scope: trio.CancelScope) -> None:
        try:
            while not link.overflowed:
                await link.filled.wait()
                link.filled = trio.Event()
                if link.queue:
                    link.is_writing = True
                    await stream.send_all(link.take())
                    link.is_writing = False
            self._host.log("peer does not keep up", peer=link.peer)
        except _CONNECTION_ENDED:
            pass  # whoever reads on this connection sees why it ended
        else:
            scope.cancel()

    async def _ping(self, link: _Link) -> None:
        while True:
            link.put(_PING)
            await trio.sleep(self._timing.ping_s)

    async def _await_pongs(self, stream: Stream) -> bool:
        """Read answers to pings until there are none. True if the peer ended the connection, False if it is silent."""
        while True:
            with trio.move_on_after(self._timing.dead_s) as limit:
                try:
                    if not await stream.receive_some():
                        return True
                except _CONNECTION_ENDED:
                    return True
            if limit.cancelled_caught:
                return False

    # -- incoming ------------------------------------------------------------------------------------------

    async def _accept(self, stream: Stream) -> None:
        try:
            decoder = FrameDecoder()
            with trio.fail_after(self._timing.dial_s):
                peer = await self._welcome(stream, decoder)
            await self._receive(peer, stream, decoder)
        except ProtocolError as error:
            self._host.log("connection refused", error=str(error))
        except (*_CONNECTION_ENDED, trio.TooSlowError):
            return
        finally:
            await trio.aclose_forcefully(stream)

    async def _welcome(self, stream: Stream, decoder: FrameDecoder) -> str:
        hello = await _expect(Hello, stream, decoder)
        if hello.acceptor != self._name or hello.dialler not in self._links:
            raise ProtocolError(f"{hello.dialler!r} wants {hello.acceptor!r}")
        nonce = self._host.random.randbytes(NONCE_BYTES)
        await stream.send_all(encode_frame(Challenge(nonce, prove(self._token, "acceptor", hello, nonce))))
        proof = await _expect(Proof, stream, decoder)
        if not hmac.compare_digest(proof.proof, prove(self._token, "dialler", hello, nonce)):
            raise ProtocolError(f"{hello.dialler} does not hold the cluster's token")
        await stream.send_all(encode_frame(Welcome()))
        decoder.max_bytes = MAX_FRAME_BYTES
        return hello.dialler

    async def _receive(self, peer: str, stream: Stream, decoder: FrameDecoder) -> None:
        """Deliver what arrives on this connection, until it ends or another one of this peer supersedes it."""
        older = self._accepted.get(peer)
        if older is not None:
            older.cancel()
        self._links[peer].called.set()
        died = False
        with trio.CancelScope() as epoch:
            self._accepted[peer] = epoch
            try:
                await self._read(peer, stream, decoder, epoch)
            except _CONNECTION_ENDED:
                died = True
            finally:
                is_latest = self._accepted[peer] is epoch
                if is_latest:
                    del self._accepted[peer]
        if died and is_latest:
            self._handler.on_died(peer)

    async def _read(self, peer: str, stream: Stream, decoder: FrameDecoder, epoch: trio.CancelScope) -> None:
        """Returns when the peer is silent for too long; raises BrokenResourceError when it ended the connection."""
        while True:
            with trio.move_on_after(self._timing.dead_s) as limit:
                data = await stream.receive_some()
            if limit.cancelled_caught:
                return
            if not data:
                raise trio.BrokenResourceError("the peer closed the connection")
            decoder.feed(data)
            if self._deliver(peer, decoder, epoch):
                with trio.move_on_after(self._timing.dead_s):
                    await stream.send_all(_PONG)
            if not self._handler.has_room():
                await self._handler.wait_room()

    def _deliver(self, peer: str, decoder: FrameDecoder, epoch: trio.CancelScope) -> bool:
        """Hand over all whole frames; nothing of a superseded connection. Whether there was a ping among them."""
        pinged = False
        while not epoch.cancel_called and (frame := decoder.next_frame()) is not None:
            if isinstance(frame, Ping):
                pinged = True
            elif isinstance(frame, Hello | Challenge | Proof | Welcome | Pong):
                raise ProtocolError(f"{type(frame).__name__} from {peer} in the middle of a connection")
            else:
                self._handler.on_message(peer, frame)
        return pinged


async def _expect(kind: type[_F], stream: Stream, decoder: FrameDecoder) -> _F:
    """The next frame of a handshake. Raises ProtocolError if it is another one, or the connection ends."""
    while (frame := decoder.next_frame()) is None:
        data = await stream.receive_some()
        if not data:
            raise ProtocolError("the connection ended during the handshake")
        decoder.feed(data)
    if not isinstance(frame, kind):
        raise ProtocolError(f"{type(frame).__name__} instead of {kind.__name__}")
    return frame
