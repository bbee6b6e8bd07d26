"""A simulated node as one process on it sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import trio

from ha.world import ProcessExit, ProcessInfo, Random, Signal
from ha.world.clocks import NodeClock
from ha.world.sim.disk import SimDisk
from ha.world.sim.network import SimNetwork

if TYPE_CHECKING:
    from ha.world.sim.world import SimWorld

__all__ = ["SimHost", "SimProcesses"]

EPOCH_S = 1_700_000_000.0
"""What every wall clock shows when a simulation begins."""


class SimHost:
    """See `ha.world.Host`. Once it is detached nothing that its process still does has an effect."""

    def __init__(
        self,
        world: SimWorld,
        node: str,
        process: str,
        *,
        address: str | None,
        disk: SimDisk,
        clock: NodeClock,
        random: Random,
    ) -> None:
        self._world = world
        self._clock = clock
        self.node = node
        self.process = process
        self.address = address or world.address(node)
        self.subnet = world.subnet(node)
        self.is_attached = True
        self.random = random
        self.net = SimNetwork(world.wire, self.address, world.address(node), lambda: self.is_attached)
        self.disk = disk.mount()
        self.processes = SimProcesses(world, self)

    def wall_clock(self) -> float:
        """Seconds since the epoch by this node's clock."""
        return EPOCH_S + trio.current_time() + self._clock.ahead_s

    def log(self, message: str, /, **fields: object) -> None:
        """Into the world's log and its trace."""
        if self.is_attached:
            self._world.record_log(self, message, fields)

    def detach(self, *, power_lost: bool) -> None:
        """The process is gone: first its network and its disk, so that its cleaning up has no outward effect."""
        self.is_attached = False
        self.disk.device.detach(power_lost=power_lost)
        self.net.detach(reset=not power_lost)


class SimProcesses:
    """The process table of a node. See `ha.world.Processes`."""

    def __init__(self, world: SimWorld, host: SimHost) -> None:
        self._world, self._host = world, host

    async def start(
        self,
        name: str,
        program: str,
        config: bytes,
        *,
        labels: Mapping[str, str] | None = None,
        address: str | None = None,
    ) -> ProcessInfo:
        """See `ha.world.Processes`."""
        await trio.lowlevel.checkpoint()
        self._check_attached()
        return self._world.start_process(self._host.node, name, program, config, labels or {}, address=address)

    async def list(self) -> list[ProcessInfo]:
        """See `ha.world.Processes`."""
        await trio.lowlevel.checkpoint()
        return self._world.running(self._host.node)

    async def signal(self, name: str, signal: Signal) -> None:
        """See `ha.world.Processes`."""
        await trio.lowlevel.checkpoint()
        self._check_attached()
        self._world.send_signal(self._host.node, signal, name)

    def exits(self) -> AsyncIterator[ProcessExit]:
        """See `ha.world.Processes`."""
        exits = self._world.exits()  # from now on

        async def own() -> AsyncIterator[ProcessExit]:
            async for node, ended in exits:
                if node == self._host.node:
                    yield ended

        return own()

    def execute(self, argv: Sequence[str]) -> NoReturn:
        """What needs this is refused before anything runs."""
        raise AssertionError(f"virtual time cannot run {argv[0]}")

    def _check_attached(self) -> None:
        if not self._host.is_attached:
            raise LookupError("the process is gone")
