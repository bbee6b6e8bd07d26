"""The real world from outside: nodes as process groups, forked by a zygote, on loopback.

`open_world` starts the zygote by exec, which is simpler and sounder than a fork of the caller (a caller that
runs trio, perhaps with threads, must not be forked) and costs one start of Python with the imports. Every
answer about processes comes from the zygote; this side only asks, and checks the end.

Promises:

* when the context is left, by whatever way, no process of the run is alive (bounded; else `LeftoverError`);
* when the supervisor itself is killed, the kernel ends the run (`ha.world.real.lifeline`). Its main thread
  is what counts, so `open_world` must run in it;
* when the zygote dies, the body of the context is cancelled and `WorldLostError` says so.

The run directory afterwards: ``logs/<node>/<process>.log`` (``logs/world/zygote.log``), ``disks/<node>/<process>/``.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal, NoReturn

import trio

from ha.world import Disturbance, Evidence, Host, NotAttestedError, ProcessExit, ProcessInfo, Signal
from ha.world import Link as LinkName
from ha.world.real import wire
from ha.world.real.disk import RealDisk
from ha.world.real.host import Log, RealHost, open_log
from ha.world.real.imposed import Imposed
from ha.world.real.link import Link, WorldLostError
from ha.world.real.net import LoopbackNetwork, Subnet
from ha.world.real.remains import LeftoverError, ZygoteProcess, proportional_set_size

__all__ = ["FAULTS", "LeftoverError", "RealWorld", "WorldLostError", "open_world"]

FAULTS = frozenset(
    {
        "bandwidth", "bit-flip", "bridge-partition", "clock-offset", "clock-rate", "delay", "disk-error", "disk-full",
        "kill", "partition", "pause", "refuse", "reset", "restart", "ring-partition", "slow-disk", "torn-write",
        "wipe-disk",
    }
)  # fmt: skip

_OBSERVE_S = 1.0
_TERMINATE_S = 10.0
"""A program that is asked to end does so when it has put its things in order: the real etcd takes a second for that."""
_CLOSE_S = 2.0


class RealWorld:
    """See `ha.world.World`."""

    name: Literal["real"] = "real"
    faults = FAULTS

    def __init__(self, zygote: ZygoteProcess, subnet: Subnet, setup: wire.Setup) -> None:
        self._zygote = zygote
        self._subnet = subnet
        self._setup = setup
        self._directory = Path(setup.directory)
        self._link = Link(zygote.control)
        self._imposed = Imposed(self._link, setup.nodes, self._directory / "disks", setup.seed)
        self._closing: trio.Event | None = None

    @property
    def preload_s(self) -> float:
        """How long the zygote's imports took."""
        assert isinstance(self._link.ready, wire.Ready)
        return self._link.ready.preload_s

    def address(self, node: str) -> str:
        """Raises LookupError."""
        return self._setup.nodes[node]

    def client(self, name: str) -> AbstractAsyncContextManager[Host]:
        """A host of its own address, in this process; it has no process table."""
        return self._client(name)

    @asynccontextmanager
    async def _client(self, name: str) -> AsyncIterator[Host]:
        address = self._subnet.take_client()
        fd = open_log(self._directory, "clients", name)
        try:
            yield RealHost(
                node=name,
                process=name,
                address=address,
                subnet="",
                net=LoopbackNetwork(address),
                disk=RealDisk(self._directory / "disks" / "clients" / name),
                processes=_NoProcesses(),
                random=random.Random(f"{self._setup.seed}/clients/{name}"),  # noqa: S311  (reproducible on purpose)
                log=Log(fd),
            )
        finally:
            self._subnet.give_back(address)
            os.close(fd)

    async def boot(self, node: str, name: str, program: str, config: bytes) -> ProcessInfo:
        """Start a process from outside. Raises ValueError when it is refused, LookupError for an unknown node."""
        return await self._link.start(node, name, program, config, {}, boot=True)

    async def processes(self, node: str) -> list[ProcessInfo]:
        """What runs on a node, sorted by name."""
        return await self._link.list(node)

    def exits(self) -> AsyncIterator[tuple[str, ProcessExit]]:
        """Every (node, exit) from now on. Raises WorldLostError when the world ends unasked."""
        return self._link.subscribe(lambda notice: (notice.node, notice.exit))

    async def signal(self, node: str, signal: Signal, *, process: str | None = None) -> Evidence:
        """Signal and observe. Raises LookupError, NotAttestedError."""
        limit_s = _TERMINATE_S if signal == "terminate" else _OBSERVE_S
        with trio.move_on_after(limit_s):
            return await self._link.signal(node, process, signal, observe=True)
        raise NotAttestedError(f"{signal} of {process or 'all'} on {node}: no effect within {limit_s:g} s")

    async def wipe(self, node: str, *, process: str | None = None) -> Evidence:
        """Lose what is on disks. Raises LookupError, NotAttestedError when there was nothing."""
        return await self._imposed.wipe(node, process=process)

    async def impose(self, disturbance: Disturbance) -> Evidence:
        """Begin a disturbance. Raises LookupError, NotAttestedError."""
        return await self._imposed.impose(disturbance)

    async def lift(self, disturbance: Disturbance) -> Evidence:
        """End one. Raises LookupError when it is not in force, NotAttestedError when it did nothing."""
        return await self._imposed.lift(disturbance)

    async def reset(self, links: Sequence[LinkName]) -> Evidence:
        """Break connections. Raises LookupError, NotAttestedError when there was none."""
        return await self._imposed.reset(links)

    async def memory_bytes(self) -> dict[str, int]:
        """Proportional set size per process now; one that just ended is left out."""
        pids = {"world/supervisor": os.getpid(), "world/zygote": self._zygote.pid}
        for node in self._setup.nodes:
            pids |= {f"{node}/{process.name}": process.pid for process in await self.processes(node)}
        sizes = {who: proportional_set_size(pid) for who, pid in pids.items()}
        return {who: size for who, size in sizes.items() if size is not None}

    async def aclose(self) -> None:
        """Kill everything and wait until it is gone. Safe to call again, and when the zygote is dead already."""
        with trio.CancelScope(shield=True):
            if self._closing is not None:
                await self._closing.wait()
                return
            self._closing = trio.Event()
            try:
                await self._close()
            finally:
                self._closing.set()

    async def _close(self) -> None:
        try:
            if not isinstance(self._link.ready, wire.Ready):
                self._zygote.kill()  # it has no children yet
            elif self.lost is None:  # else the kernel has killed its children
                await self._ask_for_the_end()
            await self._zygote.end()
        finally:
            await self._link.aclose()
            self._subnet.release()

    async def _ask_for_the_end(self) -> None:
        try:
            with trio.move_on_after(_CLOSE_S):
                await self._link.close()
        except WorldLostError:
            pass  # it died meanwhile: `ZygoteProcess.end` does what is left to do

    async def wait_ready(self) -> None:
        """Set the zygote up. Raises ValueError when a module cannot be imported, WorldLostError."""
        await self._link.send(self._setup)
        await self._link.wait_ready()

    async def watch(self, body: trio.CancelScope) -> None:
        """Receive from the zygote until `aclose`; cancel the body when the zygote dies before that."""
        with trio.CancelScope(shield=True):
            await self._link.run()
        if self.lost is not None:
            body.cancel()

    @property
    def lost(self) -> str | None:
        """Why the world was lost; None while it was not."""
        return self._link.lost


