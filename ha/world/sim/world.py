"""The simulated world from outside: nodes as groups of tasks, their disks, clocks and the wire between them.

Everything random comes from the seed, each part from a stream of its own, so that what one draws does not move what
another does. A process is a task with all its descendants. A killed one first loses its network and its disk, then it
is cancelled, and whatever its cleaning up still does reaches nobody. Killing a whole node is a loss of power: unsynced
data is gone, and peers hear nothing until it is booted. Killing a process keeps what it wrote; its peers see resets.
"""

from __future__ import annotations

import importlib
import math
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import Literal, TypeAlias

import msgspec
import trio

from ha.world import (
    Bandwidth,
    BitFlip,
    ClockOffset,
    ClockRate,
    Cut,
    Delay,
    DiskError,
    DiskFull,
    Disturbance,
    Evidence,
    Host,
    Link,
    NotAttestedError,
    ProcessExit,
    ProcessInfo,
    Random,
    Refuse,
    Signal,
    SlowDisk,
    TornWrite,
)
from ha.world.clocks import NodeClock
from ha.world.described import described, hits, nodes_of
from ha.world.sim.disk import Flipped, SimDisk
from ha.world.sim.host import EPOCH_S, SimHost
from ha.world.sim.scheduling import PROCESS, Gate
from ha.world.sim.trace import Trace
from ha.world.sim.wire import Wire

__all__ = ["FAULTS", "LogLine", "SimWorld", "open_world"]

FAULTS = frozenset(
    {
        "bandwidth", "bit-flip", "bridge-partition", "clock-offset", "clock-rate", "delay", "disk-error", "disk-full",
        "kill", "partition", "pause", "refuse", "reset", "restart", "ring-partition", "slow-disk", "torn-write",
        "wipe-disk",
    }
)  # fmt: skip

LogLine: TypeAlias = tuple[float, str, str, str, dict[str, object]]
"""Time, node, process, message, fields."""

_NETWORK = (Cut, Delay, Bandwidth, Refuse)
_DISK = (DiskFull, DiskError, SlowDisk, TornWrite)
_NUMBERS = {"kill": 9, "terminate": 15}
_NAMES = {"kill": "SIGKILL", "terminate": "SIGTERM", "pause": "SIGSTOP", "resume": "SIGCONT"}
_OBSERVE_S = 1.0
_START_S = (0.1, 0.5)
"""What a container runtime takes. Were it nothing, a process that is killed would be back before anybody missed it."""
_Serve: TypeAlias = Callable[..., Awaitable[None]]


class _Process:
    """A running program."""

    def __init__(self, info: ProcessInfo, host: SimHost) -> None:
        self.info, self.host = info, host
        self.scope = trio.CancelScope()
        self.gone = trio.Event()
        self.killed = False


