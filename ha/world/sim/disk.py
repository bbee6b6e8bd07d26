"""The simulated disk: what was not synced is lost when the power fails, and every sync can fail or be slow.

A file is its durable bytes and a queue of operations that were not synced. A crash of the process keeps all of them
(they are in the page cache); a loss of power keeps some prefix, the last append of it torn at any byte and perhaps
followed by zeros, as `ha.world.File` warns. After a sync that failed some prefix of the queue is on the disk and the
rest is gone: the kernel drops the pages.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from random import Random
from typing import TypeAlias

import trio

from ha.world import BitFlip, DiskError, DiskFull, File, SlowDisk, TornWrite
from ha.world.sim.clock import clock, sleep_until
from ha.world.sim.trace import Trace

__all__ = ["Flipped", "ProcessDisk", "SimDisk", "SimFile"]

_AROUND_BYTES = 64
"""By so many on either side a flipped bit is known again."""
_Operation: TypeAlias = bytes | int
"""bytes: append them · int: cut to this size."""


class _Content:
    """One inode."""

    def __init__(self, data: bytes = b"") -> None:
        self.current = bytearray(data)
        self.durable = bytearray(data)
        self.pending: list[_Operation] = []
        self.flipped: list[Flipped] = []

    def do(self, operation: _Operation) -> None:
        _apply(self.current, operation)
        self.pending.append(operation)

    def settle(self, count: int) -> None:
        for operation in self.pending[:count]:
            _apply(self.durable, operation)
        del self.pending[:count]

    def fail(self, random: Random) -> None:
        """Some prefix reached the disk, the rest is gone."""
        self.settle(random.randint(0, len(self.pending)))
        self.pending.clear()
        self.current[:] = self.durable

    def tear(self, random: Random) -> None:
        """The last append ends somewhere."""
        last = self.pending[-1] if self.pending else None
        if isinstance(last, bytes):
            self.pending.pop()
            del self.current[len(self.current) - len(last) :]
            self.do(last[: random.randrange(len(last))])

    def lose_power(self, random: Random) -> None:
        kept = random.randint(0, len(self.pending))
        torn = self.pending[kept] if kept < len(self.pending) else None
        self.settle(kept)
        if isinstance(torn, bytes):
            self.durable += torn[: random.randrange(len(torn) + 1)]
            self.durable += bytes(random.choice((0, 0, 1, 7, 512)))
        self.pending.clear()
        self.current[:] = self.durable


def _nobody() -> None:
    """Who uses a disk that no process has."""


def _apply(data: bytearray, operation: _Operation) -> None:
    if isinstance(operation, int):
        del data[operation:]
    else:
        data += operation


class Flipped:
    """A bit that is flipped, to be found again."""

    def __init__(self, path: str, content: _Content, offset: int, bit: int) -> None:
        self.path, self.offset, self.bit = path, offset, bit
        self._content = content
        self._around = slice(max(0, offset - _AROUND_BYTES), min(len(content.durable), offset + _AROUND_BYTES))
        self._was = content.durable[self._around]
        content.flipped.append(self)
        self._flip()

    def put_right(self, disks: Iterable[SimDisk]) -> bool:
        """Flip it back; False when none of them has it: its file was replaced, removed, cut, or written anew."""
        is_held = any(disk.holds(self.path, self._content) for disk in disks)
        there = is_held and self._content.durable[self._around] == self._was
        if there:
            self._flip()
        self._content.flipped.remove(self)
        return there

    def _flip(self) -> None:
        for data in (self._content.durable, self._content.current):
            if self.offset < len(data):
                data[self.offset] ^= 1 << self.bit
        for near in self._content.flipped:
            near.expect(self.offset, self.bit)

    def expect(self, offset: int, bit: int) -> None:
        """Know the place by what it is now, when another bit, perhaps near, was flipped."""
        if self._around.start <= offset < self._around.stop:
            self._was[offset - self._around.start] ^= 1 << bit


class SimDisk:
    """The disk of one process of one node; it outlives the process, which has it by a `ProcessDisk`."""

    def __init__(self, random: Random, trace: Trace, number: int, *, sync_s: tuple[float, float]) -> None:
        self.random, self.sync_s = random, sync_s
        self._trace, self._number = trace, number
        self.disturbances: list[DiskFull | DiskError | SlowDisk | TornWrite] = []
        self.kill_user: Callable[[], None] = _nobody
        self.fail_with: OSError | None = None
        """What tests make every sync raise."""
        self.syncs = 0
        self.refused = 0
        """Syncs and replacements that failed."""
        self.slowed = 0
        """Syncs and replacements that took longer."""
        self.torn = 0
        """Syncs and replacements that their process did not survive."""
        self.files: dict[str, _Content] = {}
        self._generation = 0

    def mount(self) -> ProcessDisk:
        """Give it to a process, until the next `detach`."""
        return ProcessDisk(self, self._generation)

    def content(self, path: str) -> _Content:
        """A file, created empty when missing."""
        return self.files.setdefault(path, _Content())

    async def wait_sync(self, generation: int, growth: bytes) -> None:
        """Take the time of one sync of so much new data. Raises OSError if the disk fails or the process is gone."""
        if generation == self._generation and self.is_tearing:
            self.torn += 1
            self.kill_user()
            await trio.lowlevel.checkpoint()
            raise OSError(errno.EIO, "the process died within the write")
        slow = sum(one.latency_s for one in self.disturbances if isinstance(one, SlowDisk))
        self.slowed += slow > 0
        await sleep_until(clock().current_time() + self.random.uniform(*self.sync_s) + slow)
        if generation != self._generation:
            raise OSError(errno.EIO, "the process is gone")
        self.syncs += 1
        self._trace.add(clock().current_time(), self._number, growth)
        if self.fail_with is not None:
            raise self.fail_with
        self.check_write(growth)

    @property
    def is_tearing(self) -> bool:
        """Whether no write comes to its end."""
        return any(isinstance(one, TornWrite) for one in self.disturbances)

    def check_write(self, operation: _Operation) -> None:
        """Raises OSError if the disk fails, or has no room and is asked to grow a file."""
        if any(isinstance(one, DiskError) for one in self.disturbances):
            self.refused += 1
            raise OSError(errno.EIO, "Input/output error")
        if isinstance(operation, bytes) and operation and any(isinstance(one, DiskFull) for one in self.disturbances):
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def detach(self, *, power_lost: bool) -> None:
        """The process that used the disk is gone: nothing that it still does has an effect."""
        self._generation += 1
        for content in self.files.values():
            if power_lost:
                content.lose_power(self.random)

    def is_current(self, generation: int) -> bool:
        """Whether a handle opened then still has effect."""
        return generation == self._generation

    def holds(self, path: str, content: _Content) -> bool:
        """Whether a file is still the same inode."""
        return self.files.get(path) is content

    def wipe(self) -> dict[str, int]:
        """Lose everything; the files that were lost, with their sizes."""
        lost = {path: len(content.current) for path, content in sorted(self.files.items())}
        self.files.clear()
        return lost

    def flip(self, _what: BitFlip) -> Flipped | None:
        """Flip one durable bit; None when there is none."""
        candidates = [(path, content) for path, content in sorted(self.files.items()) if content.durable]
        if not candidates:
            return None
        path, content = self.random.choice(candidates)
        return Flipped(path, content, self.random.randrange(len(content.durable)), self.random.randrange(8))


class ProcessDisk:
    """Implements `ha.world.Disk`. Once the process is gone nothing that it still does has an effect."""

    def __init__(self, device: SimDisk, generation: int) -> None:
        self.device, self._generation = device, generation

    def open(self, path: str) -> SimFile:
        """See `ha.world.Disk`."""
        content = self.device.content(path) if self._is_current() else _Content()
        return SimFile(self.device, content, self._generation)

    def read(self, path: str) -> bytes:
        """See `ha.world.Disk`."""
        if path not in self.device.files:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return bytes(self.device.files[path].current)

    async def replace(self, path: str, data: bytes) -> None:
        """See `ha.world.Disk`."""
        data = bytes(data)
        await self.device.wait_sync(self._generation, data)
        self.device.files[path] = _Content(data)

    async def prepare(self, path: str, make: Callable[[], Iterable[bytes]]) -> SimFile:  # noqa: ARG002  (it has no name yet)
        """See `ha.world.Disk`."""
        data = b"".join(make())
        await self.device.wait_sync(self._generation, data)
        return SimFile(self.device, _Content(data), self._generation)

    async def publish(self, path: str, file: File) -> None:
        """See `ha.world.Disk`."""
        assert isinstance(file, SimFile), "prepared by another world"
        await file.sync()
        await self.device.wait_sync(self._generation, b"")  # of the directory
        self.device.files[path] = file.content

    def remove(self, path: str) -> None:
        """See `ha.world.Disk`."""
        if self._is_current():
            self.device.files.pop(path, None)

    def list(self, directory: str = "") -> list[str]:
        """See `ha.world.Disk`."""
        prefix = f"{directory}/" if directory else ""
        return sorted({path[len(prefix) :].split("/")[0] for path in self.device.files if path.startswith(prefix)})

    def _is_current(self) -> bool:
        return self.device.is_current(self._generation)


class SimFile:
    """Implements `ha.world.File`."""

    def __init__(self, disk: SimDisk, content: _Content, generation: int) -> None:
        self._disk, self.content, self._generation = disk, content, generation
        self._fault: OSError | None = None

    @property
    def size_bytes(self) -> int:
        """See `ha.world.File`."""
        return len(self.content.current)

    def read(self) -> bytes:
        """See `ha.world.File`."""
        return bytes(self.content.current)

    def append(self, data: bytes) -> None:
        """See `ha.world.File`."""
        self._do(bytes(data))

    def truncate(self, size_bytes: int) -> None:
        """See `ha.world.File`."""
        self._do(size_bytes)

    def _do(self, operation: _Operation) -> None:
        if self._disk.is_current(self._generation):
            self.content.do(operation)

    def flush(self) -> None:
        """See `ha.world.File`. What is appended is in the page cache already, unless the disk fails or is full."""
        if self._disk.is_current(self._generation) and self.content.pending:
            self._disk.check_write(self.content.pending[-1])

    async def sync(self) -> None:
        """See `ha.world.File`. Raises OSError, from then on for good."""
        if self._fault is not None:
            raise OSError(self._fault.errno, f"an earlier sync failed: {self._fault.strerror}")
        count = len(self.content.pending)
        growth = b"".join(op for op in self.content.pending if isinstance(op, bytes))
        if self._disk.is_tearing and self._disk.is_current(self._generation):
            self.content.tear(self._disk.random)
        try:
            await self._disk.wait_sync(self._generation, growth)
        except OSError as fault:
            self._fault = fault
            if self._disk.is_current(self._generation):
                self.content.fail(self._disk.random)
            raise
        self.content.settle(count)

    def close(self) -> None:
        """See `ha.world.File`."""
