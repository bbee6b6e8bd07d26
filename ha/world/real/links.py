"""The links between nodes as one process disturbs them: those of the connections that it dialled.

On loopback there is nothing between two nodes that could be cut without rights. But the one who dials a connection
knows the nodes at both of its ends, and sees all that passes, either way. So whoever dialled it holds up what is
disturbed (`ha.world.real.stream`), and every connection between two nodes is held up by exactly one process. A process
knows the links of its own node only; those of a client of the cluster are none, and connections within a node are not
disturbed.

`Links` is told what is in force (`impose`), always all of it, so that a process that starts later is told the same
way. While nothing is, a dial costs one look into a table more, and a stream tests one attribute.

A link's bandwidth is shared by all processes that use it (`ha.world.real.books`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

import trio

from ha.world import Address, Bandwidth, Cut, Delay, Link, Refuse
from ha.world.real.books import Books
from ha.world.real.wire import InForce

if TYPE_CHECKING:
    from ha.world.real.stream import DialledStream

__all__ = ["Direction", "Links", "Route"]


class Direction:
    """One link, and what disturbs it."""

    __slots__ = ("_books", "_cuts", "_holding", "_random", "_refusals", "bandwidths", "delays", "link")

    def __init__(self, link: Link, books: Books, random: Random) -> None:
        self.link, self._books, self._random = link, books, random
        self._cuts: list[int] = []
        self._refusals: list[int] = []
        self._holding: list[int] = []
        """The numbers of what holds up what passes: cuts, delays, bandwidths."""
        self.delays: list[Delay] = []
        self.bandwidths: list[Bandwidth] = []

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes."""
        return bool(self._cuts)

    @property
    def is_disturbed(self) -> bool:
        """Whether what passes cannot simply pass."""
        return bool(self._holding)

    def impose(self, in_force: Sequence[InForce]) -> None:
        """From now on, of these, those that are of this link are in force."""
        own = [
            (one.number, one.what)
            for one in in_force
            if isinstance(one.what, Cut | Delay | Bandwidth | Refuse) and self.link in one.what.links
        ]
        self._cuts = [number for number, what in own if isinstance(what, Cut)]
        self._refusals = [number for number, what in own if isinstance(what, Refuse)]
        self._holding = [number for number, what in own if not isinstance(what, Refuse)]
        self.delays = [what for _, what in own if isinstance(what, Delay)]
        if self.bandwidths and not any(isinstance(what, Bandwidth) for _, what in own):
            self._books.free(self.link)
        self.bandwidths = [what for _, what in own if isinstance(what, Bandwidth)]

    def latency_s(self) -> float:
        """What something that leaves now takes longer."""
        return sum(one.latency_s + one.jitter_s * self._random.random() for one in self.delays)

    def arrival(self, size_bytes: int) -> float:
        """When so much that leaves now arrives, by trio's clock, unless the link is cut; counts it as held up."""
        for number in self._holding:
            self._books.count(number, "bytes_held", size_bytes)
        at = trio.current_time() + self.latency_s()
        if self.bandwidths and size_bytes:
            slowest = min(one.bytes_per_s for one in self.bandwidths)
            at += self._books.take(self.link, size_bytes / slowest)
        return at

    def hold_dial(self) -> None:
        """Somebody dials: count it if it is held up."""
        for number in self._cuts:
            self._books.count(number, "connections_held")

    def refuses(self) -> bool:
        """Whether who dials is refused; counts it then."""
        for number in self._refusals:
            self._books.count(number, "connections_refused")
        return bool(self._refusals)


class Route:
    """The two links between this node and another, and the connections that this process dialled over them."""

    def __init__(self, there: Direction, back: Direction, spawn: Callable[..., None]) -> None:
        self.there, self.back, self.spawn = there, back, spawn
        self.streams: dict[DialledStream, None] = {}
        self._changed = trio.Event()

    @property
    def is_disturbed(self) -> bool:
        """Whether connections must be looked after."""
        return self.there.is_disturbed or self.back.is_disturbed

    def impose(self, in_force: Sequence[InForce]) -> None:
        """See `Links.impose`."""
        self.there.impose(in_force)
        self.back.impose(in_force)
        self._changed.set()
        self._changed = trio.Event()
        for stream in list(self.streams):
            stream.changed()

    async def handshake(self, address: Address) -> None:
        """What a dial meets on its way there and back: returns when it has arrived. Raises ConnectionRefusedError."""
        await self._until_open()
        delay_s = self.there.latency_s() + self.back.latency_s()
        if delay_s:
            await trio.sleep(delay_s)
            await self._until_open()
        if self.there.refuses():
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"connection to {address} refused")

    async def _until_open(self) -> None:
        for direction in (self.there, self.back):
            direction.hold_dial()
        while self.there.is_cut or self.back.is_cut:
            await self._changed.wait()


class Links:
    """All routes from one process of a node. `nodes`, `subnets`: of the world; `spawn` starts a task."""

    def __init__(
        self,
        node: str,
        nodes: Mapping[str, str],
        subnets: Mapping[str, str],
        *,
        books: Books,
        random: Random,
        spawn: Callable[..., None],
    ) -> None:
        self._node, self._books, self._random, self._spawn = node, books, random, spawn
        self._nodes = {ip: name for name, ip in nodes.items()}
        self._prefixes = {subnet.rpartition(".")[0]: name for name, subnet in subnets.items()}
        self._routes: dict[str, Route] = {}
        self._in_force: list[InForce] = []

    def route(self, ip: str) -> Route | None:
        """The way to an address; None when it is of this node, or of none."""
        node = self._nodes.get(ip) or self._prefixes.get(ip.rpartition(".")[0])
        return None if node is None or node == self._node else self._to(node)

    def impose(self, in_force: Sequence[InForce]) -> None:
        """From now on these disturbances are in force, and no others."""
        self._in_force = list(in_force)
        for route in list(self._routes.values()):
            route.impose(self._in_force)

    def reset(self, links: Iterable[Link]) -> int:
        """Break every open connection that was dialled over these links, also where they are cut: whoever breaks them
        stands in the middle. Returns how many.
        """
        chosen = set(links)
        routes = [route for route in self._routes.values() if route.there.link in chosen]
        streams = [stream for route in routes for stream in route.streams if stream.is_open]
        for stream in streams:
            stream.reset()
        return len(streams)

    def connections(self, links: Iterable[Link]) -> int:
        """How many connections are open that use one of these links."""
        chosen = set(links)
        routes = [route for route in self._routes.values() if chosen & {route.there.link, route.back.link}]
        return sum(stream.is_open for route in routes for stream in route.streams)

    def _to(self, node: str) -> Route:
        if node not in self._routes:
            links = (self._node, node), (node, self._node)
            there, back = (Direction(link, self._books, self._random) for link in links)
            self._routes[node] = Route(there, back, self._spawn)
            self._routes[node].impose(self._in_force)
        return self._routes[node]
