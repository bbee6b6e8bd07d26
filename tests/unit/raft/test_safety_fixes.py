"""One test per deviation of stock PySyncObj 0.3.17 from Raft, named after the fix.

Each runs one schedule on both classes and asserts that the violation shows on the stock class and not on ours. The
numbers are those of the audit, as `ha.raft.core` lists them.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys

import pytest
import trio
from pysyncobj.journal import FileJournal

from ha.raft import JournalCorruptError
from ha.raft.journal import Journal, Snapshot
from ha.raft.messages import Forward, HigherTerm
from ha.raft.records import encode_batch
from tests.fakes.world import FakeWorld
from tests.unit.raft.cluster import Cluster
from tests.unit.raft.schedules import STEP_S, OurMember, Schedule, StockMember, kind

stock_leaks_files = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def numbered(prefix: str, count: int) -> list[bytes]:
    return [b"%s%d" % (prefix.encode(), number) for number in range(count)]


def led_by(leader: str, names: str, member, **options) -> Schedule:
    schedule = Schedule(names, member, **options)
    schedule.elect(leader, names.replace(leader, ""))
    schedule.settle(names)
    return schedule


# -- 1 -----------------------------------------------------------------------------------------------------


@stock_leaks_files
async def test_01_a_vote_is_durable_before_it_is_given(autojump_clock, tmp_path) -> None:
    """A file that was never synced may be empty after a loss of power."""
    stock = Schedule("ABC", StockMember, directory=tmp_path)
    stock.give([("A", "B", stock.members["B"].request_vote(1))])
    assert stock.take("B", "A", "vote")
    (tmp_path / "B.journal.meta").write_bytes(b"")
    stock.crash("B")
    stock.start("B")
    stock.tick("B")
    stock.give([("C", "B", stock.members["B"].request_vote(1))])
    votes = stock.take("B", "C", "vote")
    stock.crash("A", "B", "C")
    assert votes, "stock votes twice in term 1"

    async with FakeWorld() as world:
        disk = world.disk("B")
        journal = await Journal.open(disk, "journal")
        ours = Schedule("ABC", OurMember)
        ours.members["B"] = OurMember(ours, "B", journal=journal)
        ours.members["B"].core.receive("A", ours.members["B"].request_vote(1))
        outbox = ours.members["B"].core.outbox
        assert [kind(message) for _, message in outbox.held] == ["vote"]
        assert not outbox.early
        assert journal.is_dirty
        await journal.sync()
        await world.power_off("B")
        ours.members["B"] = OurMember(ours, "B", journal=await Journal.open(disk, "journal"))
        ours.give([("C", "B", ours.members["B"].request_vote(1))])
        assert not ours.take("B", "C", "vote")


async def test_01_an_entry_is_durable_before_it_is_acknowledged(autojump_clock) -> None:
    """No majority of disks has it: nobody is told that it is done."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        await cluster.replicas[leader].propose(b"before")
        for name in cluster.followers():
            world.disk(name).device.sync_s = (50, 50)
        with trio.move_on_after(0.5) as limit:
            await cluster.replicas[leader].propose(b"x")
        assert limit.cancelled_caught
        assert b"x" not in cluster.machines[leader].commands


# -- 2 -----------------------------------------------------------------------------------------------------


def resend_after_ack(member) -> tuple[int, int]:
    """F acknowledges what was sent, then receives the first part of the same again. Its log before and after."""
    schedule = led_by("L", "LFG", member)
    for command in numbered("k", 20):
        schedule.members["L"].propose(command + bytes(10_000))
    schedule.tick("L")
    schedule.now += STEP_S
    schedule.tick("L")
    sent = schedule.take("L", "F", "append")
    schedule.give(sent)
    before = schedule.members["F"].last()
    if member is StockMember:
        schedule.give(sent[:1])
    else:
        append = next(message for *_, message in sent if message.entries)
        part = type(append)(*(getattr(append, f) for f in append.__struct_fields__[:-1]), append.entries[:1])
        schedule.give([("L", "F", part)])
    return before, schedule.members["F"].last()


def test_02_a_suffix_that_matches_is_kept() -> None:
    before, after = resend_after_ack(StockMember)
    assert after < before, "stock forgets what it acknowledged"
    before, after = resend_after_ack(OurMember)
    assert after == before


# -- 3 -----------------------------------------------------------------------------------------------------


