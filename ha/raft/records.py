"""How the journal lies on disk. Pure: bytes in, bytes out.

The file is a sequence of *batches*; a batch is everything that one sync made durable:

    magic (4) · length of the body (4) · CRC32 (4) · body: records, one after another

    record: kind (1) · a (8) · b (8) · length of the payload (4) · payload

    | kind        | a              | b             | payload        |
    |-------------|----------------|---------------|----------------|
    | entry       | index          | term          | command        |
    | truncate    | first index    |               |                |  this index and all after it are gone
    | vote        | term           |               | member or none |
    | snapshot    | last index     | its term      | state          |
    | incarnation | number of boot |               |                |

One CRC per batch rather than per record, because a batch is what becomes durable as a whole: the next batch is
written only after the sync of this one returned. Hence the rule of recovery. A batch that does not check and has
no valid batch behind it is a write that was under way when the machine stopped: nothing in it was acknowledged,
and it is dropped (the tail may be torn, or zeros that a file system put there). A batch that does not check and
*has* a valid batch behind it was durable once and is damaged: that is refused, never repaired by forgetting. So
is a file whose first batch does not check, since files come into being whole (`Disk.replace`).

The CRC covers the batch's own offset. So bytes that look like a batch inside a command (a client may well store
somebody's journal) are never taken for one.

Limit: damage in the very last batch cannot be told from a torn write, in this format or any other without a
second copy.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import NamedTuple

from ha.raft.errors import JournalCorruptError

__all__ = ["Kind", "Record", "encode_batch", "encode_record", "read_batches", "read_records"]

MAGIC = b"\xf5Rj\x01"
_BATCH = struct.Struct("<4sII")
_RECORD = struct.Struct("<BQQI")
_OFFSET = struct.Struct("<Q")


class Kind(IntEnum):
    """What a record says."""

    ENTRY = 1
    TRUNCATE = 2
    VOTE = 3
    SNAPSHOT = 4
    INCARNATION = 5


class Record(NamedTuple):
    """One record. See the table above for `a` and `b`."""

    kind: Kind
    a: int
    b: int
    payload: bytes


def encode_record(kind: Kind, a: int, b: int = 0, payload: bytes = b"") -> bytes:
    """One record as bytes."""
    return _RECORD.pack(kind, a, b, len(payload)) + payload


def encode_batch(body: bytes, offset: int) -> bytes:
    """A batch that is going to stand at this offset of the file."""
    return _BATCH.pack(MAGIC, len(body), _checksum(body, offset)) + body


def _checksum(body: bytes | memoryview, offset: int) -> int:
    return zlib.crc32(body, zlib.crc32(_OFFSET.pack(offset)))


def read_batches(data: bytes) -> tuple[list[bytes], int]:
    """The bodies of all valid batches, and where the valid part of the file ends.

    Raises JournalCorruptError when something before the last valid batch does not check.
    """
    bodies: list[bytes] = []
    end = 0
    while (body := _batch_at(data, end)) is not None:
        bodies.append(body)
        end += _BATCH.size + len(body)
    if not bodies:
        raise JournalCorruptError(f"the journal ({len(data)} bytes) does not begin with a valid batch")
    later = data.find(MAGIC, end)
    while later >= 0:
        if _batch_at(data, later) is not None:
            raise JournalCorruptError(
                f"the journal is damaged at byte {end}: a valid batch follows at byte {later}, so this is no torn write"
            )
        later = data.find(MAGIC, later + 1)
    return bodies, end


def _batch_at(data: bytes, offset: int) -> bytes | None:
    if offset + _BATCH.size > len(data):
        return None
    magic, length, checksum = _BATCH.unpack_from(data, offset)
    start = offset + _BATCH.size
    if magic != MAGIC or start + length > len(data):
        return None
    body = data[start : start + length]
    return body if _checksum(body, offset) == checksum else None


def read_records(body: bytes) -> list[Record]:
    """The records of one batch. Raises JournalCorruptError when they do not fill it exactly."""
    records: list[Record] = []
    position = 0
    try:
        while position < len(body):
            kind, a, b, length = _RECORD.unpack_from(body, position)
            position += _RECORD.size
            payload = body[position : position + length]
            position += length
            records.append(Record(Kind(kind), a, b, payload))
    except (struct.error, ValueError) as error:
        raise JournalCorruptError(f"a batch with a valid checksum holds no valid records: {error}") from error
    if position != len(body):
        raise JournalCorruptError("a batch with a valid checksum ends within a record")
    return records
