"""The same test in both worlds: nodes whose code is the test's own.

    @in_both_worlds
    async def test_something(world: Bench) -> None:
        await world.host("a").net.dial(…)
        await world.impose(Cut((("a", "b"),)))

In the simulated world time is virtual and costs nothing. In the real one all nodes are this process, on loopback and
real files; what a supervisor tells its processes, it is told by calls. Processes: `tests.e2e.world`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol

import pytest
import trio

from ha.world import Address, Disk, Disturbance, Evidence, Host, Link, Listener, Stream
from ha.world.real import wire
from ha.world.real.books import Books
from ha.world.real.disk import RealDisk, Trouble
from ha.world.real.disturbances import Disturbances
from ha.world.real.host import Log, RealHost, WallClock
from ha.world.real.imposed import Imposed
from ha.world.real.links import Links
from ha.world.real.net import LoopbackNetwork, Subnet
from ha.world.sim import simulate
from tests.fakes.world import FakeWorld

KINDS = ("sim", "real")
NODES = ("a", "b", "c")


class Bench(Protocol):
    """A world with the nodes a, b and c."""

    name: str
    never_s: float
    """After so long, nothing will come any more."""
    soon_s: float
    """Whatever is not held up takes less."""

    def host(self, node: str, process: str = "main") -> Host: ...
    def disk(self, node: str, process: str = "main") -> Disk: ...
    async def impose(self, disturbance: Disturbance) -> Evidence: ...
    async def lift(self, disturbance: Disturbance) -> Evidence: ...
    async def reset(self, links: Sequence[Link]) -> Evidence: ...


class _Sim(FakeWorld):
    never_s = 60.0
    soon_s = 0.25


class ClosedAfterwards(LoopbackNetwork):
    """Remembers what was opened, so that a test need not close it."""

    def __init__(self, address: str, links: Links | None, opened: list[trio.abc.AsyncResource]) -> None:
        super().__init__(address, links)
        self._opened = opened

    async def dial(self, address: Address) -> Stream:
        stream = await super().dial(address)
        self._opened.append(stream)
        return stream

    async def listen(self, port: int) -> Listener:
        listener = _Listener(await super().listen(port), self._opened)
        self._opened.append(listener)
        return listener


class _Listener(trio.abc.Listener[Stream]):
    def __init__(self, listener: Listener, opened: list[trio.abc.AsyncResource]) -> None:
        self._listener, self._opened = listener, opened

    async def accept(self) -> Stream:
        stream = await self._listener.accept()
        self._opened.append(stream)
        return stream

    async def aclose(self) -> None:
        await self._listener.aclose()


class _Real:
    """Implements what `Imposed` asks of the connection to the zygote, too."""

    name = "real"
    never_s = 0.2
    soon_s = 0.5

    def __init__(self, subnet: Subnet, directory: Path, nursery: trio.Nursery) -> None:
        self._addresses = {node: subnet.node(i) for i, node in enumerate(NODES)}
        self._subnets = {node: subnet.of_node(i) for i, node in enumerate(NODES)}
        self._books = Books(NODES)
        self._directory, self._nursery = directory, nursery
        self._processes: dict[tuple[str, str], Disturbances] = {}
        self._hosts: dict[tuple[str, str], RealHost] = {}
        self._in_force: Sequence[wire.InForce] = []
        self._clocks: Mapping[str, wire.WrongClock] = {}
        self.opened: list[trio.abc.AsyncResource] = []
        self._imposed = Imposed(self, NODES, directory, seed=3)  # type: ignore[arg-type]
        self.impose, self.lift, self.reset = self._imposed.impose, self._imposed.lift, self._imposed.reset
        self.wipe = self._imposed.wipe

    def address(self, node: str) -> str:
        return self._addresses[node]

    def host(self, node: str, process: str = "main") -> RealHost:
        if (node, process) not in self._hosts:
            self._hosts[node, process] = self._new_host(node, process)
        return self._hosts[node, process]

    def disk(self, node: str, process: str = "main") -> Disk:
        return self.host(node, process).disk

    def _new_host(self, node: str, process: str) -> RealHost:
        links = Links(
            node,
            self._addresses,
            self._subnets,
            books=self._books,
            random=Random(1),
            spawn=self._nursery.start_soon,
        )
        trouble, clock = Trouble(self._books), WallClock()
        disturbances = self._processes[node, process] = Disturbances(node, process, links, trouble, clock)
        disturbances.impose(self._in_force, self._clocks)
        return RealHost(
            node=node,
            process=process,
            address=self._addresses[node],
            subnet=self._subnets[node],
            net=ClosedAfterwards(self._addresses[node], links, self.opened),
            disk=RealDisk(self._directory / node / process, trouble),
            processes=None,  # type: ignore[arg-type]
            random=Random(1),
            log=Log(1),
            clock=clock,
        )

    async def disturb(
        self,
        nodes: Sequence[str],
        in_force: Sequence[wire.InForce],
        clocks: Mapping[str, wire.WrongClock],
        reset: Sequence[Link] = (),
    ) -> wire.Disturbed:
        """As the zygote passes it on."""
        await trio.lowlevel.checkpoint()
        known, now = ({one.number for one in both} for both in (self._in_force, in_force))
        for number in now - known:
            self._books.open(number)
        self._in_force, self._clocks = list(in_force), clocks
        order = wire.Disturb(1, list(nodes), list(in_force), dict(clocks), list(reset))
        told = {key: process for key, process in self._processes.items() if key[0] in nodes}
        obeyed = {f"{node}/{name}": process.obey(order) for (node, name), process in told.items()}
        return wire.Disturbed(1, obeyed, {number: self._books.read(number) for number in known | now})


async def _simulated(test: Callable[[Bench], Awaitable[None]]) -> None:
    async with _Sim(seed=3) as world:
        for node in NODES:
            world.address(node)
        await test(world)


async def _really(test: Callable[[Bench], Awaitable[None]], directory: Path) -> None:
    subnet = Subnet.claim()
    try:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                world = _Real(subnet, directory, nursery)
                await test(world)
                for resource in world.opened:
                    await trio.aclose_forcefully(resource)
                nursery.cancel_scope.cancel()
    finally:
        subnet.release()


def run_in(kind: str, test: Callable[[Bench], Awaitable[None]], directory: Path) -> None:
    """Run it in one of them."""
    if kind == "sim":
        simulate(partial(_simulated, test), seed=3)
    else:
        trio.run(_really, test, directory)


def in_both_worlds(test: Callable[[Bench], Awaitable[None]]) -> Callable[..., None]:
    """Make it two tests."""

    @pytest.mark.parametrize("kind", KINDS)
    def run(kind: str, tmp_path: Path) -> None:
        run_in(kind, test, tmp_path)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    return run
