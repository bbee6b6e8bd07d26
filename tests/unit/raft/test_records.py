from __future__ import annotations

from random import Random

import pytest

from ha.raft import JournalCorruptError
from ha.raft.records import (
    MAGIC,
    Kind,
    Record,
    encode_batch,
    encode_batch_in_pieces,
    encode_record,
    read_batches,
    read_records,
)


def file_of(*bodies: bytes) -> bytes:
    data = b""
    for body in bodies:
        data += encode_batch(body, len(data))
    return data


def test_what_was_written_is_read() -> None:
    records = [Record(Kind.ENTRY, 7, 3, b"command"), Record(Kind.VOTE, 3, 0, b"a"), Record(Kind.TRUNCATE, 7, 0, b"")]
    body = b"".join(encode_record(*record) for record in records)
    bodies, end = read_batches(file_of(body, body))
    assert [read_records(body) for body in bodies] == [records, records]
    assert end == len(file_of(body, body))


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0" * 4096])
def test_a_tail_torn_at_any_byte_is_dropped(padding: bytes) -> None:
    whole, kept = file_of(b"first", b"second", b"third"), file_of(b"first", b"second")
    for cut in range(len(kept), len(whole)):
        bodies, end = read_batches(whole[:cut] + padding)
        assert bodies == [b"first", b"second"]
        assert end == len(kept)


def test_zeros_after_the_end_are_ignored() -> None:
    assert read_batches(file_of(b"first") + bytes(1 << 16)) == ([b"first"], len(file_of(b"first")))


def test_damage_before_a_valid_batch_is_refused() -> None:
    """It was durable, hence perhaps acknowledged: dropping it and what follows would lose it silently."""
    data = file_of(b"first", b"second", b"third")
    start, end = len(file_of(b"first")), len(file_of(b"first", b"second"))
    for position in range(start, end):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(JournalCorruptError, match=f"damaged at byte {start}"):
            read_batches(bytes(damaged))


def test_a_file_that_does_not_begin_with_a_valid_batch_is_refused() -> None:
    data = file_of(b"first")
    for damaged in (b"", bytes(100), data[:-1], b"x" + data):
        with pytest.raises(JournalCorruptError, match="do not begin"):
            read_batches(damaged)


def test_a_journal_inside_a_torn_command_is_not_taken_for_a_batch() -> None:
    copied = MAGIC + file_of(b"somebody's", b"journal")
    whole = file_of(b"first", b"command: " + copied + b" end")
    assert read_batches(whole[:-1])[0] == [b"first"]


def test_a_batch_of_half_a_record_is_refused() -> None:
    with pytest.raises(JournalCorruptError):
        read_records(encode_record(Kind.ENTRY, 1, 1, b"command")[:-1])
    with pytest.raises(JournalCorruptError):
        read_records(b"\x63" + encode_record(Kind.ENTRY, 1, 1, b"")[1:])


@pytest.mark.parametrize(
    "sizes", [[1], [511, 0, 511], [65407, 1, 1], [200_000, 3, 65408, 70_000], [1, 300_000], [9] * 9_000]
)
def test_a_batch_in_pieces_is_the_same_batch(sizes: list[int]) -> None:
    random = Random(1)
    parts = [random.randbytes(size) for size in sizes]
    pieces = list(encode_batch_in_pieces(parts, 77))
    assert b"".join(pieces) == encode_batch(b"".join(parts), 77)
    assert max(map(len, pieces)) <= 65536
