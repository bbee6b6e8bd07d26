"""The boundary between components and the machine.

Every component of the cluster is an ``async def serve(host, config, *, task_status)``. Whatever it does to
the machine it does through its `Host`; time is trio's clock. So the same component runs as an OS process on
loopback (`ha.world.real`) and as tasks in virtual time (`ha.world.sim`), and neither it nor the code that wires
clusters can tell which.

Two faces:

* `Host` is what a component sees: network, disk, processes, randomness, wall clock of *its* node.
* `World` is what the wiring sees: it adds nodes, boots them, and injects faults into them. Each fault
  returns the `Evidence` that it took effect, or raises `NotAttestedError`.

Names: a *node* is a machine (one address, one disk, one set of processes); a *process* is one running
program on it. A program is named by its entry point, ``"package.module:function"``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Literal, NamedTuple, NoReturn, Protocol, TypeAlias

import msgspec
import trio

__all__ = [
    "Address",
    "Bandwidth",
    "BitFlip",
    "ClockOffset",
    "ClockRate",
    "Copied",
    "Cut",
    "Delay",
    "Dialler",
    "Disk",
    "DiskError",
    "DiskFull",
    "Disturbance",
    "Evidence",
    "File",
    "Host",
    "Link",
    "Listener",
    "Network",
    "NotAttestedError",
    "ProcessExit",
    "ProcessInfo",
    "Processes",
    "Random",
    "Refuse",
    "Signal",
    "SlowDisk",
    "Stream",
    "TornWrite",
    "World",
]

Stream: TypeAlias = trio.abc.HalfCloseableStream
Listener: TypeAlias = trio.abc.Listener[Stream]
Signal: TypeAlias = Literal["kill", "terminate", "pause", "resume"]
"""SIGKILL, SIGTERM (cancels the program's ``serve``), SIGSTOP, SIGCONT, or what the world has in their place."""

Copied: TypeAlias = Literal["end", "source broken", "sink broken"]
"""How copying came to its end: with that of the source, or because one of the two broke (or was closed)."""

Evidence: TypeAlias = Mapping[str, object]
"""Observed proof that a fault took effect: JSON-able, read by people (``{"exited": {"kubelet": 4711}}``)."""


class Address(NamedTuple):
    """A TCP endpoint: an IP address as text and a port."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``"127.0.0.1:2379"``. Raises ValueError for anything else."""
        ip, _, port = text.rpartition(":")
        if not ip or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"not an ip:port address: {text!r}")
        return cls(ip, int(port))


class Dialler(Protocol):
    """The half of a network that clients need."""

    async def dial(self, address: Address) -> Stream:
        """Connect. Raises OSError (ConnectionRefusedError when nobody listens). Bound it with a deadline."""
        ...


class Network(Dialler, Protocol):
    """Byte streams between nodes. There are no names: components are configured with addresses."""

    async def listen(self, port: int) -> Listener:
        """Listen on the address of this process. Raises OSError when the port is taken."""
        ...

    async def copy(self, source: Stream, sink: Stream, count: Callable[[int], None]) -> Copied:
        """Send to one stream of this network what another receives, in order, until its end, which is not passed on.

        One piece at most is under way, so that a slow reader slows the writer down. `count` is told the bytes of each.
        Nobody else may receive from `source` or send to `sink` meanwhile. Cancelled, it forgets what was not sent.
        """
        ...


class File(Protocol):
    """An append-only file that can be cut. What was appended survives a crash only after `sync` returned.

    After a crash the file holds some prefix of the unsynced tail, perhaps torn, perhaps followed by zeros:
    its reader must recognise the end by itself.
    """

    @property
    def size_bytes(self) -> int:
        """Length of the content, unsynced data included."""
        ...

    def read(self) -> bytes:
        """The whole content, synced or not."""
        ...

    def append(self, data: bytes) -> None:
        """Queue data at the end. Durable after the next `sync`."""
        ...

    def truncate(self, size_bytes: int) -> None:
        """Cut the file. Durable after the next `sync`."""
        ...

    def flush(self) -> None:
        """Hand everything to the operating system: it survives this process, not a loss of power.

        Raises OSError (EIO, ENOSPC).
        """
        ...

    async def sync(self) -> None:
        """Make everything appended so far durable. Raises OSError (EIO, ENOSPC): the tail is then unknown."""
        ...

    def close(self) -> None:
        """Close without syncing."""
        ...


