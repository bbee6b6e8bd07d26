from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

import pytest
import trio

from ha.raft import JournalCorruptError
from ha.raft.journal import Journal, Snapshot
from ha.raft.records import Kind, encode_batch, encode_record
from ha.world import File
from ha.world.real.disk import RealDisk
from tests.fakes.world import FakeWorld


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


async def test_a_new_journal_begins_with_the_entry_before_all_others(autojump_clock) -> None:
    async with FakeWorld() as world:
        journal = await Journal.open(world.disk("a"), "raft/journal")
        assert [(index, term) for _, index, term in journal.entries] == [(1, 0)]
        assert (journal.term, journal.vote, journal.incarnation) == (0, None, 1)


async def test_everything_synced_is_there_again(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.set_term(3, "b")
        for index in range(2, 10):
            journal.append(b"%d" % index, index, 3)
        journal.truncate(6)
        journal.append(b"other", 6, 4)
        await journal.sync()
        await world.power_off("a")
        again = await Journal.open(disk, "journal")
        assert again.entries == journal.entries
        assert (again.term, again.vote) == (3, "b")


async def test_each_start_is_another_incarnation(autojump_clock) -> None:
    """Even if the machine stops right after: two incarnations never share a number."""
    async with FakeWorld() as world:
        for expected in range(1, 5):
            assert (await Journal.open(world.disk("a"), "journal")).incarnation == expected
            await world.power_off("a")


@pytest.mark.parametrize("seed", range(30))
async def test_power_loss_keeps_all_that_was_synced_and_whole_batches_only(autojump_clock, seed: int) -> None:
    async with FakeWorld(seed=seed) as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.append(b"synced", 2, 1)
        await journal.sync()
        for index in range(3, 8):
            journal.append(b"x" * 50, index, 1)
        disk.device.fail_with = OSError(5, "the power went off during the sync")
        with pytest.raises(OSError, match="power"):
            await journal.sync()
        disk.device.fail_with = None
        await world.power_off("a")
        assert (await Journal.open(disk, "journal")).last_index in (2, 7)


async def test_a_torn_tail_is_cut_so_that_what_is_written_next_is_found(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        await Journal.open(disk, "journal")
        whole = disk.read("journal")
        await disk.replace("journal", whole + b"torn" + bytes(99))
        journal = await Journal.open(disk, "journal")
        journal.append(b"after", 2, 1)
        await journal.sync()
        assert (await Journal.open(disk, "journal")).entries[-1] == (b"after", 2, 1)


async def test_damage_in_the_middle_stops_the_member(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        for index in range(2, 6):
            journal.append(b"command %d" % index, index, 1)
            await journal.sync()
        await disk.replace("journal", disk.read("journal").replace(b"command 3", b"Command 3"))
        with pytest.raises(JournalCorruptError, match="damaged"):
            await Journal.open(disk, "journal")


async def test_a_gap_in_the_log_stops_the_member(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        await Journal.open(disk, "journal")
        data = disk.read("journal")
        await disk.replace("journal", data + encode_batch(encode_record(Kind.ENTRY, 9, 1, b"x"), len(data)))
        with pytest.raises(JournalCorruptError, match="entry 9 follows entry 1"):
            await Journal.open(disk, "journal")


async def test_compaction_keeps_the_end_of_the_log(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        for index in range(2, 50):
            journal.append(b"%d" % index, index, 1)
        journal.set_term(2, "c")
        journal.compact(40, [b"state"], 35)
        await journal.rewrite()
        await journal.sync()
        again = await Journal.open(disk, "journal")
        assert (again.first_index, again.last_index) == (35, 49)
        assert again.snapshot == Snapshot(40, 1, [b"state"])
        assert (again.term, again.vote) == (2, "c")


@pytest.mark.parametrize("stop_at", range(7))
async def test_nothing_is_lost_whenever_power_fails_while_the_journal_is_rewritten(autojump_clock, stop_at) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        for index in range(2, 50):
            journal.append(b"%d" % index, index, 1)

        async def synced() -> None:
            await journal.sync()

        async def recorded() -> None:
            journal.truncate(48)
            journal.append(b"other", 48, 3)
            journal.set_term(3, "b")

        async def compacted() -> None:
            journal.compact(40, [b"state"], 35)

        steps = [synced, compacted, recorded, synced, journal.rewrite, synced]
        for step in steps[:stop_at]:
            await step()
        await world.power_off("a")
        again = await Journal.open(disk, "journal")
        assert again.last_index == (1 if stop_at == 0 else 49 if stop_at < 4 else 48)
        assert again.term == (3 if stop_at >= 4 else 0)
        assert again.first_index == (35 if stop_at == 6 else 1)
        assert (again.snapshot is not None) == (stop_at == 6)
        if stop_at >= 4:
            assert again.entries[-1] == (b"other", 48, 3)
            assert again.entries[-14:] == journal.entries[-14:]


async def test_the_journal_goes_on_while_it_is_rewritten(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.append(b"2", 2, 1)
        journal.compact(2, [b"state"], 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.rewrite)
            await trio.lowlevel.checkpoint()
            for index in range(3, 6):
                journal.append(b"%d" % index, index, 1)
                await journal.sync()
        await journal.sync()
        journal.append(b"6", 6, 1)
        await journal.sync()
        assert not journal.is_being_rewritten
        await world.power_off("a")
        again = await Journal.open(disk, "journal")
        assert [entry[0] for entry in again.entries] == [b"2", b"3", b"4", b"5", b"6"]
        assert again.snapshot == Snapshot(2, 1, [b"state"])


@pytest.mark.parametrize(("steps", "is_written"), [(1, False), (4, True)])
async def test_a_snapshot_that_is_installed_while_the_journal_is_rewritten_is_what_stays(
    autojump_clock, monkeypatch, steps: int, *, is_written: bool
) -> None:
    """While its pieces are made, and while the new file is being written."""
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.append(b"2", 2, 1)
        prepared: list[str] = []
        prepare = disk.prepare

        def noted(path: str, make: Callable[[], Iterable[bytes]]) -> Awaitable[File]:
            prepared.append(path)
            return prepare(path, make)

        monkeypatch.setattr(disk, "prepare", noted)
        journal.compact(2, [b"old"], 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.rewrite)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            assert bool(prepared) == is_written
            journal.install(Snapshot(100, 7, [b"new"]))
            await journal.sync()
        assert not journal.is_being_rewritten
        assert not journal.is_dirty
        again = await Journal.open(disk, "journal")
        assert again.snapshot == Snapshot(100, 7, [b"new"])
        assert (again.first_index, again.last_index) == (100, 100)


async def test_writing_the_journal_anew_rests_for_longer_than_it_works(autojump_clock) -> None:
    async with FakeWorld() as world:
        journal = await Journal.open(world.disk("a"), "journal")
        journal.append(b"2", 2, 1)

        def pieces() -> Iterator[bytes]:
            for _ in range(10):
                autojump_clock.jump(0.01)  # the time that it takes to make one
                yield b"piece"

        journal.compact(2, pieces(), 2)
        begun_s = trio.current_time()
        await journal.rewrite()
        assert trio.current_time() - begun_s >= 10 * 0.01 * (1 + 4)


async def test_much_that_is_recorded_while_the_journal_is_rewritten_does_not_wait_for_one_sync(
    autojump_clock,
) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.append(b"2", 2, 1)
        journal.compact(2, [b"state"], 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.rewrite)
            await trio.lowlevel.checkpoint()
            for index in range(3, 13):
                journal.append(bytes(500_000), index, 1)
        assert journal._next is not None
        assert journal._next.since_bytes <= 1 << 20, "the sync that lets the new file take over has little to do"
        await journal.sync()
        assert not journal.is_being_rewritten
        await world.power_off("a")
        again = await Journal.open(disk, "journal")
        assert again.snapshot == Snapshot(2, 1, [b"state"])
        assert again.entries == journal.entries


async def test_whoever_records_faster_than_the_journal_is_rewritten_does_not_keep_it_from_taking_over(
    autojump_clock,
) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.append(b"2", 2, 1)

        async def record() -> None:
            while True:
                journal.append(bytes(1_000_000), journal.last_index + 1, 1)
                await trio.sleep(sum(disk.device.sync_s) / 2)

        journal.compact(2, [b"state"], 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(record)
            with trio.fail_after(200 * disk.device.sync_s[1]):
                await journal.rewrite()
            nursery.cancel_scope.cancel()
        await journal.sync()
        assert not journal.is_being_rewritten
        await world.power_off("a")
        assert (await Journal.open(disk, "journal")).entries == journal.entries


async def test_a_member_that_stops_while_its_journal_is_rewritten_leaves_nothing_open(tmp_path, monkeypatch) -> None:
    journal = await Journal.open(RealDisk(tmp_path), "journal")
    journal.append(b"2", 2, 1)
    await journal.sync()
    journal.compact(2, [b"state"], 2)
    for index in range(3, 9):
        journal.append(bytes(500_000), index, 1)
    before = descriptors()
    with trio.CancelScope() as scope:

        def stopping(body: bytes, offset: int) -> bytes:
            scope.cancel()
            return encode_batch(body, offset)

        monkeypatch.setattr("ha.raft.journal.encode_batch", stopping)  # the first thing after the new file was written
        await journal.rewrite()
    assert scope.cancelled_caught
    assert descriptors() == before
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
    journal.close()


async def test_entries_after_a_compaction_are_appended_to_the_new_file(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.install(Snapshot(100, 7, [b"state"]))
        await journal.sync()
        journal.append(b"next", 101, 7)
        await journal.sync()
        await world.power_off("a")
        assert (await Journal.open(disk, "journal")).entries[-1] == (b"next", 101, 7)


async def test_a_vote_is_given_once_in_a_term(autojump_clock) -> None:
    async with FakeWorld() as world:
        journal = await Journal.open(world.disk("a"), "journal")
        journal.set_term(1, "b")
        with pytest.raises(AssertionError):
            journal.set_term(1, "c")
        with pytest.raises(AssertionError):
            journal.set_term(0, None)


def test_a_slice_holds_at_least_one_entry_and_stops_at_the_limit() -> None:
    journal = Journal()
    for index in range(2, 12):
        journal.append(bytes(100), index, 1)
    assert [index for _, index, _ in journal.slice(3, 1)] == [3]
    assert [index for _, index, _ in journal.slice(3, 250)] == [3, 4, 5]
    assert len(journal.slice(3, 1 << 20)) == 9


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_on_a_real_disk_a_batch_that_its_process_did_not_finish_is_dropped(tmp_path: Path, share: float) -> None:
    """A kill within a write; what a simulated power cut does at every byte."""

    async def die_and_return() -> None:
        journal = await Journal.open(RealDisk(tmp_path), "journal")
        journal.append(b"acknowledged", 2, 1)
        await journal.sync()
        torn = encode_batch(encode_record(Kind.ENTRY, 3, 1, bytes(1500)), journal._end)
        with (tmp_path / "journal").open("r+b") as file:  # the journal's own is not closed: its process is dead
            file.seek(journal._end)
            file.write(torn[: int(share * len(torn))])
        again = await Journal.open(RealDisk(tmp_path), "journal")
        assert again.last_index == 2
        again.append(b"next", 3, 1)
        await again.sync()
        again.close()
        assert (await Journal.open(RealDisk(tmp_path), "journal")).entries[-1] == (b"next", 3, 1)

    trio.run(die_and_return)
