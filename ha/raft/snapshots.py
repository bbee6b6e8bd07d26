"""A snapshot on its way from the leader to a follower, seen from both ends.

Chunks are sent one at a time, each when the one before was answered; the answer says how much the follower
holds, so that both agree after anything was lost. A whole snapshot is installed only if its checksum is right:
PySyncObj installs what arrived, and acknowledges it.
"""

from __future__ import annotations

import zlib

from ha.raft.journal import Snapshot
from ha.raft.messages import SnapshotChunk

__all__ = ["Incoming", "Transfer"]

CHUNK_BYTES = 512 << 10


class Transfer:
    """A snapshot on its way to one follower: one chunk at a time, each sent when the one before was answered."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.offset = 0
        self.is_waiting = False
        self.sent_sequence = 0
        self._checksum = zlib.crc32(snapshot.state)

    def next_chunk(self, term: int, sequence: int) -> SnapshotChunk:
        """The chunk at `offset`."""
        self.is_waiting = True
        self.sent_sequence = sequence
        snapshot, offset = self.snapshot, self.offset
        data = snapshot.state[offset : offset + CHUNK_BYTES]
        total = len(snapshot.state)
        return SnapshotChunk(term, sequence, snapshot.index, snapshot.term, offset, total, self._checksum, data)


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
        return Snapshot(chunk.index, chunk.index_term, bytes(self._data))
