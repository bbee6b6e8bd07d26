"""One test per sentence of "In Search of an Understandable Consensus Algorithm" (Ongaro, Ousterhout, extended
version; "paper") and of Ongaro's thesis. Each cites its section and says the rule.
"""

from __future__ import annotations

import pytest

from ha.raft.journal import Journal
from ha.raft.messages import Append, Appended, PreVote, Rejected, RequestVote, Vote
from tests.unit.raft.schedules import ELECTION_S, HEARTBEAT_S, STEP_S, OurMember, Schedule, kind


def schedule(names: str = "ABC") -> Schedule:
    return Schedule(names, OurMember)


def led_by_a(names: str = "ABC") -> Schedule:
    made = schedule(names)
    made.elect("A", names[1:])
    made.settle(names)
    return made


def answers(made: Schedule, name: str) -> list:
    return [message for *_, message in made.take(name)]


def log(made: Schedule, name: str) -> list[tuple[int, int]]:
    return [(index, term) for _, index, term in made.members[name].journal.entries]


# -- 5.1 terms ---------------------------------------------------------------------------------------------


def test_a_server_with_a_stale_term_updates_it_to_the_larger_value() -> None:
    """Paper 5.1: if one server's current term is smaller than the other's, it updates to the larger value."""
    made = schedule()
    made.members["B"].receive("A", Append(7, 1, 1, 1, 0, []))
    assert made.members["B"].term() == 7


@pytest.mark.parametrize("role", ["leader", "candidate"])
def test_a_leader_or_candidate_with_a_stale_term_becomes_follower(role: str) -> None:
    """Paper 5.1: if a candidate or leader discovers that its term is out of date, it reverts to follower."""
    made = schedule()
    if role == "leader":
        made.elect("A", "BC")
    else:
        campaign(made, "A", "BC")
    made.members["A"].receive("B", Append(9, 1, 1, 1, 0, []))
    assert made.members["A"].core.role == 0
    assert made.members["A"].term() == 9


def test_a_request_with_a_stale_term_is_rejected() -> None:
    """Paper 5.1: a request with a stale term number is rejected. Here the sender is told the term."""
    made = led_by_a()
    made.take()
    term = made.members["B"].term()
    for message in (Append(term - 1, 1, 9, 1, 0, []), RequestVote(term - 1, 99, 99)):
        made.members["B"].receive("C", message)
        assert [kind(answer) for answer in answers(made, "B")] == ["higher_term"]
    assert made.members["B"].core.leader == "A"


def test_terms_and_votes_are_remembered_over_a_restart() -> None:
    """Paper figure 2, persistent state: currentTerm, votedFor."""
    made = schedule()
    made.members["B"].receive("A", RequestVote(5, 1, 0))
    assert [kind(answer) for answer in answers(made, "B")] == ["vote"]
    made.members["B"] = OurMember(made, "B", journal=made.members["B"].journal)
    made.members["B"].receive("C", RequestVote(5, 1, 0))
    assert answers(made, "B") == []
    assert made.members["B"].term() == 5


# -- 5.2 leader election -----------------------------------------------------------------------------------


def campaign(made: Schedule, name: str, voters: str) -> None:
    """Until the votes are asked for, not given."""
    made.members[name].time_out()
    made.tick(name)
    made.give(made.take(name, voters, "pre_vote"))
    made.give(made.take(voters, name, "pre_vote_granted"))
    made.tick(name)


def test_a_server_starts_as_follower() -> None:
    """Paper 5.2: when servers start up, they begin as followers."""
    assert all(member.core.role == 0 for member in schedule().members.values())


def test_a_follower_that_hears_nothing_begins_an_election() -> None:
    """Paper 5.2: it increments its term, votes for itself, and asks all others (here: if they would, thesis 9.6)."""
    made = schedule()
    campaign(made, "A", "BC")
    asked = made.take("A", None, "request_vote")
    assert sorted(destination for _, destination, _ in asked) == ["B", "C"]
    assert made.members["A"].term() == 1
    assert made.members["A"].journal.vote == "A"


def test_votes_of_a_majority_make_a_leader() -> None:
    """Paper 5.2: a candidate wins with votes from a majority of the servers in the full cluster, same term."""
    made = schedule("ABCDE")
    campaign(made, "A", "BCDE")
    made.members["A"].receive("B", Vote(1))
    assert not made.members["A"].is_leader()
    made.members["A"].receive("C", Vote(0))
    assert not made.members["A"].is_leader()
    made.members["A"].receive("C", Vote(1))
    assert made.members["A"].is_leader()


