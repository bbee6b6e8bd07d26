"""The client's side of a connection to the zygote: requests, replies, and the exits that it announces.

One task runs `Link.run`; any number of others make requests, which are answered by id. A cancelled request
leaves the stream intact: its frame is sent whole, and its late reply is dropped. Exits are handed to every
open subscription, buffered without bound (an exit is small, and losing one would be a lie).

When the connection ends, requests and subscriptions get `WorldLostError`, unless `close` was called first:
subscriptions then end quietly.
"""

from __future__ import annotations

import socket
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import trio

from ha.world import Link as LinkName
from ha.world import NotAttestedError, ProcessInfo, Signal
from ha.world.real import wire

__all__ = ["Link", "Subscription", "WorldLostError"]

T = TypeVar("T")

_SEND_S = 5.0


class WorldLostError(Exception):
    """The zygote, and with it every process of the run, is gone."""


class Subscription(Generic[T]):
    """Every exit since it was made, as an async iterator. Nothing needs closing."""

    def __init__(self, convert: Callable[[wire.Exited], T]) -> None:
        self._convert = convert
        self._exits: deque[wire.Exited] = deque()
        self._changed = trio.Event()
        self._ended = False
        self._error: str | None = None

    def push(self, notice: wire.Exited) -> None:
        """Hand over one exit."""
        self._exits.append(notice)
        self._changed.set()

    def end(self, error: str | None) -> None:
        """No exit will follow; what was handed over can still be read."""
        self._ended, self._error = True, error
        self._changed.set()

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint()
        while not self._exits:
            if self._error is not None:
                raise WorldLostError(self._error)
            if self._ended:
                raise StopAsyncIteration
            self._changed = trio.Event()
            await self._changed.wait()
        return self._convert(self._exits.popleft())


class _Waiting:
    """A request that was not answered yet."""

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.reply: wire.Reply | None = None


