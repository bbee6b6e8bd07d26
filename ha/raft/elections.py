"""How a member comes to lead, and why most do not try: the election half of the core.

PySyncObj draws the timers, grants votes and counts them. Around it stand five guards:

* **Pre-vote** (thesis 9.6). A member whose timer expired first asks who would vote for it, which changes no term.
  So one that was cut off or paused does not depose a living leader when it returns.
* **Stickiness** (thesis 4.2.3). Who heard its leader within the shortest election timeout helps nobody to replace it.
* **A vote counts once**, in its term, and only from a member that has not voted yet.
* **Only members vote**: whoever lost what it had promised is a learner first (`ha.raft.membership`).
* **`HigherTerm`** tells whoever speaks in an earlier term that it is behind; PySyncObj leaves it in the dark.

And one accelerator: when the connection of the leader's process ended, its followers do not wait for the timer
(`peer_died`). Pre-vote makes a false alarm harmless: the leader and those who hear it refuse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pysyncobj import SyncObjConf

from ha.raft.binding import CANDIDATE, Peer
from ha.raft.journal import Journal
from ha.raft.membership import Membership
from ha.raft.messages import HigherTerm, PreVote, PreVoteGranted, RaftMessage, RequestVote, Vote
from ha.world import Random

__all__ = ["Elections", "Timing"]

EAGER_FOR_S = 1.0
EAGER_FIRST_S = (0.005, 0.05)
EAGER_RETRY_S = (0.02, 0.12)
"""Twice as long each time: on a busy machine an answer takes longer than that."""


class Timing(NamedTuple):
    """Periods in seconds, and when to compact."""

    heartbeat_s: float
    election_s: float
    snapshot_every: int

    @property
    def patience_s(self) -> float:
        """For how long at least a silent leader is waited for, and at most `election_s` longer: as long as etcd waits
        with the same periods, which counts whole heartbeats and has the first of them end at any time.
        """
        return self.election_s - self.heartbeat_s


class Elections(Membership):
    """The part of a member that elects. Abstract: `ha.raft.core` replicates."""

    def __init__(
        self,
        name: str,
        peers: Sequence[str],
        journal: Journal,
        clock: Callable[[], float],
        conf: SyncObjConf,
        random: Random,
        timing: Timing,
    ) -> None:
        self._timing, self._random = timing, random
        self._heard_leader_at = self._eager_until = -math.inf
        self._eager_tries = 0
        self._voters: tuple[int, set[str]] = (0, set())
        self._pre_vote_round = 0
        self._pre_voters: set[str] | None = None
        super().__init__(name, peers, journal, clock, conf)

    def peer_died(self, peer: str) -> None:
        """A connection to or from this member was ended by its process or its kernel. If it led, campaign soon."""
        self.enter()
        if self.leader == peer:
            self.forget_leader()
            self._heard_leader_at, self._eager_until = -math.inf, self.now + EAGER_FOR_S
            self._eager_tries = 0
            self.set_election_deadline(self.now + self._random.uniform(*EAGER_FIRST_S))

    def be_patient(self) -> None:
        """There is a leader again: back to ordinary timeouts."""
        self._eager_until = -math.inf

    def hear_leader(self) -> None:
        """The leader of this or a later term spoke."""
        self._heard_leader_at = self.now
        self._pre_voters = None
        self.be_patient()

    def election_timeout_s(self) -> float:
        """Draw how long to wait for a leader (paper 5.2); shorter while the leader is known to be dead."""
        if self.now < self._eager_until:
            self._eager_tries += 1
            return math.ldexp(self._random.uniform(*EAGER_RETRY_S), self._eager_tries - 1)
        patience_s = self._timing.patience_s
        return self._random.uniform(patience_s, patience_s + self._timing.election_s)

    def may_campaign(self) -> bool:
        """The election timer expired: campaign if a majority would vote for it, else ask whether it would."""
        if self.is_learner:
            self.forget_leader()
            self.set_election_deadline(self.now + self.election_timeout_s())
            self.ask_everybody()
            return False
        if self._has_majority(self._pre_voters or set()):
            self._pre_voters = None
            return True
        self.forget_leader()
        self._pre_voters = set()
        self._pre_vote_round += 1
        self.set_election_deadline(self.now + self.election_timeout_s())
        last = self.journal.last_index
        question = PreVote(self.term + 1, last, self.journal.term_at(last), self._pre_vote_round)
        self._hold_for_all(question)
        return False

    def _has_majority(self, others: set[str]) -> bool:
        return len(others) + 1 > self.cluster_size / 2

    def _hold_for_all(self, message: RaftMessage) -> None:
        self.outbox.held += [(peer, message) for peer in self.peers]

    def _hold(self, node: Peer, message: RaftMessage) -> None:
        self.outbox.held.append((node.id, message))

    def _is_loyal(self) -> bool:
        """Whether this member knows a living leader, and so will not help to depose it (thesis 4.2.3)."""
        return self.is_leader or self.now < self._heard_leader_at + self._timing.patience_s

    def _on_pre_vote(self, node: Peer, message: PreVote) -> None:
        if self.is_learner or self._is_loyal():
            return
        if message.term <= self.term:
            self._hold(node, HigherTerm(self.term))
        elif (message.last_term, message.last_index) >= (self.journal.entries[-1][2], self.journal.last_index):
            self._hold(node, PreVoteGranted(message.term, message.round))

    def _on_pre_vote_granted(self, node: Peer, message: PreVoteGranted) -> None:
        if self._pre_voters is None or message.round != self._pre_vote_round or message.term != self.term + 1:
            return
        self._pre_voters.add(node.id)
        if self._has_majority(self._pre_voters):
            self.set_election_deadline(-math.inf)

    def _on_request_vote(self, node: Peer, message: RequestVote) -> None:
        if self.is_learner:
            return
        if message.term < self.term:
            self._hold(node, HigherTerm(self.term))
        elif not self._is_loyal():
            if message.term > self.term:
                self._pre_voters = None
            self.consider_vote(node, message)

    def _on_vote(self, node: Peer, message: Vote) -> None:
        if message.term != self.term or self.role != CANDIDATE:
            return
        if self._voters[0] != self.term:
            self._voters = (self.term, set())
        if node.id not in self._voters[1]:
            self._voters[1].add(node.id)
            self.count_vote(node, message)

    def _on_higher_term(self, _node: Peer, message: HigherTerm) -> None:
        if message.term > self.term:
            self._pre_voters = None
            self.step_down(message.term)
