"""How the journal lies on disk. Pure: bytes in, bytes out.

The file is a sequence of *batches*; a batch is what one sync made durable:

    magic (4) · length of what follows the header (4) · its CRC32 (4) · CRC32 of these (4) · MARK (1)
    body, a MARK after every 511 bytes of it and at its end (none in the first batch)

    body: records, one after another
    record: kind (1) · a (8) · b (8) · length of the payload (4) · payload

    | kind        | a              | b             | payload        |
    |-------------|----------------|---------------|----------------|
    | entry       | index          | term          | command        |
    | truncate    | first index    |               |                |  this index and all after it are gone
    | vote        | term           |               | member or none |
    | snapshot    | last index     | its term      | state          |
    | incarnation | number of boot |               |                |
    | disk        | its identity   | 1: a member's | its founders   |  0: a learner's (`ha.raft.membership`)

One CRC per batch rather than per record, because a batch is what becomes durable as a whole: the next batch is
written only after the sync of this one returned (one sync may make several durable in a file that nobody sees before
it). Files come into being whole (`Disk.replace`, `Disk.publish`), so the first batch, with the snapshot, is never torn
and must check; it does without what follows here.

**Torn or rotten?** A batch at the end that does not check is either a write that was under way when the machine
stopped: nothing in it was acknowledged, and it is dropped. Or it was durable, acknowledged, and is damaged: that is
refused, never repaired by forgetting. A CRC cannot tell the two apart, but what they leave behind differs. A write
that did not finish leaves sectors of the disk as they were: the file ends there, or is zero, as what follows its
content always is. So a batch never writes a sector of zeros: no 512 bytes of it are without a MARK, and its first and
last bytes are none. The rule of recovery:

* A valid batch behind it: it was durable, it is rotten.
* Its last byte, or a whole sector's part of it, is missing or zero: it is torn.
* Everything is there, and it does not check: it is rotten. (The same rule tells a torn header from a rotten one,
  whose length says nothing.)

So no flip of bits within what was written is taken for a torn write. What remains is a disk that loses a whole sector
of the very last batch, or gives it back as zeros: nothing but a second copy could tell that from a write that never
happened.

The CRC covers the batch's own offset. So bytes that look like a batch inside a command (a client may well store
somebody's journal) are never taken for one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from ha.raft.errors import JournalCorruptError

__all__ = [
    "Kind",
    "Record",
    "encode_batch",
    "encode_first_batch",
    "encode_record",
    "read_batches",
    "read_records",
    "record_head",
]

MAGIC = b"\xf5Rj\x03"
MARK = b"\xa5"
"""More than one bit, so that no flip makes it zero."""
SECTOR_BYTES = 512
_FIELDS = struct.Struct("<4sII")
_HEADER_BYTES = _FIELDS.size + 4 + len(MARK)
_CELL_BYTES = SECTOR_BYTES - len(MARK)
_RECORD = struct.Struct("<BQQI")
_OFFSET = struct.Struct("<Q")


class Kind(IntEnum):
    """What a record says."""

    ENTRY = 1
    TRUNCATE = 2
    VOTE = 3
    SNAPSHOT = 4
    INCARNATION = 5
    DISK = 6


class Record(NamedTuple):
    """One record. See the table above for `a` and `b`."""

    kind: Kind
    a: int
    b: int
    payload: bytes


def encode_record(kind: Kind, a: int, b: int = 0, payload: bytes = b"") -> bytes:
    """One record as bytes."""
    return record_head(kind, a, b, len(payload)) + payload


def record_head(kind: Kind, a: int, b: int, payload_bytes: int) -> bytes:
    """What stands before a payload that is too large to be copied."""
    return _RECORD.pack(kind, a, b, payload_bytes)


def encode_batch(body: bytes, offset: int) -> bytes:
    """A batch that is going to stand at this offset of the file, behind others."""
    assert body, "an empty batch says nothing, and nobody could tell that it is there"
    assert offset, "the first batch is another one"
    marked = b"".join([body[at : at + _CELL_BYTES] + MARK for at in range(0, len(body), _CELL_BYTES)])
    return _header(len(marked), _checksum(marked, offset), offset) + marked


def encode_first_batch(body: Sequence[bytes]) -> list[bytes]:
    """The batch at the beginning of a file, of a body in pieces. It may be large: nothing is copied."""
    length, checksum = 0, _checksum(b"", 0)
    for piece in body:
        length += len(piece)
        checksum = zlib.crc32(piece, checksum)
    return [_header(length, checksum, 0), *body]


def _header(length: int, checksum: int, offset: int) -> bytes:
    fields = _FIELDS.pack(MAGIC, length, checksum)
    return fields + _checksum(fields, offset).to_bytes(4, "little") + MARK


def _checksum(data: bytes, offset: int) -> int:
    return zlib.crc32(data, zlib.crc32(_OFFSET.pack(offset)))


def read_batches(data: bytes) -> tuple[list[bytes], int]:
    """The bodies of all valid batches, and where the valid part of the file ends.

    Raises JournalCorruptError, which names the byte, when what was durable does not check.
    """
    bodies: list[bytes] = []
    end = 0
    while (found := _batch_at(data, end)) is not None:
        body, end = found
        bodies.append(body)
    if not bodies:
        raise JournalCorruptError(f"damaged at byte 0: {len(data)} bytes that do not begin with a valid batch")
    later = data.find(MAGIC, end)
    while later >= 0:
        if _batch_at(data, later) is not None:
            what = f"a valid batch follows at byte {later}, so this is no torn write"
            raise JournalCorruptError(f"damaged at byte {end}: {what}")
        later = data.find(MAGIC, later + 1)
    if not _is_torn(data, end):
        raise JournalCorruptError(f"damaged at byte {end}: all of the last batch is there, and its checksum is wrong")
    return bodies, end


def _batch_at(data: bytes, offset: int) -> tuple[bytes, int] | None:
    """The body of the batch at this offset and where it ends, if it checks."""
    start, length, checksum = _header_at(data, offset)
    marked = data[start : start + length]
    if not length or len(marked) < length or _checksum(marked, offset) != checksum:
        return None
    if not offset:
        return marked, start + length
    cells = range(0, length, SECTOR_BYTES)
    body = b"".join([marked[at : min(at + SECTOR_BYTES, length) - len(MARK)] for at in cells])
    return body, start + length


def _header_at(data: bytes, offset: int) -> tuple[int, int, int]:
    """Where what follows the header begins, its length (0: the header does not check), its checksum."""
    start = offset + _HEADER_BYTES
    fields, rest = data[offset : offset + _FIELDS.size], data[offset + _FIELDS.size : start]
    if fields[: len(MAGIC)] != MAGIC or rest != _checksum(fields, offset).to_bytes(4, "little") + MARK:
        return start, 0, 0
    _, length, checksum = _FIELDS.unpack(fields)
    return start, length, checksum


def _is_torn(data: bytes, offset: int) -> bool:
    """Whether what stands here, and is no valid batch, is a write that did not finish."""
    start, length, _ = _header_at(data, offset)
    end = start + length
    if end > len(data) or not data[end - 1]:
        return True
    while offset < end:
        sector_end = min(end, (offset // SECTOR_BYTES + 1) * SECTOR_BYTES)
        if not any(data[offset:sector_end]):
            return True
        offset = sector_end
    return False


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
