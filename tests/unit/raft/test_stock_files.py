"""PySyncObj's own journal, term file and dump on a disk that keeps what was synced, which is nothing of theirs."""

from __future__ import annotations

import pytest
from pysyncobj import journal, serializer
from pysyncobj.journal import FileJournal

from ha.raft import stock_seams  # noqa: F401  (puts the files in place)
from ha.raft.stock_files import FilePath, Files
from tests.fakes.world import FakeWorld

ENTRIES = [(b"\x01", 1, 0), (b"first", 2, 1), (b"second" * 100, 3, 1), (b"", 4, 2)]


def files(world: FakeWorld) -> Files:
    return Files(world.disk("a"))


def written(world: FakeWorld) -> FileJournal:
    log = FileJournal(files(world).path("raft/journal"))
    for entry in ENTRIES:
        log.add(*entry)
    return log


def reopened(world: FakeWorld) -> list[tuple[bytes, int, int]]:
    return FileJournal(files(world).path("raft/journal"))[:]


def test_what_is_added_to_a_path_stays_on_its_disk() -> None:
    world = FakeWorld()
    path = files(world).path("raft/journal") + ".meta"
    assert isinstance(path, FilePath)
    assert path == "raft/journal.meta"


@pytest.mark.parametrize("first", range(1, 5))
async def test_entries_that_were_deleted_stay_deleted(autojump_clock, first: int) -> None:
    async with FakeWorld() as world:
        log = written(world)
        log.deleteEntriesFrom(first)
        log.add(b"new", first + 1, 7)
        assert reopened(world) == log[:] == [*ENTRIES[:first], (b"new", first + 1, 7)]
        log.deleteEntriesTo(1)
        assert reopened(world) == log[:]
        log.clear()
        assert reopened(world) == []


@pytest.mark.parametrize("seed", range(40))
async def test_loss_of_power_leaves_whole_records_only(autojump_clock, seed: int) -> None:
    """Torn anywhere, and perhaps followed by zeros."""
    async with FakeWorld(seed=seed) as world:
        written(world)
        await world.power_off("a")
        left = reopened(world)
        assert left == ENTRIES[: len(left)]


@pytest.mark.parametrize("seed", range(40))
async def test_loss_of_power_leaves_an_older_term_or_none(autojump_clock, seed: int) -> None:
    async with FakeWorld(seed=seed) as world:
        log = written(world)
        for term in range(1, 5):
            log.setCurrentTerm(term, f"member-{term}")
        await world.power_off("a")
        log = FileJournal(files(world).path("raft/journal"))
        term = log.getCurrentTerm()
        assert 0 <= term <= 4
        assert log.getVotedForNodeId() == (f"member-{term}" if term else None)


async def test_term_and_vote_survive_the_process(autojump_clock) -> None:
    async with FakeWorld() as world:
        log = written(world)
        for term in range(1, 5):
            log.setCurrentTerm(term, f"member-{term}")
        log = FileJournal(files(world).path("raft/journal"))
        assert (log.getCurrentTerm(), log.getVotedForNodeId()) == (4, "member-4")


async def test_a_dump_is_there_when_it_is_in_place_and_the_same_whenever_it_is_written(autojump_clock) -> None:
    async with FakeWorld() as world:
        path = files(world).path("raft/dump")
        dumps = []
        for _ in range(2):
            keeper = serializer.Serializer(path, 4, False, None, None, None)
            keeper.serialize(([{}, b"state"], ENTRIES[1], ENTRIES[0], set()), 2)
            dumps.append(path.files.open(path, "rb").read())
        assert dumps[0] == dumps[1]
        again = files(world)
        assert again.exists("raft/dump")
        assert not again.exists("raft/other")
        keeper = serializer.Serializer(again.path("raft/dump"), 4, False, None, None, None)
        assert keeper.deserialize()[0] == [{}, b"state"]
        chunks = []
        while not chunks or not chunks[-1][2]:
            chunks.append(keeper.getTransmissionData("peer"))
        receiver = serializer.Serializer(again.path("raft/received"), 4, False, None, None, None)
        assert [receiver.setTransmissionData(chunk) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert receiver.deserialize() == keeper.deserialize()


async def test_a_missing_file_is_missing(autojump_clock) -> None:
    async with FakeWorld() as world:
        there = files(world)
        with pytest.raises(FileNotFoundError):
            there.open("raft/dump", "rb")
        with pytest.raises(FileNotFoundError):
            there.rename("raft/dump.tmp", "raft/dump")


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_users_of_the_library_keep_their_files(tmp_path) -> None:
    log = FileJournal(str(tmp_path / "journal"))
    log.add(*ENTRIES[1])
    log.setCurrentTerm(3, "a")
    log._destroy()
    again = journal.FileJournal(str(tmp_path / "journal"))
    assert (again[:], again.getCurrentTerm()) == ([ENTRIES[1]], 3)
    again._destroy()
