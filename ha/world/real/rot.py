"""What happens to a disk behind the back of the processes that use it: a bit flips, or everything is lost.

The page cache is shared, so what the process reads from now on is wrong; what it has in memory is not. Files end in
zeros that are no content yet (`ha.world.real.disk`); only what is before them is flipped.

It is put right when the bytes around it are still the same: a file that was replaced, cut or written anew there has
no bit to be put right. The file is held open, so that another one cannot be taken for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from ha.world.real.disk import TEMPORARY

__all__ = ["Flipped", "flip", "wipe"]

_AROUND_BYTES = 64


class Flipped:
    """The bit number `bit` of the byte at `offset`, to be found again. `name`: of the file, below the node's disks;
    `size_bytes`: of its content now.
    """

    def __init__(self, name: str, path: Path, size_bytes: int, offset: int, bit: int) -> None:
        self.name, self.offset, self.bit = name, offset, bit
        self._path = path
        self._begin, self._end = max(0, offset - _AROUND_BYTES), min(size_bytes, offset + _AROUND_BYTES)
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        byte = os.pread(self._fd, 1, offset)[0] ^ (1 << bit)
        os.pwrite(self._fd, bytes([byte]), offset)
        os.fdatasync(self._fd)
        status = os.fstat(self._fd)
        self._inode = (status.st_dev, status.st_ino)
        self._around = bytearray(self._look())

    def put_right(self) -> bool:
        """Flip it back; False if it is gone with its file. It cannot be asked again."""
        try:
            there = self._path.stat()
            if self._inode != (there.st_dev, there.st_ino) or self._look() != self._around:
                return False
            byte = os.pread(self._fd, 1, self.offset)[0] ^ (1 << self.bit)
            os.pwrite(self._fd, bytes([byte]), self.offset)
            os.fdatasync(self._fd)
        except FileNotFoundError:
            return False
        else:
            return True
        finally:
            os.close(self._fd)

    def expect(self, other: Flipped) -> None:
        """Know the place by what it is now, when the other bit, perhaps near, was flipped."""
        if other._inode == self._inode and self._begin <= other.offset < self._end:
            self._around[other.offset - self._begin] ^= 1 << other.bit

    def _look(self) -> bytes:
        return os.pread(self._fd, self._end - self._begin, self._begin)


def flip(disks: Path, process: str | None, random: Random) -> Flipped | None:
    """Flip a bit of a file of one process, or of any, of those below `disks`; None when there is none."""
    found = list(_contents(disks, process))
    if not found:
        return None
    path, size = random.choice(found)
    return Flipped(str(path.relative_to(disks)), path, size, random.randrange(size), random.randrange(8))


def wipe(disks: Path, process: str | None) -> dict[str, int]:
    """Remove all files of one process, or of all, of those below `disks`; which, with the sizes of their content."""
    lost = {str(path.relative_to(disks)): size for path, size in _contents(disks, process)}
    for directory in sorted(disks.iterdir() if process is None else [disks / process]) if lost else []:
        shutil.rmtree(directory)
    return lost


def _contents(disks: Path, process: str | None) -> Iterator[tuple[Path, int]]:
    """Files with their sizes without zeros at the end, sorted."""
    for path in sorted((disks if process is None else disks / process).rglob("*")):
        try:
            size = len(path.read_bytes().rstrip(b"\0")) if path.is_file() else 0
        except FileNotFoundError:
            continue  # it was just removed
        if size and not path.name.endswith(TEMPORARY):
            yield path, size
