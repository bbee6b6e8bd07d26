from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest
import trio
import trio.testing

from ha.raft import MAX_COMMAND_BYTES, NoLeaderError, NotInTimeError, OutcomeUnknownError, Replica, TooLargeError
from ha.raft.messages import Message, ReadAnswer, ReadRequest
from ha.raft.replica import MAX_INBOX
from ha.world import Address
from tests.fakes.world import FakeWorld
from tests.unit.raft.cluster import Cluster, ListMachine


async def test_a_single_member_elects_itself_and_commits_at_once(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "a")
        await cluster.start()
        begun = trio.current_time()
        assert await cluster.replicas["a"].propose(b"x") == 1
        await cluster.replicas["a"].read_barrier()
        assert trio.current_time() - begun < 0.02
        assert cluster.status("a").role == "leader"


@pytest.mark.parametrize("names", ["ab", "abc", "abcd", "abcde"])
async def test_every_member_proposes_and_reads(autojump_clock, names: str) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, names)
        await cluster.start()
        await cluster.leader()
        for name in names:
            await cluster.replicas[name].propose(name.encode())
        for name in names:
            await cluster.replicas[name].read_barrier()
            assert cluster.machines[name].commands == [other.encode() for other in names]


async def test_an_answer_comes_from_the_local_machine(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        await cluster.leader()
        for name in cluster.followers():
            number = await cluster.replicas[name].propose(b"x")
            assert len(cluster.machines[name].commands) == number


async def test_concurrent_proposals_share_syncs(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        await cluster.replicas[leader].propose(b"warm")
        disk = world.disk(leader)
        before = disk.device.syncs
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(cluster.replicas[leader].propose, b"%d" % number)
        assert disk.device.syncs - before <= 3


async def test_the_cluster_goes_on_when_the_leader_is_killed_and_it_rejoins(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        old = await cluster.leader()
        await cluster.replicas[old].propose(b"before")
        await world.kill(old)
        begun = trio.current_time()
        new = await cluster.leader()
        assert trio.current_time() - begun < 0.5, "the connections ended, so nobody waits for an election timeout"
        await cluster.replicas[new].propose(b"after")
        await cluster.start(old)
        await cluster.settle()
        assert cluster.machines[old].commands == [b"before", b"after"]


@pytest.mark.parametrize("seed", range(5))
async def test_members_that_answer_late_elect_soon_after_the_leader_is_killed_all_the_same(
    autojump_clock, seed: int
) -> None:
    """An answer that takes longer than the first retry, as on a busy machine, is waited for by a later one."""
    async with FakeWorld(seed=seed) as world:
        cluster = Cluster(world, "abc", election_s=5.0)
        await cluster.start()
        old = await cluster.leader()
        for one, other in permutations(cluster.followers(), 2):
            world.slow(one, other, 0.1)
        await world.kill(old)
        begun = trio.current_time()
        await cluster.leader()
        assert trio.current_time() - begun < 2.5


async def test_a_silent_leader_is_replaced_after_an_election_timeout(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        old = await cluster.leader()
        await world.power_off(old)
        begun = trio.current_time()
        await cluster.leader()
        assert 0.9 < trio.current_time() - begun < 4


async def test_a_proposal_outlives_its_leader(autojump_clock) -> None:
    """It is sent again under the same identity, and applied once."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        old = await cluster.leader()
        follower = cluster.followers()[0]
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(cluster.replicas[follower].propose, b"%d" % number)
            await trio.sleep(0.0015)
            await world.kill(old)
        assert sorted(cluster.machines[follower].commands) == sorted(b"%d" % number for number in range(50))


async def test_a_minority_neither_writes_nor_reads(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        old = await cluster.leader()
        others = [name for name in "abc" if name != old]
        world.partition([old], others)
        with trio.move_on_after(5) as limit:
            await cluster.replicas[old].propose(b"lost?")
        assert limit.cancelled_caught
        with pytest.raises(NoLeaderError) as caught:
            await cluster.replicas[old].read_barrier()
        assert caught.value.definite
        with pytest.raises(NoLeaderError):
            await cluster.replicas[old].propose(b"never")
        new = await cluster.leader(among="".join(others))
        await cluster.replicas[new].propose(b"kept")
        world.heal()
        await cluster.settle()
        assert b"never" not in cluster.machines[old].commands
        assert len({tuple(machine.commands) for machine in cluster.machines.values()}) == 1


@pytest.mark.parametrize("engine", ["pysyncobj", "pysyncobj-stock"])
async def test_nobody_waits_longer_than_allowed(engine, autojump_clock) -> None:
    """Each from the beginning of its own call, whoever began before it."""
    ended_s: list[float] = []

    async def propose(replica) -> None:
        began_s = trio.current_time()
        with pytest.raises(NotInTimeError):
            await replica.propose(b"lost?")
        ended_s.append(trio.current_time() - began_s)

    async with FakeWorld() as world, trio.open_nursery() as nursery:
        cluster = Cluster(world, "abc", engine=engine, request_timeout_s=0.5)
        await cluster.start()
        old = await cluster.leader()
        world.partition([old], [name for name in "abc" if name != old])
        for _ in range(3):
            nursery.start_soon(propose, cluster.replicas[old])
            await trio.sleep(0.1)
        await trio.sleep(0.6)
    assert ended_s == pytest.approx([0.5, 0.5, 0.5])


async def test_a_member_that_was_cut_off_does_not_disrupt_when_it_returns(autojump_clock) -> None:
    """Pre-vote (thesis 9.6): the term stays what it was."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        away = cluster.followers()[0]
        world.partition([away], [name for name in "abc" if name != away])
        await trio.sleep(30)
        term = cluster.status(leader).term
        world.heal()
        await trio.sleep(30)
        assert cluster.leaders() == [leader]
        assert cluster.status(away).term == term
        assert cluster.status(away).leader == leader


async def test_everything_acknowledged_survives_a_loss_of_power_of_all_members(autojump_clock) -> None:
    async with FakeWorld(seed=3) as world:
        cluster = Cluster(world, "abc", snapshot_every=20)
        await cluster.start()
        await cluster.leader()
        for number in range(50):
            await cluster.replicas["a"].propose(b"%d" % number)
        for name in "abc":
            await world.power_off(name)
        await cluster.start()
        leader = await cluster.leader()
        await cluster.replicas[leader].read_barrier()
        assert cluster.machines[leader].commands == [b"%d" % number for number in range(50)]


async def test_a_member_far_behind_catches_up_by_snapshot(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc", snapshot_every=20)
        await cluster.start()
        await cluster.leader()
        away = cluster.followers()[0]
        await world.power_off(away)
        leader = await cluster.leader()
        for number in range(100):
            await cluster.replicas[leader].propose(bytes(20_000) + b"%d" % number)
        await cluster.start(away)
        await cluster.settle()
        assert len(cluster.machines[away].commands) == 100
        assert cluster.machines[away].commands == cluster.machines[leader].commands


async def test_a_member_with_another_token_stays_outside(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        await cluster.leader()
        await world.kill("c")
        cluster.tokens["c"] = "wrong"
        await cluster.start("c")
        await trio.sleep(10)
        assert await cluster.leader() != "c"
        assert cluster.status("c").peers_connected == 0
        assert cluster.status("c").leader is None
        assert any("token" in str(fields) for *_, fields in world.logs)


async def test_a_command_beyond_the_limit_is_refused_and_one_at_the_limit_is_not(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        await cluster.leader()
        follower = cluster.followers()[0]
        with pytest.raises(TooLargeError) as caught:
            await cluster.replicas[follower].propose(bytes(MAX_COMMAND_BYTES + 1))
        assert caught.value.definite
        assert await cluster.replicas[follower].propose(bytes(MAX_COMMAND_BYTES)) == 1


async def test_proposals_that_wait_when_the_member_stops_are_answered(autojump_clock) -> None:
    async with FakeWorld() as world:
        host = world.host("a")
        peers = {"a": Address(host.address, 2380), "b": Address(world.address("b"), 2380)}
        replica = Replica(
            host, name="a", peers=peers, machine=ListMachine(), heartbeat_s=0.1, election_s=1, cluster_token="t"
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(replica.run)
            with pytest.raises(NoLeaderError):
                await replica.propose(b"x")
            nursery.cancel_scope.cancel()
        with pytest.raises(NoLeaderError):
            await replica.read_barrier()


async def test_a_proposal_in_flight_when_the_member_stops_is_of_unknown_outcome(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        replica = cluster.replicas[leader]
        world.partition([leader], [name for name in "abc" if name != leader])

        async def propose() -> None:
            with pytest.raises(OutcomeUnknownError) as caught:
                await replica.propose(b"x")
            assert not caught.value.definite

        async with trio.open_nursery() as nursery:
            nursery.start_soon(propose)
            await trio.sleep(0.1)
            await world.kill(leader)


async def test_status_changes_are_awaited(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        follower = cluster.followers()[0]
        await trio.sleep(1)
        seen = cluster.status(follower)
        assert seen.leader == leader
        assert seen.peers_connected == 2
        await world.kill(leader)
        changed = await cluster.replicas[follower].wait_status_change(seen)
        assert (changed.leader, changed.term, changed.role) != (seen.leader, seen.term, seen.role)


async def test_a_paused_leader_loses_leadership_and_follows_when_it_resumes(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        old = await cluster.leader()
        await world.signal(old, "pause", process="main")
        await trio.sleep(20)
        new = await cluster.leader()
        assert new != old
        await cluster.replicas[new].propose(b"x")
        await world.signal(old, "resume", process="main")
        await trio.sleep(5)
        assert cluster.leaders() == [new]
        assert cluster.machines[old].commands == [b"x"]


async def test_a_failing_disk_stops_the_member(autojump_clock) -> None:
    async with FakeWorld() as world:
        cluster = Cluster(world, "a")
        await cluster.start()
        await cluster.replicas["a"].propose(b"x")
        host = world.host("b")
        disk = world.disk("b")
        disk.device.fail_with = OSError(28, "No space left on device")
        replica = Replica(
            host,
            name="b",
            peers={"b": Address(host.address, 2380)},
            machine=ListMachine(),
            heartbeat_s=0.1,
            election_s=1,
            cluster_token="t",
        )
        with pytest.raises(OSError, match="No space"):
            await replica.run()


async def test_every_reader_that_waits_for_room_is_woken(autojump_clock) -> None:
    """One that is forgotten stays silent until its connection is given up for dead."""
    async with FakeWorld() as world:
        replica = Replica(
            world.host("a"),
            name="a",
            peers={name: Address(world.address(name), 2380) for name in "abc"},
            machine=ListMachine(),
            heartbeat_s=0.1,
            election_s=1.0,
            cluster_token="t",
        )
        for number in range(MAX_INBOX):
            replica.on_message("b", ReadAnswer(number, 0))
        async with trio.open_nursery() as member:
            with trio.fail_after(0.5):
                async with trio.open_nursery() as readers:
                    for _ in "bc":
                        readers.start_soon(replica.wait_room)
                    await trio.testing.wait_all_tasks_blocked()
                    await member.start(replica.run)
            member.cancel_scope.cancel()


async def test_an_answer_meant_for_an_earlier_life_of_a_member_answers_no_question_of_this_one(
    autojump_clock, monkeypatch
) -> None:
    """It may still be on its way, and its read index is older than what was acknowledged since."""
    async with FakeWorld() as world:
        cluster = Cluster(world, "abc")
        await cluster.start()
        leader = await cluster.leader()
        follower = cluster.followers()[0]
        questions: list[list[int]] = []
        hear = cluster.replicas[leader].on_message

        def overhear(peer: str, message: Message) -> None:
            if peer == follower and isinstance(message, ReadRequest):
                questions[-1].append(message.id)
            hear(peer, message)

        monkeypatch.setattr(cluster.replicas[leader], "on_message", overhear)
        for _ in range(2):
            questions.append([])
            await cluster.replicas[follower].read_barrier()
            await world.kill(follower)
            await cluster.start(follower)
            await cluster.settle()
        assert all(questions)
        assert not set(questions[0]) & set(questions[1])


async def test_snapshots_of_a_large_state_cost_on_the_whole_what_its_log_does(autojump_clock, monkeypatch) -> None:
    taken: list[int] = []
    right = ListMachine.snapshot

    def snapshot(self: ListMachine) -> Iterator[bytes]:
        parts = list(right(self))
        taken.append(sum(map(len, parts)))
        return iter(parts)

    monkeypatch.setattr(ListMachine, "snapshot", snapshot)
    async with FakeWorld() as world:
        cluster = Cluster(world, "a", snapshot_every=5)
        await cluster.start()
        replica = await cluster.leader()
        for _ in range(200):
            await cluster.replicas[replica].propose(bytes(100_000))
    assert len(taken) >= 3
    assert sum(taken) < 200 * 100_000
