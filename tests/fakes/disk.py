"""An in-memory `ha.world.Disk` in virtual time: what was not synced is lost when the power fails.

A file is its durable bytes and a queue of operations that were not synced. A crash of the process keeps all of
them (they are in the page cache); a loss of power keeps some prefix, the last append of it torn at any byte and
perhaps followed by zeros, as `ha.world.File` warns.
"""

from __future__ import annotations

from random import Random
from typing import TypeAlias

import trio

__all__ = ["FakeDisk", "FakeFile"]

_Operation: TypeAlias = bytes | int
"""bytes: append them · int: cut to this size."""


class _Content:
    """One inode."""

    def __init__(self, data: bytes = b"") -> None:
        self.current = bytearray(data)
        self.durable = bytearray(data)
        self.pending: list[_Operation] = []

    def do(self, operation: _Operation) -> None:
        _apply(self.current, operation)
        self.pending.append(operation)

    def settle(self, count: int) -> None:
        for operation in self.pending[:count]:
            _apply(self.durable, operation)
        del self.pending[:count]

    def lose_power(self, random: Random) -> None:
        kept = random.randint(0, len(self.pending))
        torn = self.pending[kept] if kept < len(self.pending) else None
        self.settle(kept)
        if isinstance(torn, bytes):
            self.durable += torn[: random.randrange(len(torn) + 1)]
            self.durable += bytes(random.choice((0, 0, 1, 7, 512)))
        self.pending.clear()
        self.current[:] = self.durable


def _apply(data: bytearray, operation: _Operation) -> None:
    if isinstance(operation, int):
        del data[operation:]
    else:
        data += operation


class FakeDisk:
    """Implements `ha.world.Disk`. `fail_with` makes every sync and replace raise it."""

    def __init__(self, random: Random, sync_s: tuple[float, float]) -> None:
        self.random, self.sync_s = random, sync_s
        self.fail_with: OSError | None = None
        self.syncs = 0
        self._files: dict[str, _Content] = {}
        self._generation = 0

    def open(self, path: str) -> FakeFile:
        return FakeFile(self, self._files.setdefault(path, _Content()), self._generation)

    def read(self, path: str) -> bytes:
        if path not in self._files:
            raise FileNotFoundError(path)
        return bytes(self._files[path].current)

    async def replace(self, path: str, data: bytes) -> None:
        generation = self._generation
        await self.wait_sync(generation)
        self._files[path] = _Content(data)

    def remove(self, path: str) -> None:
        self._files.pop(path, None)

    def list(self, directory: str = "") -> list[str]:
        prefix = f"{directory}/" if directory else ""
        return sorted({path[len(prefix) :].split("/")[0] for path in self._files if path.startswith(prefix)})

    async def wait_sync(self, generation: int) -> None:
        """Take the time of one sync, and fail if the disk fails or the process is gone."""
        await trio.sleep(self.random.uniform(*self.sync_s))
        self.syncs += 1
        if self.fail_with is not None:
            raise self.fail_with
        if generation != self._generation:
            raise OSError("the process is gone")

    def detach(self, *, power_lost: bool) -> None:
        """The process that used the disk is gone: nothing that it still does has an effect."""
        self._generation += 1
        for content in self._files.values():
            if power_lost:
                content.lose_power(self.random)

    def is_current(self, generation: int) -> bool:
        """Whether a handle opened then still has effect."""
        return generation == self._generation


class FakeFile:
    """Implements `ha.world.File`."""

    def __init__(self, disk: FakeDisk, content: _Content, generation: int) -> None:
        self._disk, self._content, self._generation = disk, content, generation

    @property
    def size_bytes(self) -> int:
        return len(self._content.current)

    def read(self) -> bytes:
        return bytes(self._content.current)

    def append(self, data: bytes) -> None:
        self._do(bytes(data))

    def truncate(self, size_bytes: int) -> None:
        self._do(size_bytes)

    def _do(self, operation: _Operation) -> None:
        if self._disk.is_current(self._generation):
            self._content.do(operation)

    async def sync(self) -> None:
        count = len(self._content.pending)
        await self._disk.wait_sync(self._generation)
        self._content.settle(count)

    def close(self) -> None:
        pass
