"""Bugs in consensus: votes, the log, its durability, reads, sessions."""
# ruff: noqa: SLF001  (a bug is planted inside)

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import trio

from ha.mutants import Patch, mutant
from ha.raft import core, snapshots
from ha.raft.binding import Peer, StockRaft
from ha.raft.core import RaftCore
from ha.raft.elections import Elections
from ha.raft.journal import Journal
from ha.raft.messages import Append, PreVote, PreVoteGranted, RequestVote, SnapshotChunk
from ha.raft.records import encode_batch
from ha.raft.replica import Replica
from ha.raft.sessions import Request, Sessions

__all__: list[str] = []

_FAR = 1 << 60
_LATER_S = 0.2


@mutant("vote-twice", "raft", "a member votes for everybody who asks in a term, and helps to depose a living leader")
def _vote_twice() -> Sequence[Patch]:
    right = StockRaft.consider_vote

    def consider_vote(self: StockRaft, node: Peer, message: RequestVote) -> None:
        self._SyncObj__votedForNodeId = self.journal.vote = None
        right(self, node, message)

    def is_loyal(_self: Elections) -> bool:
        return False

    return [(StockRaft, "consider_vote", consider_vote), (Elections, "_is_loyal", is_loyal)]


@mutant("forget-vote", "raft", "after a restart a member knows neither its term nor its vote, and votes again")
def _forget_vote() -> Sequence[Patch]:
    right = RaftCore.__init__

    def init(self: RaftCore, *args: object, **kwargs: object) -> None:
        right(self, *args, **kwargs)  # type: ignore[arg-type]
        self.journal.vote = None
        self._SyncObj__raftCurrentTerm = self.journal.term = 0

    return [(RaftCore, "__init__", init)]


@mutant("skip-fsync", "raft", "what is appended to the journal is written, and not synced, before it is acknowledged")
def _skip_fsync() -> Sequence[Patch]:
    right = Journal.sync

    async def sync(self: Journal) -> None:
        if self._must_rewrite or self._is_next_written:
            await right(self)
        elif self._unsynced:
            assert self._file is not None
            batch = encode_batch(b"".join(self._unsynced), self._end)
            self._unsynced.clear()
            self._file.append(batch)
            self._end += len(batch)
            await trio.lowlevel.checkpoint()

    return [(Journal, "sync", sync)]


@mutant(
    "acknowledge-before-sync", "raft", "acknowledgements and votes leave at once; what they promise is synced later"
)
def _acknowledge_before_sync() -> Sequence[Patch]:
    async def drive(self: Replica, raft: RaftCore, log: Journal) -> None:
        synced_s = trio.current_time()
        while True:
            await self._alarm.wait(min(raft.next_deadline(), synced_s + _LATER_S if log.is_dirty else inf))
            self._turn(raft)
            for peer, message in (*raft.outbox.early, *raft.outbox.held):
                self._transport.send(peer, message)
            raft.outbox.early.clear()
            raft.outbox.held.clear()
            await self._transport.flush()
            if log.is_dirty and trio.current_time() >= synced_s + _LATER_S:
                await log.sync()
                synced_s = trio.current_time()

    return [(Replica, "_drive", drive)]


@mutant("torn-tail-kept", "raft", "a torn end of the journal is left there, and hides what follows")
def _torn_tail_kept() -> Sequence[Patch]:
    right = Journal._recover

    def recover(self: Journal, data: bytes) -> None:
        right(self, data)
        if self._file is not None and self._file.size_bytes < len(data):
            self._file.append(data[self._end :])  # back, as if it had not been cut

    return [(Journal, "_recover", recover)]


