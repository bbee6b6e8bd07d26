"""Disks that were emptied: what their members may not do, and how they become members again."""

from __future__ import annotations

from itertools import chain

import msgspec
import pytest
import trio

from ha.raft import OutcomeUnknownError, RaftError
from ha.raft.journal import Journal
from ha.raft.messages import Forward, Heartbeat, IAm, RequestVote, Vote
from ha.raft.sessions import Request, Sessions
from tests.fakes.world import FakeWorld
from tests.unit.raft.cluster import Cluster, ListMachine
from tests.unit.raft.schedules import HEARTBEAT_S, STEP_S, OurMember, Schedule, kind

PATH = "raft/journal"


def emptied(disk: int) -> Journal:
    journal = Journal()
    journal.disk_id, journal.is_learner = disk, True
    return journal


def led_by(leader: str, names: str) -> Schedule:
    schedule = Schedule(names, OurMember)
    schedule.elect(leader, names.replace(leader, ""))
    schedule.settle(names)
    return schedule


def lose_disk(schedule: Schedule, name: str, disk: int = 7) -> OurMember:
    schedule.crash(name)
    return schedule.start(name, journal=emptied(disk))


# -- what a learner may not do


def test_a_member_without_its_disk_does_not_vote_again_in_the_term_in_which_it_voted() -> None:
    schedule = led_by("A", "ABC")
    term = schedule.members["A"].term()
    lose_disk(schedule, "B")
    schedule.give(
        [("C", "B", RequestVote(term, 1 << 40, 1 << 40)), ("C", "B", RequestVote(term + 5, 1 << 40, 1 << 40))]
    )
    schedule.tick("B")
    assert not [message for *_, message in schedule.take("B") if isinstance(message, Vote)]
    assert schedule.members["B"].term() < term


def test_a_learner_neither_campaigns_nor_helps_another_to() -> None:
    schedule = led_by("A", "ABC")
    lose_disk(schedule, "B")
    schedule.crash("A")
    for name in "BC":
        schedule.now += 10
        schedule.members[name].time_out()
        schedule.settle("BC", rounds=3)
    assert not any(member.is_leader() for member in schedule.members.values())
    assert {kind(message) for *_, message in schedule.take("B")} <= {"who_are_you", "i_am"}


def test_what_a_learner_holds_does_not_count_for_a_commit() -> None:
    schedule = led_by("A", "ABC")
    schedule.crash("C")
    lose_disk(schedule, "B")
    leader = schedule.members["A"]
    before = leader.commit()
    leader.propose(b"x")
    for _ in range(5):
        schedule.tick(*"AB")
        schedule.give(schedule.take("AB", "AB"))
        schedule.now += HEARTBEAT_S
    assert schedule.members["B"].last() == leader.last(), "it is sent the log all the same"
    assert leader.commit() == before


def test_a_learner_neither_keeps_a_leader_in_office_nor_confirms_its_reads() -> None:
    schedule = led_by("A", "ABC")
    schedule.crash("C")
    lose_disk(schedule, "B")
    leader = schedule.members["A"]
    schedule.tick("A")
    leader.core.read_barrier("token")
    for _ in range(30):
        schedule.tick(*"AB")
        assert [index for _, index in leader.core.take_reads() if index is not None] == []
        schedule.give(schedule.take("AB", "AB"))
        schedule.now += STEP_S
    assert not leader.is_leader()


def test_what_the_old_disk_had_acknowledged_is_not_counted_for_the_new_one() -> None:
    """Else the entry counts as held by two of three, of which one has lost it."""
    schedule = led_by("A", "ABC")
    leader = schedule.members["A"]
    leader.propose(b"x")
    schedule.tick("A")
    schedule.take("A", "C")
    schedule.give(schedule.take("A", "B"))
    old = schedule.take("B", "A", "ack")
    lose_disk(schedule, "B")
    schedule.crash("C")
    before = leader.commit()
    schedule.settle("AB", rounds=4)
    assert leader.commit() == before
    assert old


# -- how it becomes a member again


