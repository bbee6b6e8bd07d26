"""Bit rot anywhere on a member's disk is found, or does no harm: whatever the history, a member that starts from a
journal with one flipped bit refuses and names file and byte, or knows exactly what it knew.

Above all in the last batch, where a journal that cannot tell rot from a torn write forgets what was acknowledged.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import pairwise
from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from ha.raft import JournalCorruptError, RaftError
from ha.raft.journal import Journal
from ha.raft.records import SECTOR_BYTES, encode_batch, encode_first_batch, read_batches
from tests.fakes.world import FakeWorld, run_virtual
from tests.unit.raft.cluster import Cluster

PATH = "raft/journal"
HISTORIES = 6


@lru_cache(maxsize=HISTORIES)
def journals(seed: int) -> list[bytes]:
    """What three members have on their disks after a history that the seed decides; all of it was synced."""
    found: list[bytes] = []
    run_virtual(partial(_live, seed, found), seed=seed)
    return found


async def _live(seed: int, found: list[bytes]) -> None:
    random = Random(f"history/{seed}")
    async with FakeWorld(seed=seed) as world:
        cluster = Cluster(world, "abc", heartbeat_s=0.01, election_s=0.1, snapshot_every=random.choice((8, 40, 10_000)))
        await cluster.start()
        for number in range(random.randint(3, 30)):
            leader = await cluster.leader()
            if random.random() < 0.15:
                await world.power_off(leader)
                await cluster.start(leader)
            command = random.choice((b"%d" % number, bytes(random.randrange(2000)), random.randbytes(700)))
            with trio.move_on_after(1):
                try:
                    await cluster.replicas[random.choice(sorted(cluster.replicas))].propose(command)
                except RaftError:
                    continue
        await cluster.settle()
        for name in cluster.names:
            await world.power_off(name)
            found.append(world.disk(name).read(PATH))


async def _opened(disk, data: bytes) -> tuple[object, ...]:
    """What a member knows that starts from these bytes. Raises JournalCorruptError."""
    await disk.replace(PATH, data)
    journal = await Journal.open(disk, PATH)
    journal.close()
    return journal.entries, journal.snapshot, journal.term, journal.vote, journal.incarnation


async def _check_flips(data: bytes, flips) -> int:
    """How many of them were refused; the others did no harm."""
    refused: list[str] = []
    async with FakeWorld() as world:
        disk = world.disk("a")
        before = await _opened(disk, data)
        for offset, bit in flips:
            rotten = bytearray(data)
            rotten[offset] ^= 1 << bit
            try:
                assert await _opened(disk, bytes(rotten)) == before, f"bit {bit} of byte {offset}: a wrong answer"
            except JournalCorruptError as error:
                refused.append(str(error))
    assert all(f"{PATH}: damaged at byte " in error for error in refused)
    return len(refused)


def _sweep(data: bytes, flips) -> None:
    """Of what was written every flip is found; after it there is nothing to lose."""
    written = [(offset, bit) for offset, bit in flips if offset < len(data)]

    async def check() -> None:
        assert await _check_flips(data, written) == len(written)
        padded = data + bytes(64)
        await _check_flips(padded, [(len(data) + at, bit) for at in range(64) for bit in range(8)])

    run_virtual(check)


def test_every_bit_of_a_small_journal() -> None:
    data = small_journal()
    _sweep(data, [(offset, bit) for offset in range(len(data)) for bit in range(8)])


def small_journal() -> bytes:
    """Several batches, with entries that were taken back."""
    written: list[bytes] = []

    async def write() -> None:
        async with FakeWorld() as world:
            disk = world.disk("a")
            journal = await Journal.open(disk, PATH)
            journal.set_term(1, "b")
            await journal.sync()
            for index in range(2, 5):
                journal.append(b"command", index, 1)
                await journal.sync()
            journal.truncate(4)
            journal.append(b"another", 4, 2)
            await journal.sync()
            written.append(disk.read(PATH))

    run_virtual(write)
    return written[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_bit_of_every_byte_after_a_real_history(seed: int) -> None:
    for data in journals(seed)[:1]:
        _sweep(data, [(offset, offset % 8) for offset in range(0, len(data), max(1, len(data) // 1500))])


@settings(deadline=None, max_examples=150)
@given(st.integers(0, HISTORIES - 1), st.integers(0, 2), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_a_bit_anywhere_after_any_history(seed: int, member: int, where: float, bit: int) -> None:
    data = journals(seed)[member]
    _sweep(data, [(int(where * len(data)), bit), (len(data) - 1 - int(where * min(len(data), 100)), bit)])


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=3000) | st.integers(1, 3000).map(bytes), st.integers(0, 1200), st.data())
def test_whatever_sectors_of_the_last_write_are_missing_it_alone_is_dropped(body: bytes, before: int, data) -> None:
    """A disk writes the sectors of one write in any order, and a process can die between any two bytes of it."""
    first = b"".join(encode_first_batch([b"f" * (before + 1)]))
    last = encode_batch(body or b"x", len(first))
    whole = first + last
    edges = [len(first), *range(-(-len(first) // SECTOR_BYTES) * SECTOR_BYTES, len(whole), SECTOR_BYTES), len(whole)]
    pieces = sorted({(a, b) for a, b in pairwise(edges) if a < b})
    lost = data.draw(st.lists(st.sampled_from(pieces), min_size=1, unique=True))
    torn = bytearray(whole)
    for start, end in lost:
        torn[start:end] = bytes(end - start)
    assert read_batches(bytes(torn)) == ([b"f" * (before + 1)], len(first))
    cut = data.draw(st.integers(len(first), len(whole) - 1))
    for padding in (b"", bytes(7), bytes(4096)):
        assert read_batches(whole[:cut] + padding) == ([b"f" * (before + 1)], len(first))


def test_a_member_with_rot_in_its_last_batch_does_not_start() -> None:
    async def check() -> None:
        async with FakeWorld() as world:
            cluster = Cluster(world, "abc", heartbeat_s=0.01, election_s=0.1)
            await cluster.start()
            leader = await cluster.leader()
            await cluster.replicas[leader].propose(b"acknowledged")
            await world.power_off(leader)
            device = world.disk(leader).device
            for data in (device.files[PATH].durable, device.files[PATH].current):
                data[-5] ^= 1
            with pytest.raises(JournalCorruptError, match=f"{PATH}: damaged at byte "):
                await cluster.start(leader)

    run_virtual(check)