def stale_acknowledgement(member) -> tuple[set[bytes], list[bytes]]:
    """L's term 1, A's term 2, L's term 3; F's acknowledgement of term 1 arrives in term 3."""
    schedule = led_by("L", "LFABC", member)
    for command in numbered("x", 6):
        schedule.members["L"].propose(command)
    schedule.tick("L")
    schedule.now += STEP_S
    schedule.tick("L")
    schedule.give(schedule.take("L", "F"))
    held = schedule.take("F", "L", "ack")
    schedule.take()
    schedule.elect("A", "BC")
    schedule.settle("ABC")
    schedule.settle("ABCLF")
    schedule.take()
    schedule.elect("L", "BC")
    schedule.take()
    new = numbered("y", 4)
    for command in new:
        schedule.members["L"].propose(command)
    for _ in range(6):
        schedule.tick("L")
        schedule.give(schedule.take("L", "B"))
        schedule.give(schedule.take("B", "L"))
        schedule.now += STEP_S
    schedule.take()
    assert not schedule.members["L"].acknowledged() & set(new)
    schedule.give(held)
    schedule.tick("L")
    told = schedule.members["L"].acknowledged() & set(new)
    schedule.crash("L", "B")
    schedule.elect("A", "FC")
    schedule.settle("AFC")
    return told, schedule.members["A"].commands


def test_03_an_acknowledgement_counts_in_its_own_term_only() -> None:
    told, kept = stale_acknowledgement(StockMember)
    assert told
    assert not told & set(kept), "stock acknowledged writes that a minority of failures destroyed"
    told, kept = stale_acknowledgement(OurMember)
    assert not told


# -- 4 -----------------------------------------------------------------------------------------------------


def snapshot_under_way(member) -> tuple[int, set[bytes]]:
    """L has entries that nobody else has; F leads, has compacted, and sends L the first chunk of its snapshot."""
    options = {"logCompactionBatchSize": 64} if member is StockMember else {}
    schedule = led_by("L", "LFG", member, **options)
    lost = numbered("lost", 10)
    for command in lost:
        schedule.members["L"].propose(command)
    schedule.tick("L")
    schedule.take()
    verified = schedule.members["L"].commit()
    schedule.elect("F", "G")
    for number in range(100):
        schedule.members["F"].propose(b"y%d" % number + bytes(50))
    schedule.settle("FG")
    schedule.members["F"].compact()
    schedule.tick("F")
    schedule.take()
    schedule.members["L"].hold_still()
    for _ in range(6):
        schedule.now += STEP_S
        schedule.tick("F")
        sent = schedule.take("F", "L")
        chunks = [item for item in sent if kind(item[2]) == "snapshot"]
        schedule.give(chunks[:1] or sent)
        schedule.give(schedule.take("L", "F"))
        schedule.tick("L")
        if chunks:
            break
    assert chunks
    return schedule.members["L"].commit() - verified, schedule.members["L"].acknowledged() & set(lost)


def test_04_the_commit_index_does_not_pass_what_was_compared(monkeypatch) -> None:
    moved, told = snapshot_under_way(StockMember)
    assert moved > 0
    assert told, "stock acknowledged writes that no other member ever saw"
    monkeypatch.setattr("ha.raft.snapshots.CHUNK_BYTES", 64)
    moved, told = snapshot_under_way(OurMember)
    assert moved == 0
    assert not told


# -- 5, 6, 7, 8 --------------------------------------------------------------------------------------------


@stock_leaks_files
def test_05_snapshot_and_log_cannot_disagree_stock(tmp_path) -> None:
    """Killed after the dump was renamed and before the journal was cut."""
    schedule = led_by("L", "LFG", StockMember, directory=tmp_path)
    for command in numbered("a", 50):
        schedule.members["L"].propose(command)
    schedule.settle("LFG")
    for command in numbered("b", 10):
        schedule.members["L"].propose(command)
    schedule.tick("L")
    schedule.now += STEP_S
    schedule.tick("L")
    schedule.give(schedule.take("L", "FG"))
    schedule.give(schedule.take("FG", "L"))
    schedule.tick("L")
    assert set(numbered("b", 10)) <= schedule.members["L"].acknowledged()
    for name in "FG":
        schedule.members[name].compact()
    schedule.crash("L", "F", "G")
    for name in "FG":
        schedule.start(name)
        schedule.tick(name)
    schedule.elect("F", "G")
    schedule.settle("FG")
    lost = set(numbered("b", 10)) - set(schedule.members["F"].commands)
    schedule.crash("F", "G")
    assert len(lost) == 10, "stock lost acknowledged writes"