def test_each_server_votes_for_at_most_one_candidate_first_come_first_served() -> None:
    """Paper 5.2."""
    made = schedule()
    made.members["C"].receive("B", RequestVote(1, 1, 0))
    made.members["C"].receive("A", RequestVote(1, 1, 0))
    assert [(destination, kind(m)) for _, destination, m in made.take("C")] == [("B", "vote")]


def test_a_new_leader_tells_everybody_at_once() -> None:
    """Paper 5.2: it sends heartbeats to all of the others to establish its authority."""
    made = schedule()
    made.elect("A", "BC")
    assert {destination for _, destination, _ in made.take("A", None, "append")} == {"B", "C"}


def test_a_candidate_recognises_a_leader_of_its_term() -> None:
    """Paper 5.2: if the leader's term is at least as large, the candidate returns to follower state."""
    made = schedule()
    campaign(made, "A", "BC")
    made.members["A"].receive("B", Append(1, 1, 1, 1, 0, []))
    assert made.members["A"].core.role == 0
    assert made.members["A"].core.leader == "B"


def test_election_timeouts_are_drawn_from_an_interval() -> None:
    """Paper 5.2: chosen randomly from a fixed interval, so that split votes are rare."""
    core = schedule().members["A"].core
    drawn = [core.election_timeout_s() for _ in range(200)]
    assert ELECTION_S - HEARTBEAT_S <= min(drawn) < 1.1 * ELECTION_S - HEARTBEAT_S
    assert 1.9 * ELECTION_S - HEARTBEAT_S < max(drawn) <= 2 * ELECTION_S - HEARTBEAT_S


def test_a_leader_sends_heartbeats() -> None:
    """Paper 5.2: periodic heartbeats (appends without entries) prevent elections."""
    made = led_by_a()
    made.take()
    made.now += HEARTBEAT_S * 1.01
    made.tick("A")
    assert [message.entries for *_, message in made.take("A", None, "append")] == [[], []]


# -- 5.3 log replication -----------------------------------------------------------------------------------


def test_an_entry_is_committed_once_a_majority_has_it() -> None:
    """Paper 5.3: a log entry is committed once the leader that created it replicated it on a majority."""
    made = led_by_a("ABCDE")
    made.members["A"].propose(b"x")
    made.tick("A")
    for name in "BC":
        assert b"x" not in made.members["A"].commands
        made.give(made.take("A", name))
        made.give(made.take(name, "A"))
        made.tick("A")
    assert made.members["A"].commands == [b"x"]


def test_followers_learn_the_commit_index_and_apply() -> None:
    """Paper 5.3: once a follower learns that an entry is committed, it applies it."""
    made = led_by_a()
    made.members["A"].propose(b"x")
    made.tick("A")
    made.give(made.take("A", "B"))
    made.give(made.take("B", "A"))
    made.tick("A", "B")
    assert made.members["B"].commands == []
    made.give(made.take("A", "B"))
    made.tick("B")
    assert made.members["B"].commands == [b"x"]


def test_a_follower_without_the_preceding_entry_refuses() -> None:
    """Paper 5.3, consistency check: no entry with the same index and term → the new entries are refused."""
    made = led_by_a()
    last, term = made.members["B"].last(), made.members["B"].term()
    made.take()
    made.members["B"].receive("A", Append(term, 50, 1, last + 5, term, [(b"\0x", last + 6, term)]))
    assert answers(made, "B") == [Rejected(term, 50, last + 1)]
    assert made.members["B"].last() == last


def test_a_conflicting_entry_and_all_that_follow_are_removed() -> None:
    """Paper 5.3 / figure 2, receiver rule 3."""
    made = schedule()
    made.members["B"].receive("A", Append(1, 1, 1, 1, 0, [(b"\0a", 2, 1), (b"\0b", 3, 1), (b"\0c", 4, 1)]))
    made.members["B"].receive("C", Append(2, 1, 1, 2, 1, [(b"\0z", 3, 2)]))
    assert log(made, "B") == [(1, 0), (2, 1), (3, 2)]


def test_an_entry_that_does_not_conflict_is_kept() -> None:
    """Figure 2, receiver rule 3, the other way round: a late, shorter append truncates nothing."""
    made = schedule()
    entries = [(b"\0a", 2, 1), (b"\0b", 3, 1), (b"\0c", 4, 1)]
    made.members["B"].receive("A", Append(1, 1, 1, 1, 0, entries))
    made.members["B"].receive("A", Append(1, 1, 1, 1, 0, entries[:1]))
    assert log(made, "B") == [(1, 0), (2, 1), (3, 1), (4, 1)]


