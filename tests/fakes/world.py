"""A whole world in memory for tests in virtual time (use the ``autojump_clock`` fixture, or `run_virtual`).

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

import importlib
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import msgspec
import trio
import trio.testing

from ha.world import Address, ProcessExit, ProcessInfo, Signal
from tests.fakes.disk import FakeDisk
from tests.fakes.network import FakeNetwork, Wire

__all__ = ["FakeHost", "FakeWorld", "run_virtual"]

KILL_SIGNAL = 9
EPOCH_S = 1_700_000_000.0


def run_virtual(main: Callable[[], Awaitable[None]], *, seed: int = 0) -> None:
    """Run in virtual time with trio's scheduler seeded: the same seed runs the same schedule.

    trio shuffles each batch of runnable tasks; its private flag makes the order insertion order first, and its
    private generator decides the rest.
    """
    internals = importlib.import_module("trio._core._run")
    before = internals._ALLOW_DETERMINISTIC_SCHEDULING, internals._r.getstate()
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)
    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        internals._ALLOW_DETERMINISTIC_SCHEDULING = before[0]
        internals._r.setstate(before[1])


class FakeHost:
    """Implements `ha.world.Host` for one process of one node."""

    def __init__(self, world: FakeWorld, node: str, process: str) -> None:
        self._world, self.node, self.process = world, node, process
        self.address = world.address(node)
        self.is_attached = True
        self.random = world.random(f"{node}/{process}/{world.next_incarnation(node, process)}")
        self.net = FakeNetwork(world.wire, self.address, lambda: self.is_attached)
        self.disk = world.disk(node, process)
        self.processes = FakeProcesses(world, node)

    def wall_clock(self) -> float:
        return EPOCH_S + trio.current_time() + self._world.clock_skew_s.get(self.node, 0.0)

    def log(self, message: str, /, **fields: object) -> None:
        if self.is_attached:
            self._world.logs.append((trio.current_time(), self.node, self.process, message, fields))


class _Task:
    """A running program."""

    def __init__(self, info: ProcessInfo, host: FakeHost) -> None:
        self.info, self.host = info, host
        self.scope = trio.CancelScope()
        self.gone = trio.Event()
        self.signal: int | None = None


class FakeWorld:
    """Nodes, their disks and the wire between them. Everything random comes from `seed`."""

    def __init__(
        self,
        *,
        seed: int = 0,
        latency_s: tuple[float, float] = (0.0002, 0.001),
        sync_s: tuple[float, float] = (0.0002, 0.001),
    ) -> None:
        self.seed, self._sync_s = seed, sync_s
        self.wire = Wire(self.random("wire"), latency_s)
        self.programs: dict[str, Callable[..., Awaitable[None]]] = {}
        self.logs: list[tuple[float, str, str, str, dict[str, object]]] = []
        self.clock_skew_s: dict[str, float] = {}
        self._addresses: dict[str, str] = {}
        self._disks: dict[tuple[str, str], FakeDisk] = {}
        self._incarnations: dict[tuple[str, str], int] = {}
        self._tasks: dict[tuple[str, str], _Task] = {}
        self._off_line: dict[str, list[FakeHost]] = {}
        self._watchers: list[trio.MemorySendChannel[tuple[str, ProcessExit]]] = []
        self._pids = 100
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> typing.Self:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        return await self._manager.__aexit__(*exc)

    # -- what exists -------------------------------------------------------------------------------------

    def random(self, name: str) -> Random:
        """A named child stream of the seed."""
        return Random(f"{self.seed}/{name}")

    def address(self, node: str) -> str:
        """The IP address of a node, given when it is first named."""
        return self._addresses.setdefault(node, f"10.0.{len(self._addresses) // 250}.{len(self._addresses) % 250 + 1}")

    def disk(self, node: str, process: str = "main") -> FakeDisk:
        """The disk of one process of a node; it outlives the process."""
        if (node, process) not in self._disks:
            self._disks[node, process] = FakeDisk(self.random(f"disk/{node}/{process}"), self._sync_s)
        return self._disks[node, process]

    def host(self, node: str, process: str = "main") -> FakeHost:
        """A host for something that the test runs itself."""
        return FakeHost(self, node, process)

    def next_incarnation(self, node: str, process: str) -> int:
        """Count the hosts made for one process."""
        self._incarnations[node, process] = self._incarnations.get((node, process), -1) + 1
        return self._incarnations[node, process]

    def running(self, node: str) -> list[ProcessInfo]:
        """What runs on a node, sorted by name."""
        return sorted((t.info for (n, _), t in self._tasks.items() if n == node), key=lambda info: info.name)

    # -- programs ----------------------------------------------------------------------------------------

    async def start(self, node: str, serve: Callable[..., Awaitable[None]], *, process: str = "main") -> FakeHost:
        """Run ``serve(host, task_status=...)`` as a process; returns when it reports that it has started."""
        assert self._nursery is not None
        task = self._new_task(node, process, getattr(serve, "__name__", "test"), {})
        await self._nursery.start(partial(self._run, task, serve, contain=False))
        return task.host

    async def kill(self, node: str, process: str | None = None) -> None:
        """SIGKILL one process or all of them: connections are reset, what was written stays written."""
        await self._stop(node, process, power_lost=False)

    async def power_off(self, node: str) -> None:
        """Cut the power: unsynced data is lost, and peers hear nothing until the node runs something again."""
        self.wire.silent.add(self.address(node))
        self.wire.notify()
        await self._stop(node, None, power_lost=True)

    async def _stop(self, node: str, process: str | None, *, power_lost: bool) -> None:
        tasks = [t for (n, p), t in self._tasks.items() if n == node and process in (None, p)]
        for task in tasks:
            self._detach(task, power_lost=power_lost)
            task.signal = KILL_SIGNAL
            task.scope.cancel()
        for task in tasks:
            await task.gone.wait()
        if power_lost:
            for (n, _), disk in self._disks.items():
                if n == node:
                    disk.detach(power_lost=True)

    def _detach(self, task: _Task, *, power_lost: bool) -> None:
        host = task.host
        host.is_attached = False
        host.disk.detach(power_lost=power_lost)
        host.net.detach(reset=not power_lost)
        if power_lost:
            self._off_line.setdefault(host.node, []).append(host)

    def _new_task(self, node: str, process: str, program: str, labels: Mapping[str, str]) -> _Task:
        if (node, process) in self._tasks:
            raise ValueError(f"{process!r} runs already on {node}")
        self.wire.silent.discard(self.address(node))
        self.wire.notify()
        for host in self._off_line.pop(node, []):
            host.net.reset_forgotten()
        self._pids += 1
        info = ProcessInfo(name=process, pid=self._pids, program=program, labels=dict(labels))
        task = self._tasks[node, process] = _Task(info, FakeHost(self, node, process))
        return task

    async def _run(
        self, task: _Task, serve: Callable[..., Awaitable[None]], *, contain: bool, task_status: typing.Any
    ) -> None:
        code = 0
        try:
            with task.scope:
                await serve(task.host, task_status=task_status)
        except Exception as error:
            if task.signal is None:
                task.host.log("crashed", error=repr(error))
                if not contain:
                    raise
                code = 1
        finally:
            if task.host.is_attached:
                self._detach(task, power_lost=False)
            self._tasks.pop((task.host.node, task.info.name), None)
            task.gone.set()
            self._report(task, code)

    def _report(self, task: _Task, code: int) -> None:
        code_or_none = code if task.signal is None else None
        ended = ProcessExit(name=task.info.name, pid=task.info.pid, code=code_or_none, signal=task.signal)
        for watcher in self._watchers:
            watcher.send_nowait((task.host.node, ended))

    async def start_program(
        self, node: str, name: str, program: str, config: bytes, labels: Mapping[str, str]
    ) -> ProcessInfo:
        """Start a program by name, as ``host.processes.start`` does; its failure is an exit code."""
        assert self._nursery is not None
        serve = self._resolve(program)
        hint = typing.get_type_hints(serve).get("config", object)
        body = msgspec.json.decode(config or b"{}", type=hint)
        task = self._new_task(node, name, program, labels)

        async def main(host: FakeHost, task_status: typing.Any) -> None:
            await serve(host, body, task_status=task_status)

        self._nursery.start_soon(partial(self._run, task, main, contain=True, task_status=trio.TASK_STATUS_IGNORED))
        return task.info

    def _resolve(self, program: str) -> Callable[..., Awaitable[None]]:
        if program in self.programs:
            return self.programs[program]
        module, _, function = program.partition(":")
        try:
            found: Callable[..., Awaitable[None]] = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"no such program: {program!r}") from error
        return found

    async def signal(self, node: str, name: str, signal: Signal) -> None:
        """Signal a process. ``pause`` freezes its network, not its code: nothing goes in or out."""
        task = self._tasks.get((node, name))
        if task is None:
            raise LookupError(f"no process {name!r} runs on {node}")
        if signal == "kill":
            await self.kill(node, name)
        elif signal == "terminate":
            task.scope.cancel()
            await task.gone.wait()
        elif signal == "pause":
            self.wire.silent.add(self.address(node))
        else:
            self.wire.silent.discard(self.address(node))
        self.wire.notify()

    def watch_exits(self) -> trio.MemoryReceiveChannel[tuple[str, ProcessExit]]:
        """Every (node, exit) from now on."""
        sender, receiver = trio.open_memory_channel[tuple[str, ProcessExit]](1000)
        self._watchers.append(sender)
        return receiver

    # -- faults ------------------------------------------------------------------------------------------

    def cut(self, source: str, destination: str) -> None:
        """Let nothing through from one node to another; the other way stays open."""
        self.wire.cut(self.address(source), self.address(destination))

    def partition(self, *sides: typing.Iterable[str]) -> None:
        """Cut the sides off from each other, both ways."""
        groups = [list(side) for side in sides]
        for here in groups:
            for there in groups:
                if here is not there:
                    for source in here:
                        for destination in there:
                            self.cut(source, destination)

    def slow(self, source: str, destination: str, extra_s: float) -> None:
        """Add to the latency from one node to another."""
        self.wire.extra_latency_s[self.address(source), self.address(destination)] = extra_s

    def heal(self) -> None:
        """Undo every partition and delay."""
        self.wire.heal()

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[FakeHost]:
        """A host outside of the cluster, off the network when left."""
        host = self.host(name, "client")
        try:
            yield host
        finally:
            host.is_attached = False
            host.net.detach(reset=True)


class FakeProcesses:
    """Implements `ha.world.Processes` on the tasks of a `FakeWorld`."""

    def __init__(self, world: FakeWorld, node: str) -> None:
        self._world, self._node = world, node

    async def start(
        self, name: str, program: str, config: bytes, *, labels: Mapping[str, str] | None = None
    ) -> ProcessInfo:
        await trio.lowlevel.checkpoint()
        return await self._world.start_program(self._node, name, program, config, labels or {})

    async def list(self) -> list[ProcessInfo]:
        await trio.lowlevel.checkpoint()
        return self._world.running(self._node)

    async def signal(self, name: str, signal: Signal) -> None:
        await trio.lowlevel.checkpoint()
        await self._world.signal(self._node, name, signal)

    async def exits(self) -> AsyncIterator[ProcessExit]:
        async for node, ended in self._world.watch_exits():
            if node == self._node:
                yield ended


def peer_address(world: FakeWorld, node: str, port: int) -> Address:
    """Where a node listens."""
    return Address(world.address(node), port)