def test_the_leader_admits_a_learner_by_an_entry_that_a_majority_of_the_others_holds() -> None:
    schedule = led_by("A", "ABC")
    schedule.members["A"].propose(b"x")
    schedule.settle("ABC")
    learner = lose_disk(schedule, "B")
    schedule.settle("AB", rounds=4)
    assert learner.core.is_learner
    schedule.settle("ABC")
    assert not learner.core.is_learner
    assert learner.commands == [b"x"]
    schedule.crash("C")
    schedule.members["A"].propose(b"y")
    schedule.settle("AB")
    assert b"y" in schedule.members["A"].acknowledged(), "it counts again"


def test_in_the_term_in_which_it_becomes_a_member_it_votes_for_nobody() -> None:
    """It may have voted in that term on its old disk: for its leader, or for another candidate."""
    schedule = led_by("A", "ABC")
    learner = lose_disk(schedule, "B")
    schedule.settle("ABC")
    assert not learner.core.is_learner
    term = learner.term()
    schedule.crash("A")
    schedule.now += 10
    schedule.give([("C", "B", RequestVote(term, 1 << 40, 1 << 40))])
    schedule.tick("B")
    assert not [message for *_, message in schedule.take("B") if isinstance(message, Vote)]
    schedule.elect("C", "B")
    assert schedule.members["C"].term() > term


def test_a_learner_is_admitted_by_a_snapshot_as_well() -> None:
    schedule = led_by("A", "ABC")
    for number in range(20):
        schedule.members["A"].propose(b"%d" % number)
    schedule.settle("ABC")
    learner = lose_disk(schedule, "B")
    schedule.tick("A")
    schedule.now += STEP_S
    schedule.tick("A")
    schedule.give(schedule.take("A", "B"))
    schedule.give(schedule.take("B", "A"))
    schedule.settle("AC")
    schedule.members["A"].compact()
    schedule.take("A", "B")
    schedule.settle("ABC")
    assert learner.journal.snapshot is not None
    assert not learner.core.is_learner
    assert len(learner.commands) == 20


def test_the_admission_of_a_disk_that_was_lost_in_turn_admits_nobody() -> None:
    schedule = led_by("A", "ABC")
    lose_disk(schedule, "B", disk=7)
    schedule.settle("AB", rounds=3)
    learner = lose_disk(schedule, "B", disk=8)
    while schedule.members["A"].core.replicated.disks.get("B") != 7:
        schedule.settle("AC", rounds=1)
    schedule.give(schedule.take("A", "B"))
    assert learner.core.is_learner
    schedule.settle("ABC")
    assert not learner.core.is_learner
    assert schedule.members["C"].core.replicated.disks == {"B": 8}


def test_a_candidate_that_still_holds_a_vote_of_the_lost_disk_cannot_win_with_it() -> None:
    """The case of five that asking a majority what it knows would get wrong: the vote outlives the disk unseen."""
    schedule = led_by("A", "ABCDE")
    term = schedule.members["A"].term()
    asked = campaign_unheard(schedule, "E", "BCD")
    schedule.give([item for item in asked if item[1] == "B"])
    schedule.give(schedule.take("B", "E", "vote"))
    learner = lose_disk(schedule, "B")
    schedule.take("E")
    schedule.settle("ABCD")
    assert not learner.core.is_learner, "E was cut off, and three others hold the admission"
    assert learner.term() == term
    forget_leader(schedule, "CD")
    schedule.give([item for item in asked if item[1] in "CD"])
    schedule.give(schedule.take("CD", "E"))
    assert [schedule.members[name].term() for name in "CDE"] == [term + 1] * 3
    assert not schedule.members["E"].is_leader()


def campaign_unheard(schedule: Schedule, name: str, voters: str) -> list[tuple[str, str, object]]:
    """Let a member become a candidate while its leader lives; returns how it asks for votes."""
    forget_leader(schedule, voters)
    schedule.members[name].time_out()
    schedule.tick(name)
    schedule.give(schedule.take(name, voters, "pre_vote"))
    schedule.give(schedule.take(voters, name, "pre_vote_granted"))
    schedule.tick(name)
    return schedule.take(name, what="request_vote")


def forget_leader(schedule: Schedule, names: str) -> None:
    for name in names:
        schedule.members[name].core._heard_leader_at = -1e9