@pytest.mark.parametrize("at_s", [0.0, 0.001, 0.006, 0.011, 0.016, 1.0])
async def test_05_snapshot_and_log_cannot_disagree_ours(autojump_clock, at_s: float) -> None:
    """Power is lost at any moment around a compaction."""
    async with FakeWorld() as world:
        disk = world.disk("a")
        disk.device.sync_s = (0.005, 0.005)
        journal = await Journal.open(disk, "journal")
        for index in range(2, 50):
            journal.append(b"%d" % index, index, 1)
        await journal.sync()
        journal.compact(40, [b"state ", b"of 40"], 30)
        with trio.move_on_after(at_s):
            await journal.rewrite()
            await journal.sync()
        await world.power_off("a")
        again = await Journal.open(disk, "journal")
        covered = again.snapshot.index if again.snapshot else 1
        assert again.first_index <= covered
        assert again.last_index == 49


@stock_leaks_files
def test_06_a_snapshot_outlives_its_process_stock(tmp_path) -> None:
    """A journal file without a dump file: the compacted part of the state was in memory only."""
    schedule = led_by("L", "LFG", StockMember, directory=tmp_path, dump=False)
    for command in numbered("a", 50):
        schedule.members["L"].propose(command)
    schedule.settle("LFG")
    for name in "LFG":
        schedule.members[name].compact()
        schedule.tick(name)
    schedule.crash("L", "F", "G")
    for name in "LFG":
        schedule.start(name)
    schedule.elect("L", "FG")
    schedule.settle("LFG", 20)
    commands = schedule.members["L"].commands
    schedule.crash("L", "F", "G")
    assert commands == [], "stock lost everything that was compacted"


