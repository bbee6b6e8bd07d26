from __future__ import annotations

import pytest

from ha.raft import JournalCorruptError
from ha.raft.records import (
    MAGIC,
    Kind,
    Record,
    encode_batch,
    encode_first_batch,
    encode_record,
    read_batches,
    read_records,
)


def file_of(first: bytes, *bodies: bytes) -> bytes:
    data = b"".join(encode_first_batch([first]))
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


def test_the_first_batch_is_the_same_in_pieces_and_copies_none() -> None:
    pieces = [b"one", b"", bytes(2000), b"four"]
    batch = encode_first_batch(pieces)
    assert all(written is piece for written, piece in zip(batch[1:], pieces, strict=True))
    data = b"".join(batch)
    assert data == file_of(b"".join(pieces))
    assert read_batches(data + bytes(512)) == ([b"".join(pieces)], len(data))
