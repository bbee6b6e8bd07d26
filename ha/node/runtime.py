"""The container runtime: what the kubelet asks for pods and containers, and how processes of the node stand for them.

The verbs are those of the Container Runtime Interface (k8s.io/cri-api, RuntimeService), trimmed to what is used:
sandboxes are made and removed, containers created, started, stopped, removed and listed, and every exit is an
event (CRI's GetContainerEvents), so that the kubelet never polls. A sandbox is a record and an address of the
node's subnet: there is no namespace to hold. A pod of the host's network has the address of the node.

`ProcessRuntime` keeps no state of its own on disk. Each process carries labels that say which container it is;
a runtime that starts anew (its kubelet was killed) adopts what runs. How containers ended while it was away is not
known to it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import Literal, Protocol

import trio

from ha.world import Host, ProcessExit, ProcessInfo

__all__ = ["Container", "ContainerConfig", "ContainerRuntime", "PodSandbox", "ProcessRuntime", "RuntimeFault"]

_LABEL = "io.kubernetes."
_UID, _NAMESPACE, _POD, _IP = f"{_LABEL}pod.uid", f"{_LABEL}pod.namespace", f"{_LABEL}pod.name", f"{_LABEL}pod.ip"
_CONTAINER, _ATTEMPT, _STARTED = (
    f"{_LABEL}container.name",
    f"{_LABEL}container.restartCount",
    f"{_LABEL}container.started",
)
_EXIT_LOST = 137
"""The exit code of a container of which nobody saw the end."""
_EXIT_GRACE_S = 2.0
"""How long an exit may take to be reported once the process is gone."""
_REMEMBERED_EXITS = 64


class RuntimeFault(Exception):  # noqa: N818  (the world's fault, not a mistake of the caller)
    """A container could not be started."""


@dataclass(frozen=True, slots=True)
class PodSandbox:
    """A pod as the runtime knows it."""

    uid: str
    namespace: str
    name: str
    host_network: bool = False

    @property
    def id(self) -> str:
        """One sandbox per pod."""
        return self.uid


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """What to run. `attempt` counts the starts of this container of this pod, from 0."""

    name: str
    attempt: int
    process: str
    program: str
    config: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class Container:
    """A container, running or not. Times: `..._at` seconds since the epoch, `..._s` on trio's clock."""

    id: str
    sandbox: PodSandbox
    name: str
    attempt: int
    process: str
    state: Literal["created", "running", "exited"]
    pid: int = 0
    started_at: float = 0.0
    started_s: float = 0.0
    finished_at: float = 0.0
    finished_s: float = 0.0
    exit_code: int = 0
    signal: int = 0


class ContainerRuntime(Protocol):
    """The boundary. Identifiers are opaque; all methods but `list_containers` may block."""

    async def run_pod_sandbox(self, sandbox: PodSandbox) -> str:
        """Make a pod known; idempotent."""
        ...

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Forget a pod and its containers, of which none may run."""
        ...

    def list_pod_sandboxes(self) -> list[PodSandbox]:
        """All pods known, also those of containers found running."""
        ...

    def pod_sandbox_ip(self, sandbox_id: str) -> str:
        """The address of a pod; empty until its first container was started."""
        ...

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Prepare a container of a known pod."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Run it. Raises RuntimeFault."""
        ...

    async def stop_container(self, container_id: str, grace_s: float) -> None:
        """Ask it to end, kill it after `grace_s`; returns when it has ended."""
        ...

    async def remove_container(self, container_id: str) -> None:
        """Forget a container that does not run."""
        ...

    def list_containers(self, sandbox_id: str | None = None) -> list[Container]:
        """Containers of one pod or of all, oldest attempt first."""
        ...