class SimWorld:
    """See `ha.world.World`. Use `open_world` inside of `simulate`."""

    name: Literal["sim"] = "sim"
    faults = FAULTS

    def __init__(
        self,
        *,
        seed: int = 0,
        sync_s: tuple[float, float] = (0.0002, 0.001),
        start_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """`sync_s`, `start_s`: least and most that a sync takes, and a process from its start to its program."""
        self.seed, self._sync_s, self._start_s = seed, sync_s, start_s
        self.trace = Trace()
        self.wire = Wire(self.random("wire"), self.trace)
        self.logs: list[LogLine] = []
        self._addresses: dict[str, str] = {}
        self._disks: dict[tuple[str, str], SimDisk] = {}
        self._clocks: dict[str, NodeClock] = {}
        self._incarnations: dict[tuple[str, str], int] = {}
        self._processes: dict[tuple[str, str], _Process] = {}
        self._without_power: dict[str, list[SimHost]] = {}
        self._watchers: list[trio.MemorySendChannel[tuple[str, ProcessExit]]] = []
        self._imposed: list[tuple[Disturbance, dict[str, int], Flipped | None]] = []
        self._gate = Gate()
        self._pids = 100
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[typing.Self]:
        """Let it live; everything in it ends when the context is left."""
        with self._gate.installed():
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    yield self
                finally:
                    for node in sorted({node for node, _ in self._processes}):
                        self.send_signal(node, "kill")
                    for watcher in self._watchers:
                        watcher.close()
                    nursery.cancel_scope.cancel()

    # -- what exists -------------------------------------------------------------------------------------------

    def random(self, name: str) -> Random:
        """A named child stream of the seed."""
        return Random(f"{self.seed}/{name}")

    def address(self, node: str) -> str:
        """The IP address of a node, given when it is first named."""
        return self._addresses.setdefault(node, f"10.0.{len(self._addresses) // 250}.{len(self._addresses) % 250 + 1}")

    def subnet(self, node: str) -> str:
        """What a node can give to its processes."""
        _, _, high, low = self.address(node).split(".")
        return f"10.{64 + int(high)}.{low}.0/24"

    def device(self, node: str, process: str) -> SimDisk:
        """The disk of one process of a node; it outlives the process."""
        if (node, process) not in self._disks:
            random = self.random(f"disk/{node}/{process}")
            disk = SimDisk(random, self.trace, len(self._disks), sync_s=self._sync_s)
            disk.disturbances += [
                one for one, *_ in self._imposed if isinstance(one, _DISK) and hits(one, node, process)
            ]
            disk.kill_user = partial(self._kill_user, node, process)
            self._disks[node, process] = disk
        return self._disks[node, process]

    def _kill_user(self, node: str, process: str) -> None:
        if (node, process) in self._processes:
            self.send_signal(node, "kill", process)

    def clock(self, node: str) -> NodeClock:
        """The wall clock of a node."""
        return self._clocks.setdefault(node, NodeClock(trio.current_time))

    def new_host(self, node: str, process: str, address: str | None = None) -> SimHost:
        """A host for one incarnation of a process. Raises ValueError for an address of another node's."""
        if address is not None and IPv4Address(address) not in IPv4Network(self.subnet(node)):
            raise ValueError(f"{address} is not of {self.subnet(node)}, the subnet of {node}")
        incarnation = self._incarnations.get((node, process), 0)
        self._incarnations[node, process] = incarnation + 1
        random = self.random(f"{node}/{process}/{incarnation}")
        disk, clock = self.device(node, process), self.clock(node)
        return SimHost(self, node, process, address=address, disk=disk, clock=clock, random=random)

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[Host]:
        """A host outside of the cluster, off the network when left."""
        host = self.new_host(name, name)
        try:
            yield host
        finally:
            host.is_attached = False
            host.net.detach(reset=True)

    async def memory_bytes(self) -> dict[str, int]:
        """Nothing: all of it is one process."""
        return {}

    # -- processes ---------------------------------------------------------------------------------------------

    async def boot(self, node: str, name: str, program: str, config: bytes) -> ProcessInfo:
        """See `ha.world.World`."""
        if node not in self._addresses:
            raise LookupError(f"no node {node!r}")
        await trio.lowlevel.checkpoint()
        return self.start_process(node, name, program, config, {})

    async def processes(self, node: str) -> list[ProcessInfo]:
        """See `ha.world.World`."""
        await trio.lowlevel.checkpoint()
        return self.running(node)

    def running(self, node: str) -> list[ProcessInfo]:
        """What runs on a node now, sorted by name."""
        return sorted((p.info for (n, _), p in self._processes.items() if n == node), key=lambda info: info.name)

    def exits(self) -> AsyncIterator[tuple[str, ProcessExit]]:
        """Every (node, exit) from now on."""
        sender, receiver = trio.open_memory_channel[tuple[str, ProcessExit]](math.inf)
        self._watchers.append(sender)
        return receiver

    def start_process(
        self,
        node: str,
        name: str,
        program: str,
        config: bytes,
        labels: Mapping[str, str],
        *,
        address: str | None = None,
    ) -> ProcessInfo:
        """Start a program by its name. Raises ValueError when the name is taken or the program cannot be found."""
        assert self._nursery is not None
        serve = self.resolve(program)
        body = msgspec.json.decode(config or b"{}", type=typing.get_type_hints(serve).get("config", object))
        process = self.new_process(node, name, program, labels, address)

        start_s = self.random(f"start/{node}/{name}/{self._incarnations[node, name]}").uniform(*self._start_s)

        async def begin() -> None:
            await trio.sleep(start_s)
            await serve(process.host, body, task_status=trio.TASK_STATUS_IGNORED)

        async def main() -> None:
            PROCESS.set(process)
            await self._run(process, begin)

        self._nursery.start_soon(main, name=f"{node}/{name}")
        return process.info

    def resolve(self, program: str) -> _Serve:
        """The entry point of a program. Raises ValueError."""
        module, _, function = program.partition(":")
        try:
            found: _Serve = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"no such program: {program!r}") from error
        return found

    def new_process(
        self, node: str, name: str, program: str, labels: Mapping[str, str], address: str | None = None
    ) -> _Process:
        """Enter a process into the table; the node is up from now on. Raises ValueError when the name is taken."""
        if (node, name) in self._processes:
            raise ValueError(f"{name!r} runs already on {node}")
        self.wire.unsilence(self.address(node))
        for host in self._without_power.pop(node, []):
            host.net.reset_forgotten()
        self._pids += 1
        info = ProcessInfo(name=name, pid=self._pids, program=program, labels=dict(labels))
        process = self._processes[node, name] = _Process(info, self.new_host(node, name, address))
        self._trace(f"start {node}/{name}")
        return process

    async def _run(self, process: _Process, program: Callable[[], Awaitable[None]]) -> None:
        code = 0
        try:
            with process.scope:
                await program()
        except Exception as error:  # noqa: BLE001  (a crash of the program is its exit code)
            process.host.log("crashed", error=repr(error))
            code = 1
        finally:
            if not process.killed:
                self.end(process, code=code, power_lost=False)

    def end(self, process: _Process, *, code: int | None, power_lost: bool) -> None:
        """The process is gone, for everybody but itself. `code` None: it was killed."""
        node, name = process.host.node, process.info.name
        process.killed = code is None
        process.host.detach(power_lost=power_lost)
        del self._processes[node, name]
        self._trace(f"end {node}/{name} {code}")
        process.gone.set()
        number = _NUMBERS["kill"] if code is None else None
        for watcher in self._watchers:
            watcher.send_nowait((node, ProcessExit(name=name, pid=process.info.pid, code=code, signal=number)))

    # -- signals -----------------------------------------------------------------------------------------------

    async def signal(self, node: str, signal: Signal, *, process: str | None = None) -> Evidence:
        """See `ha.world.World`."""
        await trio.lowlevel.checkpoint()
        hit = self.send_signal(node, signal, process)
        targets = {one.info.name: one.info.pid for one in hit}
        if signal == "terminate":
            with trio.move_on_after(_OBSERVE_S):
                for one in hit:
                    await one.gone.wait()
            if any(not one.gone.is_set() for one in hit):
                raise NotAttestedError(f"terminate of {process or 'all'} on {node}: no effect within {_OBSERVE_S} s")
        seen = {"kill": "exited", "terminate": "exited", "pause": "stopped", "resume": "running"}[signal]
        return {"signal": _NAMES[signal], seen: targets}

    def send_signal(self, node: str, signal: Signal, process: str | None = None) -> list[_Process]:
        """Signal one process of a node or all of them. Raises LookupError when nothing of that name runs."""
        hit = [p for (n, name), p in self._processes.items() if n == node and process in (None, name)]
        if not hit:
            raise LookupError(f"no process {process or ''!r} runs on {node}".replace(" ''", ""))
        self._trace(f"{signal} {node}/{process or '*'}")
        if signal == "kill" and process is None:
            self._lose_power(node, hit)
            return hit
        for one in hit:
            match signal:
                case "kill":
                    self.end(one, code=None, power_lost=False)
                    self._gate.open(one)
                    one.scope.cancel()
                case "terminate":
                    one.scope.cancel()
                case "pause":
                    if not self._gate.is_closed(one):
                        self._gate.close(one)
                case "resume":
                    self._gate.open(one)
        return hit

    def _lose_power(self, node: str, hit: Sequence[_Process]) -> None:
        self.wire.silence(self.address(node))
        for one in hit:
            self.end(one, code=None, power_lost=True)
            self._without_power.setdefault(node, []).append(one.host)
        for (n, _), disk in self._disks.items():
            if n == node:  # also those of processes that ended before
                disk.detach(power_lost=True)
        for one in hit:
            self._gate.open(one)
            one.scope.cancel()

    async def wipe(self, node: str, *, process: str | None = None) -> Evidence:
        """See `ha.world.World`."""
        await trio.lowlevel.checkpoint()
        if node not in self._addresses:
            raise LookupError(f"no node {node!r}")
        lost: dict[str, int] = {}
        for (its, name), disk in sorted(self._disks.items()):
            if its == node and process in (None, name):
                lost |= {f"{name}/{path}": size for path, size in disk.wipe().items()}
        if not lost:
            raise NotAttestedError(f"nothing is on the disk of {node}")
        self._trace(f"wipe {node}/{process or '*'}")
        return {"emptied": lost}

    # -- disturbances ------------------------------------------------------------------------------------------

    async def impose(self, disturbance: Disturbance) -> Evidence:
        """See `ha.world.World`."""
        await trio.lowlevel.checkpoint()
        self._check_known(disturbance)
        flipped = None
        seen: dict[str, object] = {}
        match disturbance:
            case Cut() | Delay() | Bandwidth() | Refuse():
                self.wire.disturb(disturbance, self._directions(disturbance.links))
            case DiskFull() | DiskError() | SlowDisk() | TornWrite():
                for disk in self._disks_hit(disturbance):
                    disk.disturbances.append(disturbance)
            case BitFlip():
                flipped = self._flip(disturbance)
                seen = {"file": flipped.path, "byte": flipped.offset, "bit": flipped.bit}
            case ClockOffset() | ClockRate():
                clock, right = self.clock(disturbance.node), EPOCH_S + trio.current_time()
                seen["clock_before"] = right + clock.ahead_s
                clock.impose(disturbance)
                seen["clock_after"] = right + clock.ahead_s
        self._trace(f"impose {disturbance}")
        self._imposed.append((disturbance, self._counted(disturbance), flipped))
        return {"in_force": described(disturbance), **seen}

    async def lift(self, disturbance: Disturbance) -> Evidence:
        """See `ha.world.World`. Raises LookupError when it is not in force."""
        await trio.lowlevel.checkpoint()
        found = next((i for i, (one, *_) in enumerate(self._imposed) if one == disturbance), None)
        if found is None:
            raise LookupError(f"not in force: {disturbance}")
        _, before, flipped = self._imposed.pop(found)
        meanwhile: dict[str, object] = {
            what: count - before.get(what, 0) for what, count in self._counted(disturbance).items()
        }
        match disturbance:
            case Cut() | Delay() | Bandwidth() | Refuse():
                self.wire.calm(disturbance, self._directions(disturbance.links))
            case DiskFull() | DiskError() | SlowDisk() | TornWrite():
                for disk in self._disks_hit(disturbance):
                    disk.disturbances.remove(disturbance)
            case BitFlip():
                assert flipped is not None
                meanwhile["bit"] = self._put_right(disturbance, flipped)
            case ClockOffset() | ClockRate():
                clock, right = self.clock(disturbance.node), EPOCH_S + trio.current_time()
                meanwhile["clock_before"] = right + clock.ahead_s
                clock.lift(disturbance)
                meanwhile["clock_after"] = right + clock.ahead_s
        self._trace(f"lift {disturbance}")
        return {"lifted": described(disturbance), **meanwhile}

    async def reset(self, links: Sequence[Link]) -> Evidence:
        """See `ha.world.World`."""
        await trio.lowlevel.checkpoint()
        self._trace(f"reset {links}")
        count = self.wire.reset_all(self._directions(links))
        if not count:
            raise NotAttestedError("no connection was open over these links")
        return {"connections_reset": count}

    def _check_known(self, disturbance: Disturbance) -> None:
        for node in nodes_of(disturbance):
            if node not in self._addresses:
                raise LookupError(f"no node {node!r}")

    def _directions(self, links: Sequence[Link]) -> list[tuple[str, str]]:
        return [(self.address(source), self.address(destination)) for source, destination in links]

    def _disks_hit(self, disturbance: DiskFull | DiskError | SlowDisk | TornWrite | BitFlip) -> Iterator[SimDisk]:
        for (node, process), disk in sorted(self._disks.items()):
            if hits(disturbance, node, process):
                yield disk

    def _flip(self, disturbance: BitFlip) -> Flipped:
        flips = (disk.flip(disturbance) for disk in self._disks_hit(disturbance))
        flipped = next((flip for flip in flips if flip is not None), None)
        if flipped is None:
            raise NotAttestedError(f"nothing durable on the disk of {disturbance.node}")
        return flipped

    def _put_right(self, disturbance: BitFlip, flipped: Flipped) -> str:
        there = flipped.put_right(self._disks_hit(disturbance))
        return "put right" if there else "gone with its file"

    def _counted(self, disturbance: Disturbance) -> dict[str, int]:
        """What disturbances of this kind did up to now: evidence, as a difference."""
        match disturbance:
            case Cut() | Delay() | Bandwidth() | Refuse():
                links = [self.wire.link(*direction) for direction in self._directions(disturbance.links)]
                return {
                    "bytes_held": sum(link.held_bytes for link in links),
                    "connections_held": sum(link.stalled for link in links),
                    "connections_refused": sum(link.refused for link in links),
                }
            case DiskFull() | DiskError() | SlowDisk():
                disks = list(self._disks_hit(disturbance))
                return {"refused": sum(d.refused for d in disks), "slowed": sum(d.slowed for d in disks)}
            case TornWrite():
                return {"torn": sum(disk.torn for disk in self._disks_hit(disturbance))}
        return {}

    # -- what is recorded --------------------------------------------------------------------------------------

    def record_log(self, host: SimHost, message: str, fields: dict[str, object]) -> None:
        """A line of a process's log."""
        self.logs.append((trio.current_time(), host.node, host.process, message, fields))
        self._trace(f"log {host.node}/{host.process} {message} {fields}")

    def _trace(self, what: str) -> None:
        self.trace.add(trio.current_time(), 0, what.encode(errors="backslashreplace"))


@asynccontextmanager
async def open_world(*, nodes: Sequence[str], seed: int = 0) -> AsyncIterator[SimWorld]:
    """Open a simulated world whose nodes are all down; end it with everything in it. Only inside of `simulate`."""
    world = SimWorld(seed=seed, start_s=_START_S)
    for node in nodes:
        world.address(node)
    async with world.opened():
        yield world
