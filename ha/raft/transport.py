"""Messages between members over `ha.world.Network`: in order, at most once, never blocking the sender.

Each member dials every other one and sends on that connection only; what it receives comes on the connections
that it accepted. So each direction has one connection, one queue and one failure of its own.

* **FIFO, at most once.** A connection delivers its frames in order. When it ends, what was queued is dropped and
  never sent on the next: the core repairs what it misses.
* **Epochs.** A new connection from a peer supersedes the one before, and no frame of a superseded connection is
  delivered, though bytes of it may still be buffered.
* **Bounded.** `send` never waits. `flush` hands what was queued to the kernel, without a detour over another task
  while it is a little, and waits for a peer that does not read no longer than a heartbeat: then the connection, and
  with it the write, is given up. A peer that does not
  read fills its queue, and then loses its connection, queue included. Towards a receiver that does not keep up
  (`Handler.wait_room`) reading stops, so the pressure travels back.
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
from enum import Enum
from functools import partial
from math import inf
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
from ha.world.stepping import noting_block

__all__ = ["Handler", "LinkEvent", "LinkTiming", "PeerTransport"]

MAX_QUEUE_BYTES = 16 << 20
DIRECT_BYTES = 32 << 10
NONCE_BYTES = 16
FIRST_BACKOFF_S = 0.01
_F = TypeVar("_F")
_PING, _PONG = encode_frame(Ping()), encode_frame(Pong())
_CONTROL = (Hello, Challenge, Proof, Welcome, Ping, Pong)
_CONNECTION_ENDED = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class LinkEvent(Enum):
    """What happens to the connections with a peer."""

    CONNECTED = "what is sent to it from now on goes somewhere"
    DISCONNECTED = "what is sent to it from now on goes nowhere"
    ACCEPTED = "it sends on a new connection from now on; what it sent before may be lost"
    DIED = "it ended a connection, either way: its process probably died"


class Handler(Protocol):
    """Who is told. All but `wait_room` are called synchronously, between awaits of the transport."""

    def on_message(self, peer: str, message: Message) -> None:
        """A message arrived."""
        ...

    def on_event(self, peer: str, event: LinkEvent) -> None:
        """A connection began or ended."""
        ...

    def has_room(self) -> bool:
        """Whether more messages are welcome now."""
        ...

    async def wait_room(self) -> None:
        """Wait until they are."""
        ...


class LinkTiming(NamedTuple):
    """In seconds: how long dialling and authenticating may take, when to ping, when silence is death, how long to
    back off, and how long `PeerTransport.flush` may wait for one peer.
    """

    dial_s: float
    ping_s: float
    dead_s: float
    backoff_s: float
    flush_s: float


class _Link:
    """The outgoing direction to one peer. One task at a time writes: the flusher, or the link's own writer."""

    def __init__(self, peer: str, address: Address) -> None:
        self.peer, self.address = peer, address
        self.called = trio.Event()
        self.stream: Stream | None = None
        self.scope = trio.CancelScope()
        self.queue: list[bytes] = []
        self.queued_bytes = 0
        self.is_writing = False
        self.has_work = trio.Event()

    def open(self, stream: Stream) -> None:
        self.close()
        self.stream = stream
        self.scope = trio.CancelScope()
        self.is_writing = False
        self.has_work = trio.Event()

    def close(self) -> None:
        self.stream = None
        self.queue.clear()
        self.queued_bytes = 0

    def put(self, frame: bytes) -> bool:
        """False if the queue is full; the connection is then given up, and no later frame of it leaves."""
        if self.queued_bytes > MAX_QUEUE_BYTES:
            self.close()
            self.scope.cancel()
            return False
        self.queue.append(frame)
        self.queued_bytes += len(frame)
        return True

    def take(self) -> bytes:
        data = b"".join(self.queue) if len(self.queue) > 1 else self.queue[0]
        self.queue.clear()
        self.queued_bytes = 0
        return data


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
        return sum(link.stream is not None for link in self._links.values())

    def send(self, peer: str, message: Message) -> None:
        """Queue a message; drop it when the peer is not connected. It leaves with the next `flush`."""
        link = self._links[peer]
        if link.stream is None:
            return
        if self._last_sent[0] is not message:
            self._last_sent = (message, encode_frame(message))
        if not link.put(self._last_sent[1]):
            self._host.log("peer does not keep up", peer=peer)

    async def flush(self) -> None:
        """Let what was queued leave: at once if it is a little, else through the link's writer."""
        for link in self._links.values():
            if link.queue and not link.is_writing:
                if link.queued_bytes <= DIRECT_BYTES:
                    await self._write_now(link)
                else:
                    link.has_work.set()

    async def _write_now(self, link: _Link) -> None:
        stream = link.stream
        assert stream is not None, "a queue without a connection"
        scope, link.is_writing = link.scope, True

        def limit() -> None:
            scope.deadline = trio.current_time() + self._timing.flush_s

        await noting_block(self._write(link, stream), limit)
        if scope.cancel_called:
            self._host.log("peer does not read", peer=link.peer)
        elif scope.deadline != inf:
            scope.deadline = inf

    async def _write(self, link: _Link, stream: Stream) -> None:
        """Write the queue. A failure is left to whoever reads on this connection, who sees why it ended."""
        try:
            await stream.send_all(link.take())
        except _CONNECTION_ENDED:
            return
        if link.stream is stream:
            link.is_writing = False
            if link.queue:
                link.has_work.set()

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
        link.open(stream)
        self._handler.on_event(link.peer, LinkEvent.CONNECTED)
        died = False
        try:
            with link.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write_when_told, link, stream)
                    nursery.start_soon(self._ping, link)
                    died = await self._await_pongs(stream)
                    nursery.cancel_scope.cancel()
        finally:
            link.close()
            self._handler.on_event(link.peer, LinkEvent.DISCONNECTED)
        if died:
            self._handler.on_event(link.peer, LinkEvent.DIED)

    async def _write_when_told(self, link: _Link, stream: Stream) -> None:
        while True:
            await link.has_work.wait()
            link.has_work = trio.Event()
            if link.queue and not link.is_writing:
                link.is_writing = True
                await self._write(link, stream)

    async def _ping(self, link: _Link) -> None:
        while link.put(_PING):
            link.has_work.set()
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
        self._handler.on_event(peer, LinkEvent.ACCEPTED)
        died = False
        with trio.CancelScope() as epoch:
            self._accepted[peer] = epoch
            try:
                await self._read(peer, stream, decoder, epoch)
            except _CONNECTION_ENDED:
                died = True
            finally:
                is_latest = self._accepted.get(peer) is epoch  # a later one may have come and gone meanwhile
                if is_latest:
                    del self._accepted[peer]
        if died and is_latest:
            self._handler.on_event(peer, LinkEvent.DIED)

    async def _read(self, peer: str, stream: Stream, decoder: FrameDecoder, epoch: trio.CancelScope) -> None:
        """Returns when the peer is silent for too long; raises BrokenResourceError when it ended the connection."""
        with trio.move_on_after(self._timing.dead_s) as silence:
            while data := await stream.receive_some():
                decoder.feed(data)
                if self._deliver(peer, decoder, epoch):
                    await stream.send_all(_PONG)
                    silence.deadline = trio.current_time() + self._timing.dead_s
                if not self._handler.has_room():
                    await self._handler.wait_room()
            raise trio.BrokenResourceError("the peer closed the connection")

    def _deliver(self, peer: str, decoder: FrameDecoder, epoch: trio.CancelScope) -> bool:
        """Hand over all whole frames; nothing of a superseded connection. Whether there was a ping among them."""
        pinged = False
        while not epoch.cancel_called and (frame := decoder.next_frame()) is not None:
            if not isinstance(frame, _CONTROL):
                self._handler.on_message(peer, frame)
            elif isinstance(frame, Ping):
                pinged = True
            else:
                raise ProtocolError(f"{type(frame).__name__} from {peer} in the middle of a connection")
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