class _NoProcesses:
    """The process table of a client of the cluster: there is none."""

    async def start(
        self,
        name: str,
        program: str,  # noqa: ARG002  (the protocol's)
        config: bytes,  # noqa: ARG002
        *,
        labels: Mapping[str, str] | None = None,  # noqa: ARG002
        address: str | None = None,  # noqa: ARG002
    ) -> ProcessInfo:
        raise ValueError(f"cannot start {name!r}: a client is no node")

    async def list(self) -> list[ProcessInfo]:
        return []

    async def signal(self, name: str, signal: Signal) -> None:  # noqa: ARG002  (the protocol's)
        raise LookupError(f"no process {name!r}: a client is no node")

    async def exits(self) -> AsyncIterator[ProcessExit]:
        return
        yield

    def execute(self, argv: Sequence[str]) -> NoReturn:
        raise OSError(f"cannot become {argv[0]}: a client is no node")


@asynccontextmanager
async def open_world(
    *,
    nodes: Sequence[str],
    directory: Path,
    preload: Sequence[str] = (),
    seed: int = 0,
    path: Sequence[str] = (),
) -> AsyncIterator[RealWorld]:
    """Start a world whose nodes are all down; end it with everything in it.

    `directory` is the run directory, `preload` the modules that the zygote imports beforehand (others are
    imported when a program first needs them), `path` what to put before ``sys.path`` there. Raises
    ValueError when a preload fails, and WorldLostError in place of the body's cancellation when the zygote dies.
    """
    directory = directory.absolute()  # noqa: ASYNC240  (once, at the start)
    directory.mkdir(parents=True, exist_ok=True)
    subnet = Subnet.claim()
    try:
        setup = wire.Setup(
            nodes={node: subnet.node(i) for i, node in enumerate(nodes)},
            subnets={node: subnet.of_node(i) for i, node in enumerate(nodes)},
            directory=str(directory),
            seed=seed,
            preload=list(preload),
        )
        zygote = ZygoteProcess.spawn(directory, [*path, *(entry or str(Path.cwd()) for entry in sys.path)])
    except BaseException:
        subnet.release()
        raise
    world = RealWorld(zygote, subnet, setup)
    body = trio.CancelScope()
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.watch, body)
            try:
                with body:
                    await world.wait_ready()
                    yield world
            finally:
                await world.aclose()
    except BaseExceptionGroup as group:
        # The nursery's own tasks raise nothing, so this holds what the body raised, and only that.
        failure = group.exceptions[0] if len(group.exceptions) == 1 else group
    if world.lost is not None and (failure is None or isinstance(failure, Exception)):
        raise WorldLostError(f"{world.lost}; see {directory}/logs/world/zygote.log") from failure
    if failure is not None:
        raise failure