def test_a_refusal_names_the_first_index_of_the_conflicting_term() -> None:
    """Paper 5.3, the optimisation: one append per conflicting term rather than per conflicting entry."""
    made = schedule()
    entries = [(b"\0", 2, 1), *((b"\0", index, 2) for index in range(3, 30))]
    made.members["B"].receive("A", Append(2, 1, 1, 1, 0, entries))
    made.take()
    made.members["B"].receive("C", Append(4, 9, 1, 20, 3, []))
    assert answers(made, "B") == [Rejected(4, 9, 3)]


def test_the_commit_index_of_a_follower_is_bounded_by_the_last_new_entry() -> None:
    """Figure 2, receiver rule 5: min(leaderCommit, index of last new entry)."""
    made = schedule()
    made.members["B"].receive("A", Append(1, 1, 1, 1, 0, [(b"\0a", 2, 1), (b"\0b", 3, 1)]))
    made.members["B"].receive("C", Append(2, 1, 3, 2, 1, []))
    assert made.members["B"].commit() == 2


def test_a_leader_never_overwrites_its_own_log() -> None:
    """Paper 5.3, Leader Append-Only. Whoever else claims to lead its term is a bug, and stops the member."""
    made = led_by_a()
    with pytest.raises(AssertionError, match="both lead"):
        made.members["A"].receive("B", Append(made.members["A"].term(), 1, 1, 1, 0, [(b"\0x", 2, 9)]))


# -- 5.4 safety --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last_index", "last_term", "granted"), [(3, 2, True), (4, 2, True), (2, 2, False), (9, 1, False), (2, 3, True)]
)
def test_a_voter_denies_its_vote_to_a_log_less_up_to_date(last_index: int, last_term: int, *, granted: bool) -> None:
    """Paper 5.4.1: later last term wins; with equal terms, the longer log."""
    made = schedule()
    made.members["B"].receive("A", Append(2, 1, 1, 1, 0, [(b"\0", 2, 1), (b"\0", 3, 2)]))
    made.take()
    made.now += 2 * ELECTION_S
    made.members["B"].receive("C", PreVote(8, last_index, last_term, 1))
    assert bool(answers(made, "B")) == granted
    made.members["B"].receive("C", RequestVote(8, last_index, last_term))
    assert bool(answers(made, "B")) == granted


@pytest.mark.parametrize(("late_s", "granted"), [(-0.001, False), (0.001, True)])
def test_a_voter_is_loyal_for_the_shortest_election_timeout(late_s: float, *, granted: bool) -> None:
    """Thesis 4.2.3. For longer, and whoever draws the shortest would be refused, and wait once more."""
    made = schedule()
    made.members["B"].receive("A", Append(2, 1, 1, 1, 0, []))
    made.take()
    made.now += ELECTION_S - HEARTBEAT_S + late_s
    made.members["B"].receive("C", PreVote(8, 9, 9, 1))
    assert bool(answers(made, "B")) == granted


def test_only_entries_of_the_leaders_own_term_are_committed_by_counting() -> None:
    """Paper 5.4.2, figure 8: an entry of an earlier term on a majority is not committed by that."""
    made = schedule("ABCDE")
    made.elect("A", "BCDE")
    made.members["A"].propose(b"old")
    made.tick("A")
    made.give(made.take("A", "B"))
    made.take()
    made.elect("B", "CDE")
    made.take()
    member = made.members["B"]
    term, last = member.term(), member.last()
    for name in "CD":
        member.receive(name, Appended(term, 99, last - 1))
    made.tick("B")
    assert member.commit() == 1
    for name in "CD":
        member.receive(name, Appended(term, 99, last))
    made.tick("B")
    assert member.commit() == last


def test_a_new_leader_begins_its_term_with_a_no_op() -> None:
    """Paper 8: each leader commits a blank no-op entry at the start of its term."""
    made = schedule()
    made.elect("A", "BC")
    assert log(made, "A") == [(1, 0), (2, 1)]
    made.settle("ABC", 2)
    assert made.members["A"].commit() == 2
    assert made.members["A"].commands == []


# -- 7 snapshots -------------------------------------------------------------------------------------------


def test_a_follower_too_far_behind_gets_the_snapshot() -> None:
    """Paper 7: InstallSnapshot when the next entry was discarded."""
    made = led_by_a()
    made.crash("C")
    for number in range(50):
        made.members["A"].propose(b"%d" % number)
    made.settle("AB")
    made.members["A"].compact()
    made.start("C")
    made.settle("ABC")
    assert made.members["C"].commands == made.members["A"].commands
    assert made.members["C"].journal.snapshot is not None


