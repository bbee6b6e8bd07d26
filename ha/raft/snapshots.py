"""A snapshot: as the pieces that it is made and kept in, and on its way from the leader to a follower.

A state may be large, so nobody puts it together as a whole while others wait. A state machine gives it in *parts*, as
they are asked for (`pack` makes pieces of them, each with the lengths of its parts), and takes the same parts back
(`unpack`).

Chunks are sent one at a time, each when the one before was answered; the answer says how much the follower
holds, so that both agree after anything was lost. A whole snapshot is installed only if its checksum is right:
PySyncObj installs what arrived, and acknowledges it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence

from ha.raft.journal import Snapshot
from ha.raft.messages import SnapshotChunk

__all__ = ["Incoming", "Transfer", "pack", "unpack"]

CHUNK_BYTES = 512 << 10
PIECE_BYTES = 256 << 10
"""At least: small parts travel together. A chunk ends where its piece does."""
_LENGTH = struct.Struct("<I")


def pack(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts of a state as pieces, made as they are asked for."""
    held: list[bytes] = []
    size_bytes = 0
    for part in parts:
        held += (_LENGTH.pack(len(part)), part)
        size_bytes += len(part)
        if size_bytes >= PIECE_BYTES:
            yield b"".join(held)
            held, size_bytes = [], 0
    if held:
        yield b"".join(held)


def unpack(state: bytes) -> Iterator[bytes]:
    """The parts of a state, whose pieces were joined."""
    position = 0
    while position < len(state):
        (length,) = _LENGTH.unpack_from(state, position)
        position += _LENGTH.size + length
        yield state[position - length : position]


class Transfer:
    """A snapshot on its way to one follower: one chunk at a time, each sent when the one before was answered."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.total_bytes = snapshot.size_bytes
        self.offset = 0
        self.is_waiting = False
        self.sent_sequence = 0
        self._checksum = 0
        for piece in snapshot.pieces:
            self._checksum = zlib.crc32(piece, self._checksum)

    def next_chunk(self, term: int, sequence: int) -> SnapshotChunk:
        """The chunk at `offset`."""
        self.is_waiting = True
        self.sent_sequence = sequence
        snapshot, offset = self.snapshot, self.offset
        data = _cut(snapshot.pieces, offset, CHUNK_BYTES)
        return SnapshotChunk(
            term, sequence, snapshot.index, snapshot.term, offset, self.total_bytes, self._checksum, data
        )


def _cut(pieces: Sequence[bytes], offset: int, max_bytes: int) -> bytes:
    """What stands at an offset of all the pieces: at most so much, and not beyond the piece."""
    for piece in pieces:
        if offset < len(piece):
            return piece[offset : offset + max_bytes]
        offset -= len(piece)
    raise AssertionError("whoever has all of it asks for no more")


class Incoming:
    """A follower's end."""

    def __init__(self, source: str, chunk: SnapshotChunk) -> None:
        self._key = (source, chunk.term, chunk.index)
        self._data = bytearray()

    def continues_with(self, source: str, chunk: SnapshotChunk) -> bool:
        """Whether a chunk belongs to this snapshot and does not begin it anew."""
        return self._key == (source, chunk.term, chunk.index) and chunk.offset > 0

    def add(self, chunk: SnapshotChunk) -> Snapshot | int:
        """Take a chunk: the snapshot if that completes it, else how many of its bytes are held now."""
        if chunk.offset == len(self._data):
            self._data += chunk.data
        if len(self._data) < chunk.total_bytes:
            return len(self._data)
        if zlib.crc32(self._data) != chunk.checksum:
            self._data.clear()
            return 0
        return Snapshot(chunk.index, chunk.index_term, [bytes(self._data)])
