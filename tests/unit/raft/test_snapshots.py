from __future__ import annotations

from random import Random

import pytest

from ha.raft import snapshots
from ha.raft.journal import Snapshot
from ha.raft.snapshots import Incoming, Transfer, pack, unpack

SIZES = [0, 1, 300, 5, 1500, 0, 1000, 40]


@pytest.fixture
def parts(monkeypatch) -> list[bytes]:
    monkeypatch.setattr(snapshots, "PIECE_BYTES", 600)
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 400)
    random = Random(1)
    return [random.randbytes(size) for size in SIZES]


def received(snapshot: Snapshot) -> Snapshot:
    """By a follower that is sent every chunk twice."""
    transfer = Transfer(snapshot)
    incoming = Incoming("leader", transfer.next_chunk(7, 1))
    for _ in range(100):
        chunk = transfer.next_chunk(7, 1)
        assert chunk.total_bytes == snapshot.size_bytes
        incoming.add(chunk)
        held = incoming.add(chunk)
        if isinstance(held, Snapshot):
            return held
        assert held > transfer.offset
        transfer.offset = held
    raise AssertionError("it never ends")


def test_parts_travel_in_pieces_and_chunks_and_arrive_as_they_were(parts: list[bytes]) -> None:
    pieces = list(pack(parts))
    assert len(pieces) == 3
    arrived = received(Snapshot(9, 3, pieces))
    assert (arrived.index, arrived.term) == (9, 3)
    assert list(unpack(b"".join(arrived.pieces))) == parts


def test_a_snapshot_in_one_piece_arrives_as_well(parts: list[bytes]) -> None:
    """As it is after a restart."""
    whole = b"".join(pack(parts))
    assert received(Snapshot(9, 3, [whole])).pieces == [whole]


def test_pieces_are_made_when_they_are_asked_for(parts: list[bytes]) -> None:
    asked = iter(parts)
    next(pack(asked))
    assert list(asked) == parts[5:]