@mutant("quorum-of-half", "raft", "half of the members, rounded down, are enough to commit")
def _quorum_of_half() -> Sequence[Patch]:
    right = RaftCore.tick

    def tick(self: RaftCore) -> None:
        right(self)
        if self.is_leader:
            held = sorted([self.journal.last_index, *(self.match_index(peer) for peer in self.peers.values())])
            reached = held[(len(held) + 1) // 2]
            if reached > self.commit_index and self.journal.term_at(reached) == self.term:
                self.commit_to(reached)

    return [(RaftCore, "tick", tick)]


@mutant("commit-older-term", "raft", "a follower commits what its log holds of older terms, before it was compared")
def _commit_older_term() -> Sequence[Patch]:
    right = RaftCore._on_append

    def on_append(self: RaftCore, node: Peer, message: Append) -> None:
        if message.term >= self.term:
            self.commit_to(min(message.commit_index, self.journal.last_index))
        right(self, node, message)

    return [(core._HANDLERS, Append, on_append)]  # type: ignore[list-item]


@mutant("stale-log-elected", "raft", "votes and pre-votes go to candidates whose log is behind")
def _stale_log_elected() -> Sequence[Patch]:
    right = StockRaft.consider_vote

    def consider_vote(self: StockRaft, node: Peer, message: RequestVote) -> None:
        right(self, node, RequestVote(message.term, _FAR, _FAR))

    def on_pre_vote(self: RaftCore, node: Peer, message: PreVote) -> None:
        if not self._is_loyal() and message.term > self.term:
            self._hold(node, PreVoteGranted(message.term, message.round))

    return [(StockRaft, "consider_vote", consider_vote), (core._HANDLERS, PreVote, on_pre_vote)]  # type: ignore[list-item]


@mutant("truncate-acknowledged", "raft", "after a restart what follows the snapshot is cut off, acknowledged or not")
def _truncate_acknowledged() -> Sequence[Patch]:
    right = Journal._recover

    def recover(self: Journal, data: bytes) -> None:
        right(self, data)
        kept = max(self.first_index, self.snapshot.index if self.snapshot else 0)
        if self.last_index > kept:
            self.truncate(kept + 1)

    return [(Journal, "_recover", recover)]


@mutant(
    "snapshot-raises-commit",
    "raft",
    "a piece of a snapshot commits what was never compared, and snapshots come in small pieces",
)
def _snapshot_raises_commit() -> Sequence[Patch]:
    right = RaftCore._on_snapshot_chunk

    def on_snapshot_chunk(self: RaftCore, node: Peer, chunk: SnapshotChunk) -> None:
        if chunk.term >= self.term:
            self.commit_to(min(chunk.index, self.journal.last_index))
        right(self, node, chunk)

    return [(core._HANDLERS, SnapshotChunk, on_snapshot_chunk), (snapshots, "CHUNK_BYTES", 256)]  # type: ignore[list-item]


@mutant("stale-read", "raft", "a member that knows of a leader reads what it has, without asking for a read index")
def _stale_read() -> Sequence[Patch]:
    async def read_barrier(self: Replica) -> None:
        await self._leadership.wait_leader(2 * self._timing.election_s)

    return [(Replica, "read_barrier", read_barrier)]


@mutant("read-index-reused", "raft", "a read that must be asked for again takes what is known as committed")
def _read_index_reused() -> Sequence[Patch]:
    right = Replica._ask_again

    def ask_again(self: Replica) -> None:
        waiting = [waiter for waiters in self._rounds.values() for waiter in waiters]
        if self._core is not None and waiting:
            self._rounds.clear()
            self._passing.append((self._core.commit_index, waiting))
        right(self)

    return [(Replica, "_ask_again", ask_again)]


@mutant("apply-twice", "raft", "a proposal that is sent again after a change of leadership is applied again")
def _apply_twice() -> Sequence[Patch]:
    def admit(_self: Sessions, _request: Request) -> bool:
        return True

    return [(Sessions, "admit", admit)]


@mutant(
    "incarnation-not-counted", "raft", "what a member proposes after a restart is taken for what it proposed before"
)
def _incarnation_not_counted() -> Sequence[Patch]:
    def set_incarnation(_self: Journal, _incarnation: int) -> None:
        pass

    return [(Journal, "set_incarnation", set_incarnation)]
