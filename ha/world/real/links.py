"""The links between nodes as one process disturbs them: those of the connections that it dialled.

On loopback there is nothing between two nodes that could be cut without rights. But the one who dials a connection
knows the nodes at both of its ends, and sees all that passes, either way. So whoever dialled it holds up what is
disturbed (`ha.world.real.stream`), and every connection between two nodes is held up by exactly one process. A process
knows the links of its own node only; those of a client of the cluster are none, and connections within a node are not
disturbed.

`Links` is told what is in force (`impose`), always all of it, so that a process that starts later is told the same
way. While nothing is, a dial costs one look into a table more, and a stream tests one attribute.

A link's bandwidth is shared by all processes that use it: by a page of shared memory (`Meters`) with, for each link,
the time at which it is free again. Two processes that take their turn at the very same moment may both get it, and the
link then passes one piece too many; a lock would let a process that is paused while it holds it stop all others.
"""

from __future__ import annotations

import errno
import mmap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, TypeAlias

import trio

from ha.world import Address, Bandwidth, Cut, Delay, Link, Refuse

if TYPE_CHECKING:
    from ha.world.real.stream import DialledStream

__all__ = ["Direction", "LinkDisturbance", "Links", "Meters", "Route"]

LinkDisturbance: TypeAlias = Cut | Delay | Bandwidth | Refuse


class Meters:
    """When each link is free again, by the machine's monotonic clock; shared with whoever is forked from here on."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self._index = {node: i for i, node in enumerate(sorted(nodes))}
        self._times = memoryview(mmap.mmap(-1, 8 * max(1, len(self._index) ** 2))).cast("d")

    def take(self, link: Link, duration_s: float) -> float:
        """Take a link for so long, as soon as it is free; in how many seconds that will be over."""
        slot = self._index[link[0]] * len(self._index) + self._index[link[1]]
        now = time.monotonic()
        self._times[slot] = over = max(now, self._times[slot]) + duration_s
        return over - now

    def free(self, link: Link) -> None:
        """Nobody has it any more."""
        self._times[self._index[link[0]] * len(self._index) + self._index[link[1]]] = 0.0


class Direction:
    """What disturbs one link, and what it did to this process's connections: the evidence."""

    __slots__ = (
        "bandwidths", "bytes_held", "connections_held", "connections_refused", "cuts", "delays", "link", "meters",
        "random", "refusals",
    )  # fmt: skip

    def __init__(self, link: Link, meters: Meters, random: Random) -> None:
        self.link, self.meters, self.random = link, meters, random
        self.cuts = self.refusals = 0
        self.delays: list[Delay] = []
        self.bandwidths: list[Bandwidth] = []
        self.bytes_held = self.connections_held = self.connections_refused = 0

    @property
    def is_disturbed(self) -> bool:
        """Whether what passes cannot simply pass."""
        return bool(self.cuts or self.delays or self.bandwidths)

    def impose(self, in_force: Iterable[LinkDisturbance]) -> None:
        """From now on, of these, those that are of this link are in force."""
        own = [one for one in in_force if self.link in one.links]
        self.cuts = sum(isinstance(one, Cut) for one in own)
        self.refusals = sum(isinstance(one, Refuse) for one in own)
        self.delays = [one for one in own if isinstance(one, Delay)]
        if self.bandwidths and not any(isinstance(one, Bandwidth) for one in own):
            self.meters.free(self.link)
        self.bandwidths = [one for one in own if isinstance(one, Bandwidth)]

    def latency_s(self) -> float:
        """What something that leaves now takes longer."""
        return sum(one.latency_s + one.jitter_s * self.random.random() for one in self.delays)

    def arrival(self, size_bytes: int) -> float:
        """When so much that leaves now arrives, by trio's clock, unless the link is cut; counts it as held up."""
        if self.is_disturbed:
            self.bytes_held += size_bytes
        at = trio.current_time() + self.latency_s()
        if self.bandwidths and size_bytes:
            slowest = min(one.bytes_per_s for one in self.bandwidths)
            at += self.meters.take(self.link, size_bytes / slowest)
        return at


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

    def impose(self, in_force: Sequence[LinkDisturbance]) -> None:
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
        if self.there.refusals:
            self.there.connections_refused += 1
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"connection to {address} refused")

    async def _until_open(self) -> None:
        for direction in (self.there, self.back):
            direction.connections_held += direction.cuts > 0
        while self.there.cuts or self.back.cuts:
            await self._changed.wait()


class Links:
    """All routes from one process of a node. `nodes`, `subnets`: of the world; `spawn` starts a task."""

    def __init__(
        self,
        node: str,
        nodes: Mapping[str, str],
        subnets: Mapping[str, str],
        *,
        meters: Meters,
        random: Random,
        spawn: Callable[..., None],
    ) -> None:
        self._node, self._meters, self._random, self._spawn = node, meters, random, spawn
        self._nodes = {ip: name for name, ip in nodes.items()}
        self._prefixes = {subnet.rpartition(".")[0]: name for name, subnet in subnets.items()}
        self._routes: dict[str, Route] = {}
        self._in_force: list[LinkDisturbance] = []

    def route(self, ip: str) -> Route | None:
        """The way to an address; None when it is of this node, or of none."""
        node = self._nodes.get(ip) or self._prefixes.get(ip.rpartition(".")[0])
        return None if node is None or node == self._node else self._to(node)

    def impose(self, in_force: Sequence[LinkDisturbance]) -> None:
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

    def counted(self, links: Iterable[Link]) -> dict[str, int]:
        """What these links held up or refused up to now."""
        chosen = set(links)
        both = [direction for route in self._routes.values() for direction in (route.there, route.back)]
        own = [direction for direction in both if direction.link in chosen]
        return {
            "bytes_held": sum(direction.bytes_held for direction in own),
            "connections_held": sum(direction.connections_held for direction in own),
            "connections_refused": sum(direction.connections_refused for direction in own),
        }

    def connections(self, links: Iterable[Link]) -> int:
        """How many connections are open that use one of these links."""
        chosen = set(links)
        routes = [route for route in self._routes.values() if chosen & {route.there.link, route.back.link}]
        return sum(stream.is_open for route in routes for stream in route.streams)

    def _to(self, node: str) -> Route:
        if node not in self._routes:
            links = (self._node, node), (node, self._node)
            there, back = (Direction(link, self._meters, self._random) for link in links)
            self._routes[node] = Route(there, back, self._spawn)
            self._routes[node].impose(self._in_force)
        return self._routes[node]