class Link:
    """A connection to the zygote."""

    def __init__(self, sock: socket.socket, obey: Callable[[wire.Disturb], wire.Obeyed] | None = None) -> None:
        """`obey`: what a process does when it is to be disturbed."""
        self._obey = obey
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._sending = trio.Lock()
        self._next_id = 1
        self._waiting: dict[int, _Waiting] = {}
        self._subscriptions: weakref.WeakSet[Subscription[Any]] = weakref.WeakSet()
        self._ended = False
        self._closing = False
        self.lost: str | None = None
        """Why the connection ended although nobody closed it."""
        self.ready: wire.Ready | wire.Failed | None = None
        self._ready = trio.Event()

    async def run(self) -> str:
        """Receive until the connection ends; why it did."""
        try:
            why = await self._receive()
        except (trio.BrokenResourceError, wire.WireError) as error:
            why = f"the connection to the zygote broke: {error}"
        except trio.ClosedResourceError:
            why = "closed"
        self.end(why)
        return why

    async def _receive(self) -> str:
        frames = wire.Frames()
        while data := await self._stream.receive_some(65536):
            for body in frames.feed(bytes(data)):
                message = wire.decode_message(body)
                if isinstance(message, wire.Disturb):
                    assert self._obey is not None, "nobody disturbs the supervisor"
                    await self.send(self._obey(message))
                else:
                    self._take(message)
        return "the zygote closed the connection"

    def _take(self, message: wire.Ready | wire.Reply | wire.Exited) -> None:
        match message:
            case wire.Exited():
                for subscription in list(self._subscriptions):
                    subscription.push(message)
            case wire.Ready() | wire.Failed(id=0):
                self._closing = isinstance(message, wire.Failed)  # the zygote ends with it
                self.ready = message
                self._ready.set()
            case _:
                waiting = self._waiting.get(message.id)
                if waiting is not None:  # else it was cancelled
                    waiting.reply = message
                    waiting.answered.set()

    def end(self, why: str | None) -> None:
        """Nothing more comes: fail what waits. `why` None: it was we who closed."""
        if self._ended:
            return
        self._ended, self.lost = True, None if self._closing else why
        self._ready.set()
        for waiting in self._waiting.values():
            waiting.answered.set()
        for subscription in list(self._subscriptions):
            subscription.end(self.lost)

    async def wait_ready(self) -> None:
        """Until the zygote serves. Raises WorldLostError, or ValueError when it could not import the preload."""
        await self._ready.wait()
        if isinstance(self.ready, wire.Failed):
            raise _error(self.ready)
        if self.ready is None:
            raise WorldLostError(self.lost or "closed")

    async def send(self, request: wire.Setup | wire.Request) -> None:
        """Send one frame whole. Raises WorldLostError."""
        async with self._sending:
            with trio.move_on_after(_SEND_S, shield=True) as sending:
                try:
                    await self._stream.send_all(wire.frame(request))
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    raise WorldLostError(self.lost or f"the zygote is gone: {error}") from error
            if sending.cancelled_caught:
                self.end(f"the zygote did not read for {_SEND_S} s")
                raise WorldLostError(self.lost or "closed")

    async def start(
        self,
        node: str,
        name: str,
        program: str,
        config: bytes,
        labels: dict[str, str],
        *,
        address: str | None = None,
        boot: bool,
    ) -> ProcessInfo:
        """See `ha.world.Processes.start`."""
        request = wire.Start(0, node, name, program, config, labels, address, boot)
        reply = await self._ask(lambda i: msgspec.structs.replace(request, id=i))
        assert isinstance(reply, wire.Started), reply
        return reply.process

    async def list(self, node: str) -> list[ProcessInfo]:
        """What runs on a node, sorted by name."""
        reply = await self._ask(lambda i: wire.List(id=i, node=node))
        assert isinstance(reply, wire.Listed), reply
        return reply.processes

    async def signal(self, node: str, name: str | None, signal: Signal, *, observe: bool) -> dict[str, object]:
        """Signal, and with `observe` wait for the effect; the evidence."""
        reply = await self._ask(lambda i: wire.SendSignal(id=i, node=node, name=name, signal=signal, observe=observe))
        assert isinstance(reply, wire.Observed), reply
        return reply.evidence

    async def disturb(
        self,
        nodes: Sequence[str],
        in_force: Sequence[wire.InForce],
        clocks: Mapping[str, wire.WrongClock],
        reset: Sequence[LinkName] = (),
    ) -> wire.Disturbed:
        """Tell all processes of these nodes what is in force, and wait until they obey."""
        order = wire.Disturb(0, list(nodes), list(in_force), dict(clocks), list(reset))
        reply = await self._ask(lambda i: msgspec.structs.replace(order, id=i))
        assert isinstance(reply, wire.Disturbed), reply
        return reply

    async def close(self) -> None:
        """Ask the zygote to kill everything; subscriptions end quietly from here on. Raises WorldLostError."""
        self._closing = True
        await self._ask(lambda i: wire.Close(id=i))

    def subscribe(self, convert: Callable[[wire.Exited], T]) -> Subscription[T]:
        """Every exit from now on."""
        subscription = Subscription(convert)
        if self._ended:
            subscription.end(self.lost)
        self._subscriptions.add(subscription)
        return subscription

    async def aclose(self) -> None:
        """Close the connection."""
        self.end(None)
        await trio.aclose_forcefully(self._stream)

    async def _ask(self, build: Callable[[int], wire.Request]) -> wire.Reply:
        if self._ended:
            await trio.lowlevel.checkpoint()
            raise WorldLostError(self.lost or "the world is closed")
        number = self._next_id
        self._next_id += 1
        waiting = self._waiting[number] = _Waiting()
        try:
            await self.send(build(number))
            await waiting.answered.wait()
        finally:
            del self._waiting[number]
        if waiting.reply is None:
            raise WorldLostError(self.lost or "the world is closed")
        if isinstance(waiting.reply, wire.Failed):
            raise _error(waiting.reply)
        return waiting.reply


def _error(failed: wire.Failed) -> Exception:
    match failed.fault:
        case "value":
            return ValueError(failed.message)
        case "lookup":
            return LookupError(failed.message)
        case "os":
            return OSError(failed.errno, failed.message)
        case "not-attested":
            return NotAttestedError(failed.message)
