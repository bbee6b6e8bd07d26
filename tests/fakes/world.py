"""The simulated world with handles for tests (use the ``autojump_clock`` fixture, or `run_virtual`).

    async with FakeWorld(seed=1) as world:
        await world.start("a", serve_a)              # async def serve_a(host, *, task_status)
        await world.kill("a")                        # SIGKILL: peers see a reset, the page cache survives
        await world.start("a", serve_a)
        await world.power_off("a")                   # unsynced data is lost, peers hear nothing
        world.partition(["a"], ["b", "c"]); world.cut("a", "b"); world.heal()

Nodes come into being when they are named; ``world.host("x")`` is a bare host for a client or a component that
the test runs itself. A program started through ``host.processes`` is looked up in ``world.programs`` first, then
imported; its exits are reported there. A failure of a program that the test started fails the test.
"""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable, Iterable

import trio
import trio.testing

from ha.world import Address, ClockOffset, Cut, Delay, ProcessExit
from ha.world.sim import SimWorld, simulate
from ha.world.sim.disk import ProcessDisk
from ha.world.sim.host import SimHost
from ha.world.sim.scheduling import PROCESS

__all__ = ["FakeHost", "FakeWorld", "peer_address", "run_virtual"]

FakeHost = SimHost


def run_virtual(main: Callable[[], Awaitable[None]], *, seed: int = 0) -> None:
    """Run in virtual time; the same seed runs the same schedule."""
    simulate(main, seed=seed)


class _RemountedDisk(ProcessDisk):
    @property
    def _generation(self) -> int:
        return self.device._generation

    @_generation.setter
    def _generation(self, _: int) -> None:
        pass


class FakeWorld(SimWorld):
    """A simulated world that is opened as a context, and whose processes may be functions of the test."""

    def __init__(
        self,
        *,
        seed: int = 0,
        sync_s: tuple[float, float] = (0.0002, 0.001),
        start_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        super().__init__(seed=seed, sync_s=sync_s, start_s=start_s)
        self.programs: dict[str, Callable[..., Awaitable[None]]] = {}
        self._disturbances: list[tuple[Cut | Delay, list[tuple[str, str]]]] = []

    async def __aenter__(self) -> typing.Self:
        self._context = self.opened()
        return await self._context.__aenter__()

    async def __aexit__(self, *exc: object) -> bool | None:
        return await self._context.__aexit__(*exc)

    def host(self, node: str, process: str = "main") -> SimHost:
        """A host for something that the test runs itself."""
        return self.new_host(node, process)

    def disk(self, node: str, process: str = "main") -> ProcessDisk:
        """A disk for something that the test runs itself; it stays usable when the node fails."""
        return _RemountedDisk(self.device(node, process), 0)

    def resolve(self, program: str) -> Callable[..., Awaitable[None]]:
        return self.programs.get(program) or super().resolve(program)

    async def start(self, node: str, serve: Callable[..., Awaitable[None]], *, process: str = "main") -> SimHost:
        """Run ``serve(host, task_status=...)`` as a process; returns when it reports that it has started."""
        assert self._nursery is not None
        started = self.new_process(node, process, getattr(serve, "__name__", "test"), {})

        async def main(*, task_status: trio.TaskStatus[None]) -> None:
            PROCESS.set(started)
            code = 0
            try:
                with started.scope:
                    await serve(started.host, task_status=task_status)
            except Exception:
                code = 1
                if not started.killed:
                    raise
            finally:
                if not started.killed:
                    self.end(started, code=code, power_lost=False)

        await self._nursery.start(main)
        return started.host

    async def start_program(self, node: str, name: str, program: str, config: bytes, labels: dict[str, str]) -> None:
        """Start a program by name on a node that need not have been named before."""
        await trio.lowlevel.checkpoint()
        self.start_process(node, name, program, config, labels)

    async def kill(self, node: str, process: str | None = None) -> None:
        """SIGKILL one process or all of them: connections are reset, what was written stays written."""
        await trio.lowlevel.checkpoint()
        for info in self.running(node):
            if process in (None, info.name):
                self.send_signal(node, "kill", info.name)
        await trio.testing.wait_all_tasks_blocked()  # what they still do reaches nobody, but the test may look at it

    async def power_off(self, node: str) -> None:
        """Cut the power: unsynced data is lost, and peers hear nothing until the node runs something again."""
        await trio.lowlevel.checkpoint()
        self.wire.silence(self.address(node))
        if self.running(node):
            self.send_signal(node, "kill")
        else:
            for (name, _), disk in self._disks.items():
                if name == node:
                    disk.detach(power_lost=True)
        await trio.testing.wait_all_tasks_blocked()

    def watch_exits(self) -> trio.MemoryReceiveChannel[tuple[str, ProcessExit]]:
        """Every (node, exit) from now on."""
        return typing.cast("trio.MemoryReceiveChannel[tuple[str, ProcessExit]]", self.exits())

    # -- faults ------------------------------------------------------------------------------------------

    def cut(self, source: str, destination: str) -> None:
        """Let nothing through from one node to another; the other way stays open."""
        self._disturb(Cut(((source, destination),)))

    def partition(self, *sides: Iterable[str]) -> None:
        """Cut the sides off from each other, both ways."""
        groups = [list(side) for side in sides]
        for here in groups:
            for there in groups:
                if here is not there:
                    self._disturb(Cut(tuple((a, b) for a in here for b in there)))

    def slow(self, source: str, destination: str, extra_s: float) -> None:
        """Add to the latency from one node to another."""
        self._disturb(Delay(((source, destination),), latency_s=extra_s))

    def heal(self) -> None:
        """Undo every partition and delay."""
        while self._disturbances:
            self.wire.calm(*self._disturbances.pop())

    def skew(self, node: str, offset_s: float) -> None:
        """Let a node's wall clock jump."""
        self.clock(node).impose(ClockOffset(node, offset_s))

    def _disturb(self, what: Cut | Delay) -> None:
        directions = [(self.address(source), self.address(destination)) for source, destination in what.links]
        self.wire.disturb(what, directions)
        self._disturbances.append((what, directions))


def peer_address(world: SimWorld, node: str, port: int) -> Address:
    """Where a node listens."""
    return Address(world.address(node), port)