class Disk(Protocol):
    """The node's durable storage for one process. Paths are relative, ``/`` separates."""

    def open(self, path: str) -> File:
        """Open for appending, created empty (with its directories) when missing."""
        ...

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError."""
        ...

    async def replace(self, path: str, data: bytes) -> None:
        """Put a whole file in place, atomically and durably: after a crash it is the old one or the new one."""
        ...

    async def prepare(self, path: str, make: Callable[[], Iterable[bytes]]) -> File:
        """Write what shall take the place of a file, durably, under a name that nobody sees. `make` gives its content
        in pieces; neither it nor the writing holds up this process. More may be appended then. Raises OSError.
        """
        ...

    async def publish(self, path: str, file: File) -> None:
        """Make what was appended to a prepared file durable, and put it in place, atomically and durably: after a crash
        it is the old one or the new one. It stays open under its new name. Raises OSError.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file; a missing one is no error."""
        ...

    def list(self, directory: str = "") -> list[str]:
        """Names in a directory, sorted; empty when it does not exist."""
        ...


class ProcessExit(msgspec.Struct, frozen=True):
    """How a process ended: `code` from the program, or the `signal` number that killed it (code is then None)."""

    name: str
    pid: int
    code: int | None
    signal: int | None


class ProcessInfo(msgspec.Struct, frozen=True):
    """A running process: `pid` is the world's identifier (the OS pid in the real world)."""

    name: str
    pid: int
    program: str
    labels: dict[str, str] = {}


class Processes(Protocol):
    """The process table of one node: what a container runtime needs. It outlives the process that uses it."""

    async def start(
        self,
        name: str,
        program: str,
        config: bytes,
        *,
        labels: Mapping[str, str] | None = None,
        address: str | None = None,
    ) -> ProcessInfo:
        """Start a program on this node. `name` is unique among the running ones, and names its log and disk.

        `config` is JSON; it is decoded into the type that the program's ``serve`` annotates. `address`, of the
        node's `Host.subnet`, is what the process dials from and listens on instead of the node's own; processes may
        share it. Raises ValueError when the name is taken, the program cannot be found, or the address is not of
        the subnet.
        """
        ...

    async def list(self) -> list[ProcessInfo]:
        """Everything that runs on this node now, sorted by name; the caller itself included."""
        ...

    async def signal(self, name: str, signal: Signal) -> None:
        """Raises LookupError when no such process runs."""
        ...

    def exits(self) -> AsyncIterator[ProcessExit]:
        """Every exit of a process of this node from this call on, in order. Ends with the world."""
        ...

    def execute(self, argv: Sequence[str]) -> NoReturn:
        """Become another program, as execve(2): the calling process runs the executable at the path ``argv[0]``, and
        stays what it is to everybody else (pid, name, labels, node, log). It runs in the directory that is this
        process's disk, with an empty environment. No fault that works inside a process reaches it there. Raises
        OSError when it cannot be executed. In the real world only: `ha.spec` refuses what would need it elsewhere.
        """
        ...


class Host(Protocol):
    """One node, as seen by one process that runs on it."""

    @property
    def node(self) -> str:
        """The name of this node."""
        ...

    @property
    def process(self) -> str:
        """The name of this process on it."""
        ...

    @property
    def address(self) -> str:
        """Its IP address: the node's, or the one that this process was started with."""
        ...

    @property
    def subnet(self) -> str:
        """The addresses that this node can give to its processes, as ``10.64.1.0/24``; none is the node's own."""
        ...

    @property
    def net(self) -> Network:
        """Its network."""
        ...

    @property
    def disk(self) -> Disk:
        """Durable storage of this process; it survives the process and the node's reboots."""
        ...

    @property
    def processes(self) -> Processes:
        """The node's process table."""
        ...

    @property
    def random(self) -> Random:
        """A stream of randomness of this process's own."""
        ...

    def wall_clock(self) -> float:
        """Seconds since the epoch by this node's clock, which may jump or drift. Never for durations."""
        ...

    def log(self, message: str, /, **fields: object) -> None:
        """One line of the process's log: time, message, fields. Never blocks, never raises."""
        ...


class NotAttestedError(Exception):
    """A fault was injected but nothing shows that it took effect: the run is inconclusive."""


Link: TypeAlias = tuple[str, str]
"""One direction between two nodes, by name: from, to. Hosts of clients are no nodes, and nothing hits them."""


class Cut(msgspec.Struct, frozen=True, tag=True):
    """Nothing passes these links. What is sent waits, as TCP retransmits it, and arrives when they are mended."""

    links: tuple[Link, ...]


class Delay(msgspec.Struct, frozen=True, tag=True):
    """What passes these links takes so much longer, plus up to `jitter_s` more. Order is kept."""

    links: tuple[Link, ...]
    latency_s: float
    jitter_s: float = 0.0


