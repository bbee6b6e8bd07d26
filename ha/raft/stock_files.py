"""The files of stock PySyncObj on ``host.disk``: written, handed to the operating system, never synced.

PySyncObj's own journal, term file and serializer run as they are; what they open, write and rename lies here. A path
is a `FilePath`, which knows its member's files, so that PySyncObj's code can carry it without knowing.

* The journal is a memory map that is written in place and never synced. Its records only ever grow at the end or
  are cut there, and its header only says where they end: an append-only file, whose length is that header.
* Term file and dump are replaced by renaming a temporary one, unsynced. Two slots, written in turn and numbered, do
  that on files which can only be appended and cut; the newest whole one is what the name stands for.

A killed process loses nothing. Loss of power takes what the disk had not written by itself. The disk is kinder to
PySyncObj than a real one: a journal is read up to its last whole record, and an older term file is found when the
newer one is torn, where the memory map and the rename might leave a file of zeros that it cannot start from.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import IO, Self

from pysyncobj import journal

from ha.world import Disk, File

__all__ = ["BusError", "FilePath", "Files", "JournalFile"]

_LENGTH = struct.Struct("<I")
_SLOT = struct.Struct("<QQ")
_NUMBER = struct.Struct("<Q")
_SMALLEST_RECORD_BYTES = 16


class BusError(Exception):
    """SIGBUS: a page of the memory map has no room on the disk. It kills the process."""


class FilePath(str):
    """A path on a member's disk. What is added to it stays on that disk."""

    __slots__ = ("files",)
    files: Files

    def __new__(cls, files: Files, path: str) -> Self:
        """Name a file of these."""
        self = super().__new__(cls, path)
        self.files = files
        return self

    def __add__(self, suffix: str) -> FilePath:
        return FilePath(self.files, str(self) + suffix)


class Files:
    """One member's files, as PySyncObj uses them: open, rename, exists."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._slots: dict[str, _Slots] = {}
        self._unnamed: dict[str, bytes] = {}

    def path(self, path: str) -> FilePath:
        """Name a file."""
        return FilePath(self, path)

    def exists(self, path: str) -> bool:
        """Whether a file was put in place under this name."""
        return self._slots_of(path).read() is not None

    def open(self, path: str, mode: str) -> IO[bytes]:
        """Open for reading, or a temporary file for writing. Raises FileNotFoundError."""
        if mode == "wb":
            return _Temporary(self._unnamed, path)
        assert mode == "rb", f"PySyncObj opens {path} as {mode}"
        data = self._slots_of(path).read()
        if data is None:
            raise FileNotFoundError(path)
        return BytesIO(data)

    def rename(self, temporary: str, path: str) -> None:
        """Put a temporary file in place. Raises FileNotFoundError, OSError when the disk is full."""
        if temporary not in self._unnamed:
            raise FileNotFoundError(temporary)
        self._slots_of(path).write(self._unnamed.pop(temporary))

    def _slots_of(self, path: str) -> _Slots:
        if path not in self._slots:
            self._slots[path] = _Slots(self.disk, path)
        return self._slots[path]

    def close(self) -> None:
        """Close without syncing."""
        for slots in self._slots.values():
            slots.close()


class _Temporary(BytesIO):
    def __init__(self, unnamed: dict[str, bytes], path: str) -> None:
        super().__init__()
        self._unnamed, self._path = unnamed, path

    def close(self) -> None:
        if not self.closed:
            self._unnamed[str(self._path)] = self.getvalue()
        super().close()


class _Slots:
    """The content of one name: the newest whole one of two files. Number, length, content, number again."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._files = [disk.open(f"{path}.{slot}") for slot in range(2)]
        found = [_read_slot(file) for file in self._files]
        self._number, self._content = max(found, key=lambda slot: slot[0])

    def read(self) -> bytes | None:
        return self._content

    def write(self, data: bytes) -> None:
        self._number += 1
        file = self._files[self._number % 2]
        file.truncate(0)
        file.append(_SLOT.pack(self._number, len(data)) + data + _NUMBER.pack(self._number))
        file.flush()
        self._content = data

    def close(self) -> None:
        for file in self._files:
            file.close()


def _read_slot(file: File) -> tuple[int, bytes | None]:
    raw = file.read()
    if len(raw) < _SLOT.size:
        return 0, None
    number, length = _SLOT.unpack_from(raw)
    end = _SLOT.size + length
    if raw[end : end + _NUMBER.size] != _NUMBER.pack(number) or number == 0:
        return 0, None
    return number, raw[_SLOT.size : end]


class JournalFile:
    """What `pysyncobj.journal.FileJournal` writes to, with the header's "last record ends here" as the length."""

    def __init__(self, path: FilePath) -> None:
        self._file = path.files.disk.open(path)
        content = self._file.read()
        self._content = bytearray(content[: _end_of_records(content)])
        if len(content) > len(self._content):
            self._file.truncate(len(self._content))

    def read(self, offset: int, size: int) -> bytes:
        """Bytes at an offset of the stock file."""
        if offset == journal.LAST_RECORD_OFFSET_OFFSET:
            return _LENGTH.pack(journal.FIRST_RECORD_OFFSET + len(self._content))
        start = offset - journal.FIRST_RECORD_OFFSET
        assert start >= 0, f"PySyncObj reads its header at {offset}"
        return bytes(self._content[start : start + size])

    def write(self, offset: int, data: bytes) -> None:
        """Write a record at the end, or where the last record ends. Raises BusError when the disk is full."""
        if offset == journal.LAST_RECORD_OFFSET_OFFSET:
            end = _LENGTH.unpack(data)[0] - journal.FIRST_RECORD_OFFSET
            if end == len(self._content):
                return
            del self._content[end:]
            self._file.truncate(end)
        else:
            assert offset == journal.FIRST_RECORD_OFFSET + len(self._content), f"PySyncObj writes at {offset}"
            self._content += data
            self._file.append(data)
        try:
            self._file.flush()
        except OSError as error:
            raise BusError("no room for the journal") from error

    def flush(self) -> None:
        """Never called by what runs: the fault that this engine exhibits."""
        raise AssertionError("PySyncObj synced its journal")

    def _destroy(self) -> None:
        self._file.close()


def _end_of_records(content: bytes) -> int:
    """Where the last whole record ends: its size, itself, its size again."""
    end = 0
    while end + 2 * _LENGTH.size + _SMALLEST_RECORD_BYTES <= len(content):
        (size,) = _LENGTH.unpack_from(content, end)
        following = end + _LENGTH.size + size
        trailer = content[following : following + _LENGTH.size]
        if size < _SMALLEST_RECORD_BYTES or trailer != _LENGTH.pack(size):
            return end
        end = following + _LENGTH.size
    return end
