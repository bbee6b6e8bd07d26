"""A process's durable storage: a directory, files that are appended and synced, and atomic replacement.

`File.append` only buffers; `File.flush` writes the buffer and leaves the rest to the kernel. `File.sync` writes the
buffer with one ``pwrite`` at a known offset and makes it durable with ``fdatasync``. The file is extended in
chunks of real zeros beyond its content, written together with the data that needed the room: a later sync then
overwrites allocated blocks and leaves the size alone, so that ``fdatasync`` has no metadata to commit
(``posix_fallocate`` would not do: its unwritten extents are converted on the first write, which is metadata
again). The price: after a crash the content may be followed by zeros, which readers of a `ha.world.File` must
expect anyway.

``fdatasync`` is called inline where it takes 0.14 ms (0.20 ms when every sync extends the file): that is less
than a trip to a thread and back, and group commit waits for it in any case. On a disk that takes longer, as others
use it, the process would stand still for most of its time; there a sync of much data goes to a thread, for where
there is much data there are many who wait for answers, or are about to ask. So does a large replacement, so that it
does not hold up heartbeats; a large file that is prepared while another is in use (a snapshot) is written bit by bit,
with rests: 200 MB at once take disk and processor away from all who want to sync a little for a second or two.

After a failed write or sync the kernel may have dropped the dirty pages, and a second fsync would report
success for data that is gone. So the file stays broken: every later sync raises the same fault until the
file is opened anew.

Names are durable too: whoever creates, renames or removes an entry syncs its directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

import trio

from ha.world import DiskError, DiskFull, File, SlowDisk, TornWrite
from ha.world.real.books import Books, Count
from ha.world.real.wire import InForce
from ha.world.resting import rest

__all__ = ["TEMPORARY", "RealDisk", "RealFile", "Trouble"]

_CHUNK_BYTES = 256 << 10  # a larger one is no faster, and its own sync takes longer
_INLINE_BYTES = 256 << 10
_MUCH_BYTES = 4 << 10
_LONG_S = 0.0005
_MEMORY = 0.1
"""How much one sync changes the notion of how long they take."""
_AT_ONCE_BYTES = 4 << 20
"""So much of a large file goes to the disk at once: whoever syncs a little meanwhile has to wait for it."""
TEMPORARY = ".replacing"


class Trouble:
    """What disturbs the disk of this process. `refused` counts syncs, replacements and flushes."""

    def __init__(self, books: Books | None = None) -> None:
        self._books = books
        self.in_force: Sequence[InForce] = ()

    def sync(self, *, grows: bool) -> None:
        """Stands before every sync and replacement. It blocks, as a sync does. Raises OSError."""
        if not self.in_force:
            return
        for one in self.in_force:
            if isinstance(one.what, SlowDisk):
                self._count(one, "slowed")
                time.sleep(one.what.latency_s)
        self.write(grows=grows)

    def write(self, *, grows: bool) -> None:
        """Stands before everything that is written. Raises OSError."""
        self._refuse(DiskError, errno.EIO)
        if grows:
            self._refuse(DiskFull, errno.ENOSPC)

    def is_tearing(self) -> bool:
        """Whether no write comes to its end. Who asks writes a part, and calls `die`."""
        return any(isinstance(one.what, TornWrite) for one in self.in_force)

    def die(self) -> NoReturn:
        """Be killed."""
        for one in self.in_force:
            if isinstance(one.what, TornWrite):
                self._count(one, "torn")
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("nobody survives SIGKILL")

    def _refuse(self, kind: type[DiskFull | DiskError], number: int) -> None:
        refusing = [one for one in self.in_force if isinstance(one.what, kind)]
        for one in refusing:
            self._count(one, "refused")
        if refusing:
            raise OSError(number, os.strerror(number))

    def _count(self, one: InForce, what: Count) -> None:
        assert self._books is not None, "only processes of nodes are disturbed"
        self._books.count(one.number, what)


class RealFile:
    """An append-only file; see `ha.world.File`."""

    def __init__(self, path: Path, trouble: Trouble) -> None:
        self._path, self._trouble = path, trouble
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._written_bytes = os.fstat(self._fd).st_size
        self._allocated_bytes = self._written_bytes
        self._pending = bytearray()
        self._cut = self._flushed = False
        self._sync_s = 0.0
        self._fault: OSError | None = None

    @property
    def size_bytes(self) -> int:
        """Length of the content, unsynced data included."""
        return self._written_bytes + len(self._pending)

    def read(self) -> bytes:
        """The whole content, synced or not."""
        return os.pread(self._fd, self._written_bytes, 0) + bytes(self._pending)

    def append(self, data: bytes) -> None:
        """Queue data at the end."""
        self._pending += data

    def truncate(self, size_bytes: int) -> None:
        """Cut the file; until the next sync the disk keeps what it had."""
        assert 0 <= size_bytes <= self.size_bytes, (size_bytes, self.size_bytes)
        if size_bytes >= self._written_bytes:
            del self._pending[size_bytes - self._written_bytes :]
        else:
            self._pending.clear()
            self._written_bytes = size_bytes
            self._cut = True

    def flush(self) -> None:
        """Write. Raises OSError, from then on for good."""
        with self._faults():
            if self._pending or self._cut:
                self._trouble.write(grows=bool(self._pending))
            self._apply(extend=False)

    async def sync(self) -> None:
        """Write and fdatasync. Raises OSError, from then on for good."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with self._faults():
            self._trouble.sync(grows=bool(self._pending))
            if self._pending or self._cut or self._flushed:
                is_much = len(self._pending) >= _MUCH_BYTES
                self._apply(extend=True)
                self._flushed = False
                if is_much and self._sync_s > _LONG_S:
                    await self._fdatasync_in_thread()
                else:
                    self._fdatasync()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _fdatasync_in_thread(self) -> None:
        """As `trio.to_thread.run_sync` does it, without names, limits and contexts, which cost more than the sync."""
        task, token = trio.lowlevel.current_task(), trio.lowlevel.current_trio_token()
        trio.lowlevel.start_thread_soon(
            self._fdatasync, lambda done: token.run_sync_soon(trio.lowlevel.reschedule, task, done)
        )
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    def _fdatasync(self) -> None:
        begun_s = time.perf_counter()
        os.fdatasync(self._fd)
        self._sync_s += _MEMORY * (time.perf_counter() - begun_s - self._sync_s)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        if self._fault is not None:
            raise OSError(self._fault.errno, f"an earlier sync failed: {self._fault.strerror}", str(self._path))
        try:
            yield
        except OSError as fault:
            self._fault = fault
            raise

    def _apply(self, *, extend: bool) -> None:
        if self._cut:
            os.ftruncate(self._fd, self._written_bytes)
            self._allocated_bytes = self._written_bytes
        self._write(extend=extend)
        self._cut, self._flushed = False, True

    def _write(self, *, extend: bool) -> None:
        """Write what is pending; when it does not fit, and `extend`, with zeros up to a chunk's boundary."""
        end = self._written_bytes + len(self._pending)
        data = self._pending
        if extend and end > self._allocated_bytes:
            allocated = -(-end // _CHUNK_BYTES) * _CHUNK_BYTES
            data = self._pending + bytes(allocated - end)
        if extend and self._pending and self._trouble.is_tearing():
            _pwrite(self._fd, data[: zlib.crc32(data) % len(self._pending)], self._written_bytes)
            self._trouble.die()
        _pwrite(self._fd, data, self._written_bytes)
        self._allocated_bytes = max(self._allocated_bytes, self._written_bytes + len(data))
        self._written_bytes = end
        self._pending.clear()

    def rename(self, path: Path) -> None:
        """Give it another name; whoever has that loses it."""
        self._path = self._path.replace(path)

    def close(self) -> None:
        """Close without syncing; in the absence of a crash the file then ends where its content ends."""
        if self._fd < 0:
            return
        # Unsynced data may be lost by contract, so a failure here tells the caller nothing.
        with contextlib.suppress(OSError):
            if self._fault is None:
                self._trouble.write(grows=bool(self._pending))
                self._write(extend=False)
                os.ftruncate(self._fd, self._written_bytes)
        os.close(self._fd)
        self._fd = -1
        if self._path.name.endswith(TEMPORARY):
            self._path.unlink()  # it never took the place of another


class RealDisk:
    """A directory of the run; see `ha.world.Disk`. It appears on the first use."""

    def __init__(self, root: Path, trouble: Trouble | None = None) -> None:
        self._root = root
        self._replacements = 0
        self._trouble = trouble or Trouble()

    def open(self, path: str) -> File:
        """Open for appending, created empty when missing."""
        full = self._resolve(path)
        existed = full.exists()
        if not existed:
            _make_directories(full.parent)
        file = RealFile(full, self._trouble)
        if not existed:
            _sync_directory(full.parent)
        return file

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError."""
        return self._resolve(path).read_bytes()

    async def replace(self, path: str, data: bytes) -> None:
        """Write beside, fsync, rename, fsync the directory."""
        full = self._resolve(path)
        temporary = self._temporary(full)
        if len(data) > _INLINE_BYTES:
            await trio.to_thread.run_sync(self._replace, full, temporary, data)
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._replace(full, temporary, data)
            await trio.lowlevel.cancel_shielded_checkpoint()

    def _replace(self, full: Path, temporary: Path, data: bytes) -> None:
        self._trouble.sync(grows=bool(data))
        _write_beside(temporary, data)
        temporary.replace(full)
        _sync_directory(full.parent)

    async def prepare(self, path: str, make: Callable[[], Iterable[bytes]]) -> File:
        """In a thread, a part at a time with rests in between: it may be large, and others need disk and processor."""
        temporary = self._temporary(self._resolve(path))

        def begin() -> tuple[int, deque[memoryview]]:
            return _create(temporary), deque([memoryview(piece) for piece in make()])

        def go_on() -> None:
            self._trouble.sync(grows=True)
            _append_some(fd, pieces)

        fd, pieces = await trio.to_thread.run_sync(begin)
        try:
            while pieces:
                begun_s = trio.current_time()
                await trio.to_thread.run_sync(go_on)
                await rest(begun_s)
            return RealFile(temporary, self._trouble)
        except BaseException:
            temporary.unlink()
            raise
        finally:
            os.close(fd)

    async def publish(self, path: str, file: File) -> None:
        """Sync, rename, fsync the directory."""
        assert isinstance(file, RealFile), "prepared by another world"
        await file.sync()
        full = self._resolve(path)
        file.rename(full)
        _sync_directory(full.parent)

    def _temporary(self, full: Path) -> Path:
        self._replacements += 1
        return full.with_name(f".{full.name}.{self._replacements}{TEMPORARY}")

    def remove(self, path: str) -> None:
        """Remove a file; a missing one is no error."""
        full = self._resolve(path)
        try:
            full.unlink()
        except FileNotFoundError:
            return
        _sync_directory(full.parent)

    def list(self, directory: str = "") -> list[str]:
        """Names in a directory, sorted; empty when it does not exist."""
        full = self._resolve(directory) if directory else self._root
        try:
            return sorted(entry.name for entry in full.iterdir() if not entry.name.endswith(TEMPORARY))
        except FileNotFoundError:
            return []

    def _resolve(self, path: str) -> Path:
        pure = PurePosixPath(path)
        if not pure.parts or pure.is_absolute() or ".." in pure.parts:
            raise ValueError(f"not a path inside the disk: {path!r}")
        return self._root / pure


def _pwrite(fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        if written == 0:
            raise OSError(errno.EIO, "wrote nothing")
        view = view[written:]
        offset += written


def _append_some(fd: int, pieces: deque[memoryview]) -> None:
    """Append the first of the pieces, durably."""
    offset = os.fstat(fd).st_size
    end = offset + _AT_ONCE_BYTES
    while pieces and offset < end:
        piece = pieces.popleft()
        if len(piece) > end - offset:
            pieces.appendleft(piece[end - offset :])
            piece = piece[: end - offset]
        _pwrite(fd, piece, offset)
        offset += len(piece)
    os.fsync(fd)


def _write_beside(temporary: Path, data: bytes) -> None:
    fd = _create(temporary)
    try:
        _pwrite(fd, data, 0)
        os.fsync(fd)
    except OSError:
        temporary.unlink()
        raise
    finally:
        os.close(fd)


def _create(path: Path) -> int:
    _make_directories(path.parent)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)


def _make_directories(directory: Path) -> None:
    """Create missing directories, each durably in its parent."""
    if not directory.exists():
        _make_directories(directory.parent)
        directory.mkdir(exist_ok=True)
        _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