# -- with disks, over a network


async def test_a_cluster_is_founded_when_all_its_members_have_met(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start("a", "b")
        await trio.sleep(20)
        assert cluster.leaders() == []
        await cluster.start("c")
        leader = await cluster.leader()
        assert await cluster.replicas[leader].propose(b"x") == 1


async def test_founding_survives_crashes(autojump_clock) -> None:
    for seed in range(8):
        async with FakeWorld(seed=seed) as world:
            cluster = Cluster(world, "abc")
            await cluster.start()
            await trio.sleep(0.0006 * (seed + 1))
            for name in "ab":
                await world.power_off(name)
            await cluster.start("a", "b")
            leader = await cluster.leader()
            assert await cluster.replicas[leader].propose(b"x") == 1


async def test_a_member_that_lost_its_disk_converges_and_can_propose(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        lost = cluster.names[0]
        for round_ in range(3):
            for number in range(10):
                await cluster.replicas[lost].propose(b"%d/%d" % (round_, number))
            await world.kill(lost)
            world.disk(lost).remove(PATH)
            await cluster.start(lost)
        with trio.fail_after(10):
            assert await cluster.replicas[lost].propose(b"last") == 31
        await cluster.settle()
        assert cluster.machines["a"].commands == cluster.machines["b"].commands


async def test_with_two_of_three_disks_lost_nothing_goes_on(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        await cluster.replicas[leader].propose(b"x")
        await cluster.settle()
        for name in cluster.followers():
            await world.kill(name)
            world.disk(name).remove(PATH)
            await cluster.start(name)
        await trio.sleep(30)
        assert cluster.leaders() == []
        with pytest.raises(RaftError):
            await cluster.replicas[leader].propose(b"y")


async def test_a_founder_that_was_admitted_as_well_can_propose(autojump_clock) -> None:
    """It missed the news of the founding. A leader without a majority admits it in vain; then it hears the news, and
    helps to commit its own admission, which lets nothing pass that it proposed before.
    """
    founders = {"a": 1, "b": 2, "c": 3}
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        for name, disk in founders.items():
            journal = await Journal.open(world.disk(name), PATH, fresh_id=disk)
            if name != "c":
                journal.become_member(founders)
            await journal.sync()
        await cluster.start("a", "b")
        leader = await cluster.leader()
        await world.kill("b" if leader == "a" else "a")
        await cluster.start("c")
        for number in range(3):
            with trio.fail_after(20):
                assert await cluster.replicas["c"].propose(b"x") == number + 1
            await world.kill("c")
            await cluster.start("c")


async def test_what_was_proposed_to_a_learner_is_proposed_once_when_it_hears_of_the_founding(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start("c")
        replica, sent = cluster.replicas["c"], []
        replica._transport.send = lambda _peer, message: sent.append(message)
        replica.on_message("a", Heartbeat(5, 1))
        await trio.sleep(0.01)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replica.propose, b"x")
            await trio.sleep(0.01)
            replica.on_message("b", IAm(2, is_learner=False, founders={"c": replica._core.journal.disk_id}, round=0))
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        forwarded = [request for message in sent if isinstance(message, Forward) for request in message.requests]
        assert [msgspec.msgpack.decode(request, type=Request).incarnation for request in forwarded] == [1]


async def test_what_was_proposed_before_an_admission_that_comes_as_a_snapshot_is_unknown(autojump_clock) -> None:
    """The snapshot may hold it, and does not say so any more: proposed anew, it could be applied twice."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start("c")
        replica = cluster.replicas["c"]
        replica.on_message("a", Heartbeat(5, 1))
        replica.on_message("b", IAm(2, is_learner=False, founders={"c": replica._core.journal.disk_id}, round=0))
        await trio.sleep(0.01)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def propose() -> None:
                with pytest.raises(OutcomeUnknownError):
                    await replica.propose(b"x")

            await trio.sleep(0.01)
            sessions = Sessions()
            sessions.begin_anew("c")
            replica.restore_snapshot(chain([msgspec.msgpack.encode(sessions.rows())], ListMachine().snapshot()))
