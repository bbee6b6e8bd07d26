"""The simulated network: TCP as a component sees it, in virtual time.

A connection is two pipes. What is written into one arrives in order after a latency, waits in the receiver's buffer
until it is read, and takes room in a window of bounded size until then: a writer whose peer does not read, or whose
acknowledgements do not come back, waits. Over a *cut* link nothing arrives; what was sent does when the link is
mended, as TCP retransmits it. A *reset* is seen after the latency. A node without power (silent) says nothing at all;
once it is up again it answers old connections with a reset.

Latency is a constant plus an exponential queueing delay, so that messages of different connections overtake each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import log
from random import Random
from typing import TYPE_CHECKING

import trio

from ha.world import Address, Bandwidth, Cut, Delay, Refuse
from ha.world.sim.clock import SimClock, clock
from ha.world.sim.trace import Trace

if TYPE_CHECKING:
    from ha.world.sim.network import SimListener, SimStream

__all__ = ["WINDOW_BYTES", "Pipe", "Wire"]

WINDOW_BYTES = 256 * 1024

_Direction = tuple[str, str]
"""From one IP address to another."""


class _Link:
    """One direction between two addresses, and what disturbs it. `held_bytes`, `refused`: evidence.

    `cuts` counts what keeps everything from passing: partitions, and ends without power.
    """

    __slots__ = ("bandwidths", "cuts", "delays", "free_at", "held_bytes", "pipes", "refusals", "refused", "stalled")

    def __init__(self) -> None:
        self.cuts = 0
        self.refusals = 0
        self.delays: list[Delay] = []
        self.bandwidths: list[Bandwidth] = []
        self.free_at = 0.0
        self.pipes: dict[Pipe, None] = {}
        self.held_bytes = 0
        self.stalled = 0
        self.refused = 0


class Wire:
    """What all nodes share: who listens, every link, every open pipe."""

    def __init__(self, random: Random, trace: Trace, *, latency_s: float = 0.0002, queueing_s: float = 0.0002) -> None:
        self.random = random
        self.trace = trace
        self.latency_s = latency_s
        self.queueing_s = queueing_s
        self.listeners: dict[Address, SimListener] = {}
        self.homes: dict[str, str] = {}
        """The address of the node that has a further one: links are between nodes."""
        self._silent: set[str] = set()
        self._links: dict[_Direction, _Link] = {}
        self._changed = trio.Event()
        self._connections = 0

    # -- links ---------------------------------------------------------------------------------------------

    def link(self, source: str, destination: str) -> _Link:
        """The state of one direction."""
        found = self._links.get((source, destination))
        if found is None:
            found = self._links[source, destination] = _Link()
            found.cuts = len({source, destination} & self._silent)
        return found

    def is_cut(self, source: str, destination: str) -> bool:
        """Whether nothing gets through in this direction now."""
        return self.link(source, destination).cuts > 0

    def arrival(self, link: _Link, now: float, size_bytes: int) -> float:
        """When so many bytes that are sent now will arrive, if nothing stops them."""
        random = self.random.random
        at = now
        if link.bandwidths:
            slowest = min(limit.bytes_per_s for limit in link.bandwidths)
            at = link.free_at = max(at, link.free_at) + size_bytes / slowest
        at += self.latency_s - log(1.0 - random()) * self.queueing_s
        for delay in link.delays:
            at += delay.latency_s + delay.jitter_s * random()
        return at

    def silence(self, ip: str) -> None:
        """A node lost its power."""
        if ip not in self._silent:
            self._silent.add(ip)
            for direction, link in self._links.items():
                link.cuts += ip in direction

    def unsilence(self, ip: str) -> None:
        """It is powered again."""
        if ip in self._silent:
            self._silent.discard(ip)
            mended = [direction for direction in self._links if ip in direction]
            for direction in mended:
                self._links[direction].cuts -= 1
            self._mended(mended)

    def disturb(self, what: Cut | Delay | Bandwidth | Refuse, directions: Iterable[_Direction]) -> None:
        """Begin a disturbance on links."""
        for source, destination in directions:
            link = self.link(source, destination)
            match what:
                case Cut():
                    link.cuts += 1
                case Refuse():
                    link.refusals += 1
                case Delay():
                    link.delays.append(what)
                case Bandwidth():
                    link.bandwidths.append(what)

    def calm(self, what: Cut | Delay | Bandwidth | Refuse, directions: Iterable[_Direction]) -> None:
        """End it."""
        mended = list(directions)
        for source, destination in mended:
            link = self.link(source, destination)
            match what:
                case Cut():
                    link.cuts -= 1
                case Refuse():
                    link.refusals -= 1
                case Delay():
                    link.delays.remove(what)
                case Bandwidth():
                    link.bandwidths.remove(what)
                    link.free_at = 0.0
        if isinstance(what, Cut):
            self._mended(mended)

    def _mended(self, directions: Iterable[_Direction]) -> None:
        for direction in list(directions):
            if not self.is_cut(*direction):
                for pipe in list(self._links[direction].pipes):
                    pipe.resume()
                back = self._links.get((direction[1], direction[0]))
                for pipe in list(back.pipes) if back is not None else []:
                    pipe.acknowledge()
        self._changed.set()
        self._changed = trio.Event()

    async def until_open(self, source: str, destination: str) -> None:
        """Wait until both directions are open."""
        for link in (self.link(source, destination), self.link(destination, source)):
            link.stalled += link.cuts > 0
        while self.is_cut(source, destination) or self.is_cut(destination, source):
            await self._changed.wait()

    # -- connections ---------------------------------------------------------------------------------------

    def connection(self, source: str, destination: str) -> tuple[Pipe, Pipe]:
        """A new connection: the direction that was dialled, and the one back."""
        self._connections += 1
        number = 2 * self._connections
        there, back = Pipe(self, number, source, destination), Pipe(self, number + 1, destination, source)
        there.answers = back
        return there, back

    def reset_all(self, directions: Iterable[_Direction]) -> int:
        """Break every connection that was dialled in these directions, for both of its ends. Returns how many."""
        dialled = [p for d in directions for p in self.link(*d).pipes if p.answers is not None and not p.is_broken_off]
        for pipe in dialled:
            assert pipe.answers is not None
            pipe.break_off()
            pipe.answers.break_off()
        return len(dialled)

    def reset(self, stream: SimStream) -> None:
        """Break a connection from one end, as the kernel does when the process that owned it is gone."""
        stream.sending.break_off()
        stream.receiving.reader_left()


class Pipe:
    """One direction of a connection. An empty segment is the end of the stream."""

    __slots__ = (
        "_arrived", "_back", "_clock", "_in_flight", "_last_arrival", "_link", "_reader", "_reader_left", "_reset",
        "_reset_at", "_room", "_unacknowledged_bytes", "_used_bytes", "answers", "destination", "number", "source",
        "wire",
    )  # fmt: skip

    def __init__(self, wire: Wire, number: int, source: str, destination: str) -> None:
        self.wire, self.number, self.source, self.destination = wire, number, source, destination
        self.answers: Pipe | None = None
        """The other direction, of the pipe of the one who dialled."""
        self._clock: SimClock = clock()
        self._link = wire.link(source, destination)
        self._back = wire.link(destination, source)
        self._link.pipes[self] = None
        self._in_flight: deque[tuple[float, bytes]] = deque()
        self._arrived: deque[bytes] = deque()
        self._used_bytes = 0
        self._unacknowledged_bytes = 0
        self._last_arrival = 0.0
        self._reset_at: float | None = None
        self._reset = False
        self._reader_left = False
        self._reader: trio.lowlevel.Task | None = None
        self._room = trio.lowlevel.ParkingLot()

    # -- the writer's side -----------------------------------------------------------------------------------

    def put(self, data: bytes) -> None:
        """Send a segment."""
        wire, now, link = self.wire, self._clock.current_time(), self._link
        wire.trace.add(now, self.number, data)
        if link.cuts or link.delays or link.bandwidths:
            link.held_bytes += len(data)
        arrival = max(self._last_arrival, wire.arrival(link, now, len(data)))
        self._last_arrival = arrival
        self._in_flight.append((arrival, data))
        self._used_bytes += len(data)
        self._clock.call_at(arrival, self.arrive)

    def break_off(self) -> None:
        """The writer is gone: the reader gets what had arrived in order, then a reset."""
        if self._reset_at is None:
            self._reset_at = max(self._last_arrival, self.wire.arrival(self._link, self._clock.current_time(), 0))
            self._clock.call_at(self._reset_at, self.arrive)
        self._room.unpark_all()

    @property
    def is_broken_off(self) -> bool:
        """Whether it will end with a reset."""
        return self._reset_at is not None

    def is_closed_for_writing(self) -> bool:
        """Whether the next bytes will be answered with a reset."""
        return (self._reader_left or self._reset_at is not None) and not self._back.cuts

    async def wait_room(self, stream: SimStream) -> None:
        """Wait until there is room in the window."""
        while True:
            stream.check_open()
            if (self._reader_left or self._reset_at is not None) and self.is_closed_for_writing():
                raise trio.BrokenResourceError("connection reset by peer")
            if self._used_bytes < WINDOW_BYTES:
                return
            await self._room.park()

    def wake_writer(self) -> None:
        """Let a waiting writer look again."""
        self._room.unpark_all()

    # -- on the way ------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """Move what is due into the receiver's buffer, unless the link is cut."""
        if self._link.cuts:
            return
        now = self._clock.current_time()
        in_flight = self._in_flight
        while in_flight and in_flight[0][0] <= now:
            self._arrived.append(in_flight.popleft()[1])
        if self._reset_at is not None and self._reset_at <= now:
            self._reset = True
        if self._arrived or self._reset:
            self.wake_reader()

    def resume(self) -> None:
        """The link is mended: what was held up is sent again."""
        if self._in_flight or self._reset_at is not None:
            again = self.wire.arrival(self._link, self._clock.current_time(), 0)
            self._in_flight = deque((max(at, again), data) for at, data in self._in_flight)
            self._last_arrival = max(self._last_arrival, again)
            if self._reset_at is not None:
                self._reset_at = max(self._reset_at, self._last_arrival)
                self._clock.call_at(self._reset_at, self.arrive)
            for at, _ in self._in_flight:
                self._clock.call_at(at, self.arrive)
        self._room.unpark_all()

    def acknowledge(self) -> None:
        """Acknowledgements get through again."""
        self._used_bytes -= self._unacknowledged_bytes
        self._unacknowledged_bytes = 0
        self._room.unpark_all()

    # -- the reader's side -----------------------------------------------------------------------------------

    def reader_left(self) -> None:
        """The reader is gone: the writer's next bytes are answered with a reset."""
        self._reader_left = True
        self._in_flight.clear()
        self._arrived.clear()
        self._link.pipes.pop(self, None)
        self._room.unpark_all()
        self.wake_reader()

    def wake_reader(self) -> None:
        """Let a waiting reader look again."""
        if self._reader is not None:
            task, self._reader = self._reader, None
            trio.lowlevel.reschedule(task)

    async def take(self, stream: SimStream, max_bytes: int) -> bytes:
        """Read at least one byte; empty at the end of the stream."""
        while True:
            stream.check_open()
            if self._arrived:
                return self._read(max_bytes)
            if self._reset:
                raise trio.BrokenResourceError("connection reset by peer")
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _read(self, max_bytes: int) -> bytes:
        arrived = self._arrived
        data = arrived[0]
        if not data:
            return b""
        if len(data) > max_bytes:
            arrived[0] = data[max_bytes:]
            data = data[:max_bytes]
        else:
            arrived.popleft()
            if arrived and len(data) < max_bytes:
                data = self._more(data, max_bytes)
        if self._back.cuts:
            self._unacknowledged_bytes += len(data)
        else:
            self._used_bytes -= len(data)
            if self._room:
                self._room.unpark_all()
        return data

    def _more(self, data: bytes, max_bytes: int) -> bytes:
        """Join what else has arrived, as one read of a socket does."""
        parts, size = [data], len(data)
        while self._arrived and self._arrived[0] and size + len(self._arrived[0]) <= max_bytes:
            part = self._arrived.popleft()
            parts.append(part)
            size += len(part)
        return b"".join(parts)
