"""Consensus of one member: PySyncObj 0.3.17, hardened. Sans-IO: messages and time in, messages and results out.

    propose(command)   read_barrier(token)   receive(peer, message)   peer_connected / peer_disconnected
    tick()   next_deadline()   outbox   take_reads()

The driver calls `receive` and `propose` as things come in, then `tick` once, sends ``outbox.early``, syncs the
journal, and sends ``outbox.held``. It must not call in while it syncs. Proposals enter the log at the *end* of a
tick, after the commit rule ran, so an entry counts for this member only in a later tick: after its sync.

What stock PySyncObj gets wrong, and where it is put right (numbers are those of the audit that the tests of
``tests/unit/raft/test_safety_fixes.py`` repeat on the stock class):

1.  It never syncs → the journal, and ``outbox.held``.
2.  A resent append truncates a suffix that matches → `_merge` cuts at the first real conflict only (paper 5.3).
3.  An acknowledgement has no term, so a delayed one is counted later → `_is_current`.
4.  A snapshot chunk moves the commit index over entries that were never compared → only `_on_append`
    commits, and no further than what it compared.
5.  6. 7. 8. Snapshot and log are stored apart, snapshots kept in memory, load errors swallowed, logs rewritten in
    place → one journal file, replaced atomically; errors raise.
9.  Votes are counted without the voter → `ha.raft.elections`.
10. A leader that lost its majority serves stale reads for 30 s → ReadIndex (thesis 6.4), and a leader that a
    majority did not answer for one election timeout steps down.
11. Proposals are executed twice or forgotten → sessions (`ha.raft.sessions`), not here.
12. An exception in a callback applies a command twice → there are no callbacks; an exception of the state
    machine leaves `tick`, and stops the member.
13. Changes of membership overlap → membership is static; what changes is the disk of a member that lost its own
    (`ha.raft.membership`).
14. Repair takes one index per heartbeat → a rejection names the first index of the conflicting term (paper
    5.3), and is answered at once.
15. A deposed leader is not told; a member that was cut off disrupts → `HigherTerm`, stickiness (thesis 4.2.3),
    pre-vote (thesis 9.6): `ha.raft.elections`.
16. Large entries are cut into pieces wrongly → they are never cut; the driver bounds commands.
17. The send loop ends only when the clock moves → `send_appends` ends when there is nothing left to send.
18. A full disk kills the process by SIGBUS → no memory maps; OSError.
19. Callbacks of a deposed leader never fire → there are none.

Beyond those: when the connection of the leader's process ends, its followers campaign at once rather than after
an election timeout (`peer_died`). Pre-vote makes that harmless when the leader is alive after all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pysyncobj import SyncObjConf

from ha.raft.binding import LEADER, Peer
from ha.raft.elections import Elections, Timing
from ha.raft.journal import Journal, Snapshot
from ha.raft.membership import admission
from ha.raft.messages import (
    NO_ANSWER,
    Append,
    Appended,
    Entry,
    Heartbeat,
    HigherTerm,
    IAm,
    PreVote,
    PreVoteGranted,
    RaftMessage,
    Rejected,
    RequestVote,
    SnapshotChunk,
    SnapshotReceived,
    Vote,
    WhoAreYou,
)
from ha.raft.progress import Progress
from ha.raft.reads import Reads
from ha.raft.replicated import Machine, Replicated
from ha.raft.snapshots import Incoming, Transfer, pack, unpack
from ha.world import Random

__all__ = ["RaftCore", "Timing"]

BATCH_BYTES = 1 << 20
COMPACT_BYTES = 64 << 20
SMALL_STATE_BYTES = 1 << 20
LOG_PER_STATE = 4


class RaftCore(Elections):
    """One member. See the module for the order in which to call."""

    def __init__(
        self,
        name: str,
        peers: Sequence[str],
        *,
        journal: Journal,
        machine: Machine,
        clock: Callable[[], float],
        random: Random,
        timing: Timing,
    ) -> None:
        self.replicated = Replicated(machine)
        self._proposals: list[bytes] = []
        self._admissions: list[bytes] = []
        self._progress: dict[str, Progress] = {}
        self._reads = Reads()
        self._failed_reads: list[tuple[object, int | None]] = []
        self._connected: set[str] = set()
        self._urgent: set[str] = set()
        self._sequence = 0
        self._told_commit = 0
        self._incoming: Incoming | None = None
        super().__init__(name, peers, journal, clock, self._conf(timing), random, timing)
        if journal.snapshot is not None:
            self._restore(journal.snapshot)
        if not peers:
            self.set_election_deadline(clock())
            if self.is_learner:
                self.ask_everybody()

    def _conf(self, timing: Timing) -> SyncObjConf:
        return SyncObjConf(
            autoTick=False,
            appendEntriesPeriod=timing.heartbeat_s,
            raftMinTimeout=timing.patience_s,
            raftMaxTimeout=timing.patience_s + timing.election_s,
            leaderFallbackTimeout=timing.election_s,
            connectionTimeout=max(3.5, 2 * timing.election_s),
            dynamicMembershipChange=False,
            onStateChanged=self._on_role_changed,
        )

    # -- what the driver calls -----------------------------------------------------------------------------

    def propose(self, command: bytes) -> None:
        """Queue a command for the log. Forgotten if this member does not lead at the end of the next tick."""
        self._proposals.append(command)

    def read_barrier(self, token: object) -> None:
        """Ask for a read index; `take_reads` gives it with the token. Fails if this member does not lead."""
        if self.is_leader:
            index = max(self.commit_index, self.first_index_of_term)
            self._reads.add(token, index, self._sequence + 1)
        else:
            self._failed_reads.append((token, None))

    def take_reads(self) -> list[tuple[object, int | None]]:
        """Read indexes that are confirmed: linearizable once applied. None: leadership was lost."""
        failed, self._failed_reads = self._failed_reads, []
        if not self._reads.newest:
            return failed
        answered = sorted([self._sequence, *(p.answered_sequence for p in self._progress.values())])
        return failed + self._reads.confirm(answered[(len(answered) - 1) // 2])

    def receive(self, peer: str, message: RaftMessage) -> None:
        """Take a message of another member."""
        self.enter()
        handle: Any = _HANDLERS[type(message)]
        handle(self, self.peers[peer], message)

    def peer_connected(self, peer: str) -> None:
        """Messages to this member go somewhere from now on; what was in flight before is lost."""
        self._connected.add(peer)
        if self.is_learner:
            self.ask_everybody()
        if self.is_leader:
            match = self.match_index(self.peers[peer])
            next_index = match + 1 if match else self._progress[peer].next_index
            self._progress[peer].restart(next_index, next_sequence=self._sequence + 1)
            self._urgent.add(peer)

    def peer_disconnected(self, peer: str) -> None:
        """Messages to this member go nowhere from now on."""
        self._connected.discard(peer)

    def tick(self) -> None:
        """Do what is due: elect, commit, apply, send, compact."""
        self.enter()
        self._onTick(0.0)

    def next_deadline(self) -> float:
        """When to tick at the latest, by the injected clock."""
        if self.is_leader and not self.peers:
            return -math.inf if self.commit_index < self.journal.last_index else math.inf
        return self.timer()

    def _on_role_changed(self, before: int, _after: int) -> None:
        if before == LEADER:
            self._failed_reads += self._reads.fail()
            self.set_election_deadline(self.now + self.election_timeout_s())

    # -- the leader sends ----------------------------------------------------------------------------------

    def on_leading(self) -> None:
        """Begin a term as its leader: nothing is known of the followers' logs (paper, figure 2)."""
        self.be_patient()
        self._urgent.clear()
        next_index = self.journal.last_index + 1
        self._progress = {peer: Progress(next_index) for peer in self.peers}

    def send_appends(self) -> None:
        """One round to every connected peer: new entries as far as its window allows, or a heartbeat."""
        self._told_commit = self.commit_index
        self._urgent.clear()
        self.set_heartbeat_deadline(self.now + self._timing.heartbeat_s)
        self._send_round(self.peers)

    def _send_round(self, peers: Iterable[str]) -> None:
        self._sequence += 1
        shared: dict[int, Append] = {}
        for peer in peers:
            if peer in self._connected:
                self._send_to(peer, shared)

    def _send_to(self, peer: str, shared: dict[int, Append]) -> None:
        progress = self._progress[peer]
        if progress.transfer is not None or progress.next_index <= self.journal.first_index:
            self._send_snapshot(peer, progress)
            return
        while True:
            append = self._append_for(progress, shared)
            self.outbox.early.append((peer, append))
            if append.entries:
                progress.on_sent(append.entries)
            if not append.entries or progress.next_index > self.journal.last_index:
                return

    def _tell_commit(self) -> None:
        """Followers apply now, not at the next heartbeat. Nobody answers, which halves the traffic of a lone write."""
        self._told_commit = self.commit_index
        for peer, progress in self._progress.items():
            if peer in self._connected and progress.transfer is None:
                previous = min(progress.next_index - 1, self.journal.last_index)
                if previous >= self.journal.first_index:
                    term = self.journal.term_at(previous)
                    notice = Append(self.term, NO_ANSWER, self.commit_index, previous, term, [])
                    self.outbox.early.append((peer, notice))

    def _append_for(self, progress: Progress, shared: dict[int, Append]) -> Append:
        """Peers at the same index get the same object, so that the transport encodes it once."""
        first = progress.next_index
        append = shared.get(first)
        if append is None or (append.entries and not progress.has_room):
            previous = first - 1
            entries: list[Entry] = []
            if first <= self.journal.last_index and progress.has_room:
                entries = self.journal.slice(first, BATCH_BYTES)
            append = Append(
                self.term, self._sequence, self.commit_index, previous, self.journal.term_at(previous), entries
            )
            if entries or progress.has_room:
                shared[first] = append
        return append

    def _send_snapshot(self, peer: str, progress: Progress) -> None:
        if progress.transfer is None:
            assert self.journal.snapshot is not None, "a log that begins late has a snapshot"
            progress.transfer = Transfer(self.journal.snapshot)
        if progress.transfer.is_waiting:
            self.outbox.early.append((peer, Heartbeat(self.term, self._sequence)))
        else:
            self.outbox.early.append((peer, progress.transfer.next_chunk(self.term, self._sequence)))

    def end_tick(self) -> None:
        """Append what was proposed, and send at once what a follower waits for (group commit: one append each)."""
        proposals, self._proposals = self._proposals, []
        admissions, self._admissions = self._admissions, []
        if not self.is_leader:
            return
        for command in admissions:
            self.journal.append(command, self.journal.last_index + 1, self.term)
        for command in proposals:
            self.entry(command)
        if admissions or proposals or self._reads.newest > self._sequence:
            self.send_appends()
            return
        if self._urgent:
            urgent, self._urgent = sorted(self._urgent), set()
            self._send_round(urgent)
        if self.commit_index > self._told_commit:
            self._tell_commit()

    # -- the leader is answered ----------------------------------------------------------------------------

    def _is_current(self, node: Peer, message: Appended | Rejected | SnapshotReceived) -> bool:
        """An answer counts in the term in which it was given only."""
        if message.term != self.term or not self.is_leader:
            return False
        if message.learner != self._progress[node.id].learner:
            self._on_other_disk(node, message.learner)
        if not message.learner:
            self._progress[node.id].on_answer(message.sequence)
        return True

    def _on_other_disk(self, node: Peer, learner: int) -> None:
        """A follower lost what it had, or has become a member (0) on the disk that it has now."""
        before = self._progress[node.id]
        before.learner = learner
        if learner:
            self.forget_match(node)
            self._progress[node.id] = Progress(self.journal.last_index + 1, learner)
            if self.replicated.disks.get(str(node.id)) != learner:
                self._admissions.append(admission(str(node.id), learner))

    def _on_appended(self, node: Peer, message: Appended) -> None:
        if self._is_current(node, message):
            assert message.match_index <= self.journal.last_index, "a follower matches what the leader does not have"
            self._count(node, message, message.match_index)
            progress = self._progress[node.id]
            had_room = progress.has_room
            progress.on_match(message.match_index)
            if (not had_room and progress.has_room) or progress.retry_transfer(message.sequence):
                self._urgent.add(node.id)

    def _on_rejected(self, node: Peer, message: Rejected) -> None:
        if self._is_current(node, message):
            self._count(node, message, 0)
            matched = self.match_index(node)
            next_index = min(max(message.next_index, matched + 1), self.journal.last_index + 1)
            is_new = self._progress[node.id].on_reject(message.sequence, next_index, next_sequence=self._sequence + 1)
            if is_new and message.next_index > matched:  # else it lost its disk: repairing at once would never end
                self._urgent.add(node.id)

    def _on_snapshot_received(self, node: Peer, message: SnapshotReceived) -> None:
        if not self._is_current(node, message):
            return
        self._count(node, message, 0)
        progress = self._progress[node.id]
        transfer = progress.transfer
        if transfer is None or transfer.snapshot.index != message.index:
            return
        self._urgent.add(node.id)
        transfer.offset, transfer.is_waiting = message.offset, False
        if message.offset == transfer.total_bytes:
            progress.transfer = None
            self._count(node, message, message.index)
            progress.next_index = message.index + 1

    def _count(self, node: Peer, message: Appended | Rejected | SnapshotReceived, match_index: int) -> None:
        """What a member holds counts for a commit, and that it answers, for staying in office; a learner's does not."""
        if not message.learner:
            self.heard_from(node, match_index)

    # -- a follower receives -------------------------------------------------------------------------------

    def _is_from_leader(self, node: Peer, term: int) -> bool:
        """Follow whoever sends as leader of this or a later term; tell a deposed one."""
        if term < self.term:
            self._hold(node, HigherTerm(self.term))
            return False
        assert not (self.is_leader and term == self.term), f"{node.id} and {self.name} both lead term {term}"
        self.hear_leader()
        self.follow(node, term)
        return True

    def _on_heartbeat(self, node: Peer, message: Heartbeat) -> None:
        if self._is_from_leader(node, message.term):
            self._hold(node, Appended(self.term, message.sequence, 0, self._learner_disk))

    def _on_append(self, node: Peer, message: Append) -> None:
        if not self._is_from_leader(node, message.term):
            return
        conflict = self._conflict(message)
        if conflict is not None:
            if message.sequence != NO_ANSWER:
                self._hold(node, Rejected(self.term, message.sequence, conflict, self._learner_disk))
            return
        self._merge(message)
        verified = max(message.previous_index + len(message.entries), self.journal.first_index)
        self.commit_to(min(message.commit_index, verified))
        if message.sequence != NO_ANSWER:
            self._hold(node, Appended(self.term, message.sequence, verified, self._learner_disk))

    def _conflict(self, message: Append) -> int | None:
        """Where the leader should go on if this log lacks the entry before the new ones; None if it has it."""
        journal, previous = self.journal, message.previous_index
        if previous > journal.last_index:
            return journal.last_index + 1
        if previous <= journal.first_index or journal.term_at(previous) == message.previous_term:
            return None
        assert previous > self.commit_index, f"committed entry {previous} conflicts with the leader of {message.term}"
        first = previous
        while first > self.commit_index + 1 and journal.term_at(first - 1) == journal.term_at(previous):
            first -= 1
        return first

    def _merge(self, message: Append) -> None:
        """Append what is new; remove an entry only if it conflicts (paper 5.3), never because it was sent again."""
        journal = self.journal
        for position, (_, index, term) in enumerate(message.entries):
            if index <= journal.first_index:
                continue
            if index <= journal.last_index:
                if journal.term_at(index) == term:
                    continue
                assert index > self.commit_index, f"committed entry {index} conflicts with the leader of {message.term}"
                journal.truncate(index)
            for entry in message.entries[position:]:
                journal.append(*entry)
            return

    def _on_snapshot_chunk(self, node: Peer, chunk: SnapshotChunk) -> None:
        if self._is_from_leader(node, chunk.term):
            offset = chunk.total_bytes if chunk.index <= self.commit_index else self._collect(node, chunk)
            answer = SnapshotReceived(self.term, chunk.sequence, chunk.index, offset, self._learner_disk)
            self._hold(node, answer)

    def _collect(self, node: Peer, chunk: SnapshotChunk) -> int:
        """Add a chunk to what was received; install the snapshot when it is whole. Returns what is held of it."""
        if self._incoming is None or not self._incoming.continues_with(node.id, chunk):
            self._incoming = Incoming(node.id, chunk)
        held = self._incoming.add(chunk)
        if isinstance(held, Snapshot):
            self._incoming = None
            self._install(held)
            return chunk.total_bytes
        return held

    # -- the state machine ---------------------------------------------------------------------------------

    def _install(self, snapshot: Snapshot) -> None:
        """Put a leader's snapshot in place; keep what follows it in the log if it belongs there (paper 7)."""
        journal = self.journal
        in_log = journal.first_index <= snapshot.index <= journal.last_index
        if in_log and journal.term_at(snapshot.index) == snapshot.term:
            journal.compact(snapshot.index, snapshot.pieces, snapshot.index)
        else:
            journal.install(snapshot)
        self._restore(snapshot)
        self.skip_to(snapshot.index)
        self._notice_admission()

    def _restore(self, snapshot: Snapshot) -> None:
        self.replicated.restore(unpack(b"".join(snapshot.pieces)))

    def apply_entry(self, command: bytes) -> None:
        """Apply the entry after `applied_index`."""
        index = self.applied_index + 1
        self.replicated.apply(index, self.journal.term_at(index), command)
        if self.is_learner:
            self._notice_admission()

    def _notice_admission(self) -> None:
        if self.is_learner and self.replicated.disks.get(self.name) == self.journal.disk_id:
            self.become_member({})

    def compact_if_due(self) -> None:
        """Take a snapshot when the log grew long; keep its end for followers that are a little behind."""
        journal, applied = self.journal, self.applied_index
        since = applied - (journal.snapshot.index if journal.snapshot is not None else 1)
        if not since or journal.is_being_rewritten or not self._is_worth_a_snapshot(since):
            return
        keep = self._timing.snapshot_every // 4 if journal.bytes_since_rewrite < COMPACT_BYTES else 0
        state = pack(self.replicated.snapshot())
        journal.compact(applied, state, max(journal.first_index, applied - keep))

    def _is_worth_a_snapshot(self, entries: int) -> bool:
        """Whether so many applied entries, or their bytes, are too many. A large state is written anew only after
        several times as much was logged, or what it is itself if that is very much: on the whole snapshots cost no more
        than the log does, however large the state is.
        """
        written = self.journal.bytes_since_rewrite
        if entries < self._timing.snapshot_every and written <= COMPACT_BYTES:
            return False
        state = self.journal.snapshot.size_bytes if self.journal.snapshot is not None else 0
        return state <= SMALL_STATE_BYTES or written >= max(state, min(LOG_PER_STATE * state, COMPACT_BYTES))


_HANDLERS: dict[type[RaftMessage], Callable[..., None]] = {
    PreVote: RaftCore._on_pre_vote,  # noqa: SLF001  (this module's own table)
    PreVoteGranted: RaftCore._on_pre_vote_granted,  # noqa: SLF001
    RequestVote: RaftCore._on_request_vote,  # noqa: SLF001
    Vote: RaftCore._on_vote,  # noqa: SLF001
    HigherTerm: RaftCore._on_higher_term,  # noqa: SLF001
    Append: RaftCore._on_append,  # noqa: SLF001
    Heartbeat: RaftCore._on_heartbeat,  # noqa: SLF001
    Appended: RaftCore._on_appended,  # noqa: SLF001
    Rejected: RaftCore._on_rejected,  # noqa: SLF001
    SnapshotChunk: RaftCore._on_snapshot_chunk,  # noqa: SLF001
    SnapshotReceived: RaftCore._on_snapshot_received,  # noqa: SLF001
    WhoAreYou: RaftCore._on_who_are_you,  # noqa: SLF001
    IAm: RaftCore._on_i_am,  # noqa: SLF001
}