async def test_06_a_snapshot_outlives_its_process_ours(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", snapshot_every=10)
        await cluster.start()
        await cluster.leader()
        for command in numbered("a", 50):
            await cluster.replicas["a"].propose(command)
        for name in "abc":
            await world.kill(name)
        await cluster.start()
        await cluster.leader()
        await cluster.replicas["a"].read_barrier()
        assert cluster.machines["a"].commands == numbered("a", 50)


@stock_leaks_files
def test_07_a_snapshot_that_cannot_be_loaded_stops_the_member_stock(tmp_path) -> None:
    schedule = led_by("L", "LFG", StockMember, directory=tmp_path)
    for command in numbered("a", 50):
        schedule.members["L"].propose(command)
    schedule.settle("LFG")
    for name in "LFG":
        schedule.members[name].compact()
        schedule.tick(name)
    (tmp_path / "F.dump").write_bytes(b"")
    schedule.crash("F")
    schedule.start("F")
    schedule.settle("LFG", 30)
    schedule.members["L"].propose(b"z")
    schedule.settle("LFG", 30)
    commands = schedule.members["F"].commands
    schedule.crash("L", "F", "G")
    assert len(commands) < 51, "stock takes part without its state"


async def test_07_a_snapshot_that_cannot_be_loaded_stops_the_member_ours(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.install(Snapshot(10, 1, [b"the whole state"]))
        await journal.sync()
        data = disk.read("journal")
        for damaged in (b"", data[:-1], data.replace(b"whole", b"wHole")):
            await disk.replace("journal", damaged)
            with pytest.raises(JournalCorruptError):
                await Journal.open(disk, "journal")


@stock_leaks_files
def test_08_the_log_is_compacted_atomically_stock(tmp_path, monkeypatch) -> None:
    journal = FileJournal(str(tmp_path / "journal"))
    for index in range(1, 101):
        journal.add(b"x", index, 1)
    original = FileJournal.add

    def killed_on_the_way(self, command, index, term):
        if index == 60:
            raise KeyboardInterrupt
        original(self, command, index, term)

    monkeypatch.setattr(FileJournal, "add", killed_on_the_way)
    with pytest.raises(KeyboardInterrupt):
        journal.deleteEntriesTo(50)
    journal._destroy()
    again = FileJournal(str(tmp_path / "journal"))
    again._destroy()
    assert len(again) < 50, "stock lost the entries after it"


async def test_08_the_log_is_compacted_atomically_ours(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        for index in range(2, 101):
            journal.append(b"x", index, 1)
        await journal.sync()
        journal.compact(50, [b""], 50)
        await journal.rewrite()
        disk.device.sync_s = (1, 1)
        with trio.move_on_after(0.5):
            await journal.sync()
        disk.device.detach(power_lost=False)
        assert (await Journal.open(disk, "journal")).last_index == 100


# -- 9 -----------------------------------------------------------------------------------------------------


def leaders_after_a_repeated_vote(member) -> list[tuple[str, int]]:
    schedule = Schedule("ABCDE", member)
    for name, voters in (("A", "B"), ("C", "DE")):
        schedule.members[name].time_out()
        schedule.tick(name)
        schedule.give(schedule.take(name, None, "pre_vote"))
        schedule.give(schedule.take(None, name, "pre_vote_granted"))
        schedule.tick(name)
        schedule.give(schedule.take(name, voters, "request_vote"))
        votes = schedule.take(voters, name, "vote")
        schedule.give(votes + votes)
        schedule.take()
    return [(m.name, m.term()) for m in schedule.members.values() if m.is_leader()]


def test_09_a_vote_counts_once() -> None:
    assert leaders_after_a_repeated_vote(StockMember) == [("A", 1), ("C", 1)], "stock has two leaders in one term"
    assert leaders_after_a_repeated_vote(OurMember) == [("C", 1)]


# -- 10 ----------------------------------------------------------------------------------------------------


def deposed_without_knowing(member) -> tuple[Schedule, float]:
    """L is cut off, F leads and commits. How long L still believes to lead."""
    schedule = led_by("L", "LFG", member)
    schedule.elect("F", "G")
    schedule.take("FG", "L")
    schedule.take("L")
    schedule.members["F"].propose(b"new")
    schedule.settle("FG")
    schedule.take()
    begun = schedule.now
    while schedule.members["L"].is_leader() and schedule.now < begun + 60:
        schedule.now += STEP_S
        schedule.tick("L")
        schedule.take("L")
    return schedule, schedule.now - begun


def test_10_a_leader_without_majority_steps_down() -> None:
    assert deposed_without_knowing(StockMember)[1] > 20, "stock claims to lead for half a minute"
    assert deposed_without_knowing(OurMember)[1] < 1.2


def test_10_a_read_needs_the_consent_of_a_majority() -> None:
    """Stock has local reads only: a deposed leader answers from its old state. Ours asks first."""
    schedule = led_by("L", "LFG", StockMember)
    schedule.elect("F", "G")
    schedule.take("FG", "L")
    schedule.members["F"].propose(b"new")
    schedule.settle("FG")
    assert schedule.members["L"].is_leader()
    assert b"new" not in schedule.members["L"].commands, "stock would answer a read with the old state"

    schedule = led_by("L", "LFG", OurMember)
    core = schedule.members["L"].core
    core.read_barrier("while alone")
    schedule.tick("L")
    schedule.take("L")
    assert core.take_reads() == []
    core.read_barrier("with F")
    schedule.tick("L")
    schedule.give(schedule.take("L", "F"))
    schedule.give(schedule.take("F", "L"))
    assert core.take_reads() == [("while alone", core.commit_index), ("with F", core.commit_index)]
    core.read_barrier("deposed")
    schedule.give([("F", "L", HigherTerm(core.term + 1))])
    assert core.take_reads() == [("deposed", None)]


# -- 11 ----------------------------------------------------------------------------------------------------


def test_11_a_request_delivered_twice_is_applied_once_stock() -> None:
    """A follower's command was applied, its reply was lost with the leader; the follower retries."""
    schedule = led_by("L", "LFG", StockMember)
    schedule.members["F"].propose(b"k")
    schedule.tick("F")
    schedule.give(schedule.take("F", "L"))
    schedule.tick("L")
    schedule.now += STEP_S
    schedule.tick("L")
    schedule.take("L", "F")
    schedule.give(schedule.take("L", "G"))
    schedule.crash("L")
    schedule.elect("G", "F")
    schedule.settle("FG")
    assert schedule.members["F"].answers[b"k"] != "ok"
    schedule.members["F"].propose(b"k")
    schedule.settle("FG")
    assert schedule.members["F"].commands == [b"k", b"k"], "stock executes it twice"


async def test_11_a_request_delivered_twice_is_applied_once_ours(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        follower = cluster.followers()[0]
        transport = cluster.replicas[follower]._transport
        original = transport.send

        def send_twice(peer, message) -> None:
            original(peer, message)
            if isinstance(message, Forward):
                original(peer, Forward(message.requests))

        transport.send = send_twice
        await cluster.replicas[follower].propose(b"k")
        await cluster.replicas[leader].propose(b"end")
        await cluster.settle()
        assert cluster.machines[leader].commands == [b"k", b"end"]


# -- 12 ----------------------------------------------------------------------------------------------------


def test_12_a_fault_of_the_caller_does_not_repeat_a_command_stock() -> None:
    schedule = led_by("L", "LFG", StockMember)

    def gone(result, failure) -> None:
        raise RuntimeError("the client is gone")

    schedule.members["L"].core.put(b"k", callback=gone)
    for _ in range(6):
        for name in "LFG":
            try:
                schedule.tick(name)
            except RuntimeError:
                continue
        schedule.give(schedule.take())
        schedule.now += STEP_S
        for name in "FG":
            schedule.members[name].hold_still()
    assert [len(schedule.members[name].commands) for name in "LFG"] == [2, 1, 1], "stock's members differ"


async def test_12_a_fault_of_the_caller_does_not_repeat_a_command_ours(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        with trio.move_on_after(0.0005) as gone:
            await cluster.replicas[leader].propose(b"k")
        assert gone.cancelled_caught
        await cluster.replicas[leader].propose(b"end")
        await cluster.settle()
        assert [cluster.machines[name].commands.count(b"k") for name in "abc"] == [1, 1, 1]


# -- 13 ----------------------------------------------------------------------------------------------------


def test_13_membership_does_not_change() -> None:
    stock = led_by("L", "LFG", StockMember, dynamicMembershipChange=True)
    for name in "XYZ":
        stock.members["L"].core.addNodeToCluster(name)
    stock.tick("L")
    assert len(stock.members["L"].core.otherNodes) == 5, "stock accepts three changes at once, none committed"

    ours = led_by("L", "LFG", OurMember)
    with pytest.raises(Exception, match="disabled"):
        ours.members["L"].core.addNodeToCluster("X")


# -- 14 ----------------------------------------------------------------------------------------------------


def time_to_rejoin(member) -> float:
    """L comes back with 100 entries that nobody else has, to a leader that has 200 others."""
    schedule = led_by("L", "LFG", member)
    for command in numbered("x", 100):
        schedule.members["L"].propose(command)
    schedule.tick("L")
    schedule.take()
    schedule.elect("F", "G")
    for command in numbered("y", 200):
        schedule.members["F"].propose(command)
    schedule.settle("FG")
    schedule.take()
    begun = schedule.now
    while len(schedule.members["L"].commands) < 200 and schedule.now < begun + 60:
        schedule.settle("LFG", 1)
    return schedule.now - begun


def test_14_a_diverged_log_is_repaired_in_a_few_rounds() -> None:
    assert time_to_rejoin(StockMember) > 5
    assert time_to_rejoin(OurMember) < 1


# -- 15 ----------------------------------------------------------------------------------------------------


def told_that_it_is_deposed(member) -> bool:
    schedule = led_by("L", "LFG", member)
    schedule.elect("F", "G")
    schedule.settle("FG")
    schedule.take()
    schedule.now += STEP_S
    schedule.tick("L")
    schedule.give(schedule.take("L", "FG"))
    schedule.give(schedule.take("FG", "L"))
    return not schedule.members["L"].is_leader()


def test_15_a_deposed_leader_is_told() -> None:
    assert not told_that_it_is_deposed(StockMember)
    assert told_that_it_is_deposed(OurMember)


def disrupted_by_a_candidate(member) -> bool:
    """G hears nothing, campaigns again and again, and is then heard again."""
    schedule = led_by("L", "LFG", member)
    for _ in range(5):
        schedule.members["G"].time_out()
        schedule.tick("G")
        schedule.take("G")
        schedule.settle("LF", 2)
        schedule.take("LF", "G")
    schedule.members["G"].time_out()
    for _ in range(3):
        schedule.tick("G")
        schedule.give(schedule.take("G", "LF"))
        schedule.give(schedule.take("LF", "G"))
    schedule.tick("L")
    return not schedule.members["L"].is_leader()


def test_15_a_member_that_was_cut_off_does_not_depose_a_living_leader() -> None:
    assert disrupted_by_a_candidate(StockMember)
    assert not disrupted_by_a_candidate(OurMember)


# -- 16 ----------------------------------------------------------------------------------------------------


def test_16_entries_of_any_size_arrive() -> None:
    schedule = led_by("L", "LFG", StockMember)
    failed = 0
    for size in range(131_000, 131_072, 12):
        schedule = led_by("L", "LFG", StockMember)
        schedule.members["L"].propose(bytes(size))
        try:
            schedule.settle("LFG", 3)
        except (EOFError, ValueError, pickle.UnpicklingError):
            failed += 1
    assert failed, "stock cuts large entries into pieces that do not fit together"

    for size in (131_000, 131_048, 131_072, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 19):
        schedule = led_by("L", "LFG", OurMember)
        schedule.members["L"].propose(bytes(size))
        schedule.settle("LFG", 3)
        assert schedule.members["F"].commands == [bytes(size)]


# -- 17 ----------------------------------------------------------------------------------------------------


class SpinningError(Exception):
    pass


def send_with_a_standing_clock(member) -> int:
    """G needs a snapshot while the leader is busy taking one. How often the clock is read in one tick."""
    schedule = led_by("L", "LFG", member)
    schedule.crash("G")
    for command in numbered("a", 20):
        schedule.members["L"].propose(command)
    schedule.settle("LF")
    schedule.members["L"].compact()
    schedule.settle("LF", 1)
    schedule.start("G")
    schedule.now += STEP_S
    schedule.tick("L")
    schedule.give(schedule.take("L", "G"))
    schedule.members["L"].propose(b"one more")
    schedule.settle("LF", 4)
    schedule.members["L"].core.forceLogCompaction()
    schedule.tick("L")
    schedule.give(schedule.take("G", "L"))
    schedule.now += STEP_S
    schedule.clock_reads = 0
    clock = schedule.clock

    def counting() -> float:
        if schedule.clock_reads > 1000:
            raise SpinningError
        return clock()

    schedule.clock = counting
    schedule.members["L"].core._clock = counting
    schedule.members["L"].connect("G")
    schedule.tick("L")
    return schedule.clock_reads


def test_17_sending_ends_although_the_clock_stands_still() -> None:
    with pytest.raises(SpinningError):
        send_with_a_standing_clock(StockMember)
    assert send_with_a_standing_clock(OurMember) < 50


# -- 18 ----------------------------------------------------------------------------------------------------

_FULL_DISK = """
import sys
from pysyncobj.journal import FileJournal
journal = FileJournal(sys.argv[1])
open(sys.argv[1], "r+b").truncate(0)  # the page of the map has no block behind it, as on a full disk
journal._FileJournal__journalFile._ResizableFile__mm[:1] = b"x"
"""


def test_18_a_full_disk_is_an_error_and_no_signal_stock(tmp_path) -> None:
    ended = subprocess.run([sys.executable, "-c", _FULL_DISK, str(tmp_path / "journal")], check=False)
    assert ended.returncode == -signal.SIGBUS, "stock maps its journal into memory"


async def test_18_a_full_disk_is_an_error_and_no_signal_ours(autojump_clock) -> None:
    async with FakeWorld() as world:
        disk = world.disk("a")
        journal = await Journal.open(disk, "journal")
        journal.append(b"x", 2, 1)
        disk.device.fail_with = OSError(28, "No space left on device")
        with pytest.raises(OSError, match="No space"):
            await journal.sync()


# -- 19 ----------------------------------------------------------------------------------------------------


def test_19_every_proposal_is_answered_stock() -> None:
    """L is deposed, and receives a snapshot in place of the entries that it waits for."""
    schedule = led_by("L", "LFG", StockMember)
    schedule.members["L"].propose(b"k")
    schedule.tick("L")
    schedule.take()
    schedule.elect("F", "G")
    for command in numbered("y", 50):
        schedule.members["F"].propose(command)
    schedule.settle("FG")
    schedule.members["F"].compact()
    schedule.tick("F")
    schedule.take()
    schedule.settle("LFG", 20)
    assert len(schedule.members["L"].commands) == 50
    assert b"k" not in schedule.members["L"].answers, "stock never calls back"


async def test_19_every_proposal_is_answered_ours(autojump_clock) -> None:
    """The deposed leader proposes it again to the new one."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", snapshot_every=10)
        await cluster.start()
        old = await cluster.leader()
        others = "".join(cluster.followers())
        answers = []

        async def propose() -> None:
            answers.append(await cluster.replicas[old].propose(b"k"))

        async with trio.open_nursery() as nursery:
            world.partition([old], others)
            nursery.start_soon(propose)
            new = await cluster.leader(among=others)
            for command in numbered("y", 50):
                await cluster.replicas[new].propose(command)
            world.heal()
        await cluster.settle()
        assert cluster.machines[new].commands == [*numbered("y", 50), b"k"]
        assert answers == [51]


def test_a_batch_is_bound_to_its_place() -> None:
    """A copy of a journal inside a command is no journal."""
    assert encode_batch(b"body", 10) != encode_batch(b"body", 100)