class Bandwidth(msgspec.Struct, frozen=True, tag=True):
    """Each of these links passes so many bytes a second, over all its connections."""

    links: tuple[Link, ...]
    bytes_per_s: float


class Refuse(msgspec.Struct, frozen=True, tag=True):
    """New connections dialled over these links are refused; those that are open stay."""

    links: tuple[Link, ...]


class DiskFull(msgspec.Struct, frozen=True, tag=True):
    """ENOSPC for whatever would make a file grow. `process` None: every process of the node, also below."""

    node: str
    process: str | None = None


class DiskError(msgspec.Struct, frozen=True, tag=True):
    """EIO from whatever is written: every flush, sync and replace."""

    node: str
    process: str | None = None


class SlowDisk(msgspec.Struct, frozen=True, tag=True):
    """Every sync and replace takes so much longer."""

    node: str
    latency_s: float
    process: str | None = None


class TornWrite(msgspec.Struct, frozen=True, tag=True):
    """Whatever is written and synced is written in part, and whoever writes it is killed."""

    node: str
    process: str | None = None


class BitFlip(msgspec.Struct, frozen=True, tag=True):
    """One bit of what is durable is flipped, where the seed says. It is found when it is read: after a restart.
    Lifting puts it right again, as a scrub from a mirror does, unless the file was replaced meanwhile.
    """

    node: str
    process: str | None = None


class ClockOffset(msgspec.Struct, frozen=True, tag=True):
    """The node's wall clock jumps by so much, and back when lifted."""

    node: str
    offset_s: float


class ClockRate(msgspec.Struct, frozen=True, tag=True):
    """The node's wall clock runs at this rate (1: as it should). Lifted, it is right again at once."""

    node: str
    rate: float


Disturbance: TypeAlias = (
    Cut | Delay | Bandwidth | Refuse | DiskFull | DiskError | SlowDisk | TornWrite | BitFlip | ClockOffset | ClockRate
)
"""What is in force from `World.impose` until `World.lift`. Disturbances add up: two that cut the same link keep it
cut until both are lifted; delays and offsets are summed, rates multiplied.
"""


class World(Protocol):
    """What the wiring sees. Node names and addresses are given by `nodes` when the world is opened."""

    @property
    def name(self) -> Literal["real", "sim"]:
        """Which world this is."""
        ...

    @property
    def faults(self) -> frozenset[str]:
        """Names of the faults that this world can inject: what else a file asks for is refused when read."""
        ...

    def address(self, node: str) -> str:
        """The IP address of a node."""
        ...

    def client(self, name: str) -> AbstractAsyncContextManager[Host]:
        """A host outside the cluster for a client of it: network, randomness and clock, in this process."""
        ...

    async def boot(self, node: str, name: str, program: str, config: bytes) -> ProcessInfo:
        """Start a process from outside, as a node's init does: the first of a node that is down, or one of a
        node that runs (a kubelet that died). Raises ValueError when the name is taken, the program cannot be
        found, or a killed node is not down yet; LookupError for an unknown node.
        """
        ...

    async def processes(self, node: str) -> list[ProcessInfo]:
        """What runs on a node, sorted by name; paused processes included."""
        ...

    def exits(self) -> AsyncIterator[tuple[str, ProcessExit]]:
        """Every (node, exit) from this call on."""
        ...

    async def signal(self, node: str, signal: Signal, *, process: str | None = None) -> Evidence:
        """Signal one process of a node, or all of them at once (the node's process group).

        Returns when the effect was observed: exited, stopped, running again. Raises LookupError when nothing
        of that name runs, NotAttestedError when the effect was not seen within a second (in the real world, of a
        terminate: within ten).
        """
        ...

    async def wipe(self, node: str, *, process: str | None = None) -> Evidence:
        """Lose all that is on the disk of a process, or on all disks of a node: the next process that uses it finds it
        empty. Whoever uses it now must be stopped. Raises LookupError for an unknown node, NotAttestedError when
        there was nothing.
        """
        ...

    async def impose(self, disturbance: Disturbance) -> Evidence:
        """Begin a disturbance. Raises LookupError for an unknown node or process, NotAttestedError."""
        ...

    async def lift(self, disturbance: Disturbance) -> Evidence:
        """End one that was imposed. The evidence tells what it did meanwhile (bytes held, syncs refused, …)."""
        ...

    async def reset(self, links: Sequence[Link]) -> Evidence:
        """Break every open connection that was dialled over one of these links; both ends see a reset."""
        ...

    async def memory_bytes(self) -> dict[str, int]:
        """Proportional set size per ``node/process``, and of the world's own helpers under ``world/…``."""
        ...