class ProcessRuntime:
    """Containers as processes of the node. `on_exit` is told every container that ended."""

    def __init__(self, host: Host, on_exit: Callable[[Container], None]) -> None:
        self._host = host
        self._on_exit = on_exit
        self._sandboxes: dict[str, PodSandbox] = {}
        self._addresses: dict[str, str] = {}  # of sandboxes that have their own
        self._subnet = IPv4Network(host.subnet)
        self._last_given = host.random.randrange(self._subnet.num_addresses)
        self._containers: dict[str, Container] = {}
        self._configs: dict[str, ContainerConfig] = {}
        self._exited: dict[str, trio.Event] = {}
        self._unclaimed: OrderedDict[int, ProcessExit] = OrderedDict()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the exits of the node. Started when what ran before has been adopted."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            await trio.lowlevel.checkpoint()  # exits are followed before anything is adopted: none falls between
            for process in await self._host.processes.list():
                if _UID in process.labels:
                    self._adopt(process)
            task_status.started()

    async def run_pod_sandbox(self, sandbox: PodSandbox) -> str:
        """Make a pod known; idempotent."""
        self._sandboxes[sandbox.id] = sandbox
        await trio.lowlevel.checkpoint()
        return sandbox.id

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Forget a pod and its containers, of which none may run."""
        for container in self.list_containers(sandbox_id):
            await self.remove_container(container.id)
        self._sandboxes.pop(sandbox_id, None)
        self._addresses.pop(sandbox_id, None)

    def list_pod_sandboxes(self) -> list[PodSandbox]:
        """All pods known, also those of containers found running."""
        return [self._sandboxes[key] for key in sorted(self._sandboxes)]

    def pod_sandbox_ip(self, sandbox_id: str) -> str:
        """The address of a pod; empty until its first container was started."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is not None and sandbox.host_network:
            return self._host.address
        return self._addresses.get(sandbox_id, "")

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Prepare a container of a known pod."""
        container_id = f"{sandbox_id}_{config.name}_{config.attempt}"
        assert container_id not in self._containers, "an attempt is made once"
        sandbox = self._sandboxes[sandbox_id]
        self._containers[container_id] = Container(
            container_id, sandbox, config.name, config.attempt, config.process, "created"
        )
        self._configs[container_id] = config
        self._exited[container_id] = trio.Event()
        await trio.lowlevel.checkpoint()
        return container_id

    async def start_container(self, container_id: str) -> None:
        """Run it. Raises RuntimeFault; the container is then gone."""
        config, container = self._configs[container_id], self._containers[container_id]
        started_at, started_s = self._host.wall_clock(), trio.current_time()
        try:
            address = self._address(container.sandbox)
            process = await self._host.processes.start(
                config.process,
                config.program,
                config.config,
                labels=_labels(container, started_at, address),
                address=address,
            )
        except (ValueError, OSError) as error:
            await self.remove_container(container_id)
            raise RuntimeFault(f"{config.process}: {error}") from error
        self._containers[container_id] = replace(
            container, state="running", pid=process.pid, started_at=started_at, started_s=started_s
        )
        if (early := self._unclaimed.pop(process.pid, None)) is not None:
            self._ended(container_id, early)

    async def stop_container(self, container_id: str, grace_s: float) -> None:
        """Ask it to end, kill it after `grace_s`; returns when it has ended."""
        if not await self._signal(container_id, "terminate", grace_s) and not await self._signal(
            container_id, "kill", _EXIT_GRACE_S
        ):
            await self._settle(container_id)

    async def remove_container(self, container_id: str) -> None:
        """Forget a container that does not run."""
        container = self._containers.pop(container_id)
        assert container.state != "running", "a running container is stopped before it is removed"
        self._configs.pop(container_id, None)
        self._exited.pop(container_id, None)
        await trio.lowlevel.checkpoint()

    def list_containers(self, sandbox_id: str | None = None) -> list[Container]:
        """Containers of one pod or of all, oldest attempt first."""
        found = [c for c in self._containers.values() if sandbox_id is None or c.sandbox.id == sandbox_id]
        return sorted(found, key=lambda c: (c.sandbox.id, c.name, c.attempt))

    def _address(self, sandbox: PodSandbox) -> str | None:
        """The pod's own address, found when it has none yet. Raises ValueError when all are taken.

        They are given in turn, from a random one on, so that one which was given back is not soon another pod's:
        whoever still means the old pod finds nobody there.
        """
        if sandbox.host_network:
            return None
        if sandbox.id not in self._addresses:
            taken = set(self._addresses.values())
            usable = self._subnet.num_addresses - 2
            in_turn = ((self._last_given + step) % usable + 1 for step in range(usable))
            free = (n for n in in_turn if str(self._subnet.network_address + n) not in taken)
            number = next(free, None)
            if number is None:
                raise ValueError(f"every address of {self._subnet} is taken")
            self._addresses[sandbox.id] = str(self._subnet.network_address + number)
            self._last_given = number
        return self._addresses[sandbox.id]

    async def _follow(self) -> None:
        async for ended in self._host.processes.exits():
            running = next(
                (c for c in self._containers.values() if c.state == "running" and c.pid == ended.pid),
                None,
            )
            if running is not None:
                self._ended(running.id, ended)
            else:
                self._unclaimed[ended.pid] = ended
                if len(self._unclaimed) > _REMEMBERED_EXITS:
                    self._unclaimed.popitem(last=False)

    def _adopt(self, process: ProcessInfo) -> None:
        if process.pid in self._unclaimed:
            return
        labels = process.labels
        sandbox = PodSandbox(labels[_UID], labels[_NAMESPACE], labels[_POD], host_network=_IP not in labels)
        if _IP in labels:
            self._addresses[sandbox.id] = labels[_IP]
        name, attempt = labels[_CONTAINER], int(labels[_ATTEMPT])
        container_id = f"{sandbox.id}_{name}_{attempt}"
        self._sandboxes[sandbox.id] = sandbox
        self._exited[container_id] = trio.Event()
        self._containers[container_id] = Container(
            container_id,
            sandbox,
            name,
            attempt,
            process.name,
            "running",
            pid=process.pid,
            started_at=float(labels[_STARTED]),
            started_s=trio.current_time(),
        )
        self._host.log("adopted a running container", container=container_id, pid=process.pid)

    def _ended(self, container_id: str, ended: ProcessExit | None) -> None:
        code = _EXIT_LOST
        if ended is not None:
            code = ended.code if ended.code is not None else 128 + (ended.signal or 0)
        container = replace(
            self._containers[container_id],
            state="exited",
            exit_code=code,
            signal=(ended.signal or 0) if ended is not None else 0,
            finished_at=self._host.wall_clock(),
            finished_s=trio.current_time(),
        )
        self._containers[container_id] = container
        self._exited[container_id].set()
        self._on_exit(container)

    async def _signal(self, container_id: str, signal: Literal["terminate", "kill"], wait_s: float) -> bool:
        container = self._containers[container_id]
        if container.state != "running":
            return True
        try:
            await self._host.processes.signal(container.process, signal)
        except LookupError:
            wait_s = _EXIT_GRACE_S  # it ended; the news is on its way
        with trio.move_on_after(wait_s):
            await self._exited[container_id].wait()
        return self._exited[container_id].is_set()

    async def _settle(self, container_id: str) -> None:
        """A killed process whose exit was not reported: ended, if it is no longer there."""
        container = self._containers[container_id]
        while any(p.pid == container.pid for p in await self._host.processes.list()):
            if await self._signal(container_id, "kill", _EXIT_GRACE_S):
                return
        if not self._exited[container_id].is_set():
            self._ended(container_id, None)


def _labels(container: Container, started_at: float, address: str | None) -> Mapping[str, str]:
    return {
        **({_IP: address} if address is not None else {}),
        _UID: container.sandbox.uid,
        _NAMESPACE: container.sandbox.namespace,
        _POD: container.sandbox.name,
        _CONTAINER: container.name,
        _ATTEMPT: str(container.attempt),
        _STARTED: repr(started_at),
    }