def test_what_follows_a_snapshot_in_the_log_is_kept() -> None:
    """Paper 7 / figure 13, rule 6: an existing entry with the snapshot's index and term retains what follows it."""
    made = led_by_a()
    for number in range(10):
        made.members["A"].propose(b"%d" % number)
    made.settle("ABC")
    made.members["A"].compact()
    snapshot = made.members["A"].journal.snapshot
    assert snapshot is not None
    other = schedule()
    follower = other.members["B"]
    entries = [entry for entry in made.members["C"].journal.entries if entry[1] > 1]
    after = (b"\0after", entries[-1][1] + 1, 1)
    follower.receive("A", Append(1, 1, 1, 1, 0, [*entries, after]))
    assert follower.commands == []
    follower.core._install(snapshot)
    assert follower.journal.entries[-1] == after
    assert follower.commands == made.members["A"].commands


# -- 8 client interaction, thesis 4.2.3, 6.4, 9.6 ----------------------------------------------------------


def test_a_read_waits_for_the_no_op_of_a_new_leader() -> None:
    """Paper 8 / thesis 6.4: a leader must have committed an entry of its term to know which are committed."""
    made = schedule()
    made.elect("A", "BC")
    core = made.members["A"].core
    core.read_barrier("r")
    made.settle("ABC", 3)
    [(token, index)] = core.take_reads()
    assert token == "r"
    assert index == 2


def test_a_read_index_needs_a_round_that_began_after_it() -> None:
    """Thesis 6.4, step 3: heartbeats sent after the read are acknowledged by a majority."""
    made = led_by_a()
    core = made.members["A"].core
    made.now += STEP_S
    made.tick("A")
    before = made.take("A")
    core.read_barrier("r")
    made.give(before)
    made.give(made.take("BC", "A"))
    assert core.take_reads() == []
    made.tick("A")
    made.give(made.take("A", "B"))
    made.give(made.take("B", "A"))
    assert core.take_reads() == [("r", core.commit_index)]


def test_a_server_that_hears_its_leader_ignores_candidates() -> None:
    """Thesis 4.2.3: within the minimum election timeout of hearing from a current leader."""
    made = led_by_a()
    made.take()
    term = made.members["B"].term()
    made.members["B"].receive("C", RequestVote(term + 5, 99, 99))
    made.members["B"].receive("C", PreVote(term + 5, 99, 99, 1))
    assert answers(made, "B") == []
    assert made.members["B"].term() == term


def test_a_pre_vote_changes_nothing() -> None:
    """Thesis 9.6: neither the asker's term nor the voter's term or vote."""
    made = schedule()
    made.members["A"].time_out()
    made.tick("A")
    made.give(made.take("A", "B", "pre_vote"))
    assert [kind(message) for message in answers(made, "B")] == ["pre_vote_granted"]
    assert [made.members[name].term() for name in "AB"] == [0, 0]
    assert made.members["B"].journal.vote is None


def test_a_leader_without_answers_of_a_majority_steps_down() -> None:
    """Thesis 6.2: if an election timeout elapses without a successful round of heartbeats to a majority."""
    made = led_by_a("ABCDE")
    made.take()
    for _ in range(11):
        made.now += STEP_S
        made.tick("A")
        made.give(made.take("A", "B"))
        made.give(made.take("B", "A"))
    assert not made.members["A"].is_leader()


# -- thesis 4.2.1: non-voting servers; here: those whose disk was empty -----------------------------------------


def with_a_learner(names: str = "ABC") -> Schedule:
    """Led by A; B lost its disk."""
    made = led_by_a(names)
    made.crash("B")
    journal = Journal()
    journal.disk_id, journal.is_learner = 7, True
    made.start("B", journal=journal)
    return made


def test_a_non_voting_server_is_sent_the_log_but_is_not_counted_for_commitment() -> None:
    """Thesis 4.2.1: the leader replicates log entries to it, but it is not yet counted towards majorities for voting
    or commitment purposes.
    """
    made = with_a_learner()
    made.crash("C")
    leader = made.members["A"]
    before = leader.commit()
    leader.propose(b"x")
    made.settle("AB", rounds=4)
    assert log(made, "B") == log(made, "A")
    assert leader.commit() == before


def test_a_non_voting_server_gives_no_vote() -> None:
    """Thesis 4.2.1: not counted for voting purposes. Paper figure 2: votedFor must not be forgotten."""
    made = with_a_learner()
    made.members["B"].receive("C", RequestVote(made.members["A"].term() + 1, 99, 99))
    made.members["B"].receive("C", PreVote(made.members["A"].term() + 1, 99, 99, 1))
    assert {kind(answer) for answer in answers(made, "B")} <= {"who_are_you"}


def test_a_non_voting_server_counts_once_its_admission_is_committed() -> None:
    """Thesis 4.1: a server is added by an entry of the log."""
    made = with_a_learner()
    made.settle("ABC")
    made.crash("C")
    made.members["A"].propose(b"x")
    made.settle("AB")
    assert made.members["A"].acknowledged() == {b"x"}
