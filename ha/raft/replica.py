"""One member as its process sees it: drives the core with trio, its journal and its peers.

    replica = Replica(host, name="a", peers={...}, machine=machine, heartbeat_s=0.1, election_s=1.0, cluster_token="t")
    await nursery.start(replica.run)
    answer = await replica.propose(b"command")       # on any member
    await replica.read_barrier()                     # then read the machine

A single task, the driver, touches core, journal and state machine; everybody else leaves work for it and waits.
One turn of it: take in what arrived, hand proposals to the leader (ourselves or another), tick, send appends, sync
the journal, send what promises durability. Whatever arrives during the sync makes up the next turn: that is the
group commit. There is no thread and no polling: the driver sleeps until something arrives or the core's next
deadline.

**Exactly once.** A proposal gets an identity (`ha.raft.sessions`), goes to the leader, and is answered when *this*
member applies it. When the leader or the term changes, or the connection to the leader is new, whatever is not
answered is sent again, in order, under the same identity. So a proposal is lost only with its caller.

A learner (`ha.raft.membership`) keeps what is proposed to it until it is a member. It answers reads.

**Reads.** A barrier asks the leader for a read index (`ha.raft.reads`) and waits until this member has applied it.
Barriers that arrive in one turn share a question.

Neither waits for a leader longer than two election timeouts, and then says that nothing was done. Once
there was one, a command or a barrier waits until its caller gives up, over any number of further elections: only
the caller knows for how long it is of use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain
from math import inf
from typing import Protocol

import msgspec
import trio

from ha.raft.binding import CANDIDATE, LEADER
from ha.raft.core import RaftCore, Timing
from ha.raft.errors import NoLeaderError, OutcomeUnknownError, OverloadedError, TooLargeError
from ha.raft.journal import Journal
from ha.raft.leadership import Leadership, Role
from ha.raft.messages import Forward, Message, ReadAnswer, ReadRequest
from ha.raft.sessions import Request, SessionRow, Sessions
from ha.raft.transport import LinkEvent, LinkTiming, PeerTransport
from ha.raft.waiting import Alarm, Waiter, Waits
from ha.world import Address, Host

__all__ = ["MAX_COMMAND_BYTES", "Replica", "StateMachine", "Status"]

MAX_COMMAND_BYTES = 3 << 19
"""1.5 MiB, the limit of etcd."""
MAX_PENDING = 20_000
MAX_INBOX = 4096
FORWARD_BYTES = 1 << 20
_ID_BITS = 62


class StateMachine(Protocol):
    """What is replicated. Deterministic: the same commands in the same order give the same state and answers."""

    def apply(self, index: int, command: bytes) -> object:
        """Apply a command; the answer goes to its proposer. Must not raise: an exception stops the member."""
        ...

    def snapshot(self) -> Iterator[bytes]:
        """The whole state as it is at the call, in parts of some hundred KiB.

        They are asked for one by one, while further commands are applied.
        """
        ...

    def restore(self, parts: Iterator[bytes]) -> None:
        """Replace the whole state by what `snapshot` gave."""
        ...


class Status(msgspec.Struct, frozen=True):
    """What a member knows of the cluster. `leader` is None while it knows of none."""

    member: str
    leader: str | None
    term: int
    commit_index: int
    applied_index: int
    role: Role
    last_log_index: int
    peers_connected: int
    is_learner: bool = False
    """Its disk was empty, and it counts for nothing: the cluster is not founded yet, or has not admitted it."""


class Replica:
    """One member of a replicated state machine. Give it to a nursery (`run`), then propose and read."""

    def __init__(
        self,
        host: Host,
        *,
        name: str,
        peers: Mapping[str, Address],
        machine: StateMachine,
        heartbeat_s: float,
        election_s: float,
        cluster_token: str,
        directory: str = "raft",
        peer_port: int = 2380,
        snapshot_every: int = 10_000,
        request_timeout_s: float = inf,
    ) -> None:
        """`peers` are all members, this one included. `request_timeout_s` is how long callers wait at most. Raises
        ValueError for what cannot work.
        """
        if name not in peers:
            raise ValueError(f"{name!r} is not among the members {sorted(peers)}")
        if not 0 < 3 * heartbeat_s < election_s:
            raise ValueError("the election timeout must exceed three heartbeats")
        self._host, self._name, self._peers, self._machine = host, name, peers, machine
        self._timing = Timing(heartbeat_s, election_s, snapshot_every)
        self._path = f"{directory}/journal"
        self._sessions = Sessions()
        self._core: RaftCore | None = None
        self._leadership = Leadership()
        self._alarm = Alarm()
        self._room = trio.lowlevel.ParkingLot()
        self._compacted = trio.lowlevel.ParkingLot()
        self._waits = Waits(request_timeout_s)
        self._inbox: deque[tuple[str, Message | LinkEvent]] = deque()
        self._next_sequence = 0
        self._incarnation = 0
        """As a learner none: what the log holds of this member is its old disk's, and no answer to anybody here."""
        self._has_answered = False
        self._pending: dict[int, Waiter] = {}
        self._unsent: list[int] = []
        self._new_barriers: list[Waiter] = []
        self._rounds: dict[int, list[Waiter]] = {}
        self._next_round = 0
        self._passing: list[tuple[int, list[Waiter]]] = []
        dead_s = max(1.0, 3 * election_s)
        links = LinkTiming(
            dial_s=max(0.25, election_s),
            ping_s=dead_s / 3,
            dead_s=dead_s,
            backoff_s=max(0.1, election_s / 2),
            flush_s=heartbeat_s,
        )
        self._transport = PeerTransport(
            host, name=name, peers=peers, port=peer_port, token=cluster_token, timing=links, handler=self
        )

    # -- for callers ---------------------------------------------------------------------------------------

    async def propose(self, command: bytes) -> object:
        """Replicate a command, apply it exactly once, and return the machine's answer from this member.

        Raises NoLeaderError, TooLargeError or OverloadedError (definite: nothing was proposed), or
        OutcomeUnknownError, NotInTimeError. Cancelled: the outcome is unknown.
        """
        due_s = self._waits.due_s()
        if len(command) > MAX_COMMAND_BYTES:
            raise TooLargeError(f"a command of {len(command)} bytes, more than {MAX_COMMAND_BYTES}")
        await self._leadership.wait_leader(2 * self._timing.election_s)
        if len(self._pending) >= MAX_PENDING:
            raise OverloadedError(f"{MAX_PENDING} proposals wait already")
        sequence, self._next_sequence = self._next_sequence, self._next_sequence + 1
        waiter = self._pending[sequence] = Waiter(due_s, command)
        self._unsent.append(sequence)
        self._alarm.ring()
        try:
            return await self._waits.wait(waiter)
        finally:
            del self._pending[sequence]

    async def read_barrier(self) -> None:
        """Wait until this member's state includes everything that was acknowledged, anywhere, before the call.

        Raises NoLeaderError, NotInTimeError.
        """
        waiter = Waiter(self._waits.due_s())
        await self._leadership.wait_leader(2 * self._timing.election_s)
        self._new_barriers.append(waiter)
        self._alarm.ring()
        await self._waits.wait(waiter)

    @property
    def status(self) -> Status:
        """What this member knows now."""
        leadership, core = self._leadership, self._core
        return Status(
            member=self._name,
            leader=leadership.leader,
            term=leadership.term,
            commit_index=core.commit_index if core else 0,
            applied_index=core.applied_index if core else 0,
            role=leadership.role,
            last_log_index=core.journal.last_index if core else 0,
            peers_connected=self._transport.connected,
            is_learner=core.is_learner if core else False,
        )

    @property
    def term(self) -> int:
        """The current term."""
        return self._leadership.term

    @property
    def digests(self) -> list[tuple[int, int]]:
        """Of some indexes that were applied here of late, and of the last one, the digest of all up to there."""
        core = self._core
        return [*core.replicated.digests, (core.applied_index, core.replicated.digest)] if core else []

    @property
    def knows_leader(self) -> bool:
        """Whether proposals have somewhere to go."""
        return self._leadership.leader is not None

    async def wait_status_change(self, seen: Status) -> Status:
        """Wait until leader, term or role differ from what was seen."""
        await self._leadership.wait_change(seen.leader, seen.term, seen.role)
        return self.status

    # -- life ----------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Recover from disk, join the cluster, and take part until cancelled. Started when it listens.

        Raises JournalCorruptError, and OSError when the disk fails or the port is taken.
        """
        fresh_id = self._host.random.getrandbits(_ID_BITS)
        journal = await Journal.open(self._host.disk, self._path, fresh_id=fresh_id)
        try:
            self._next_round = self._host.random.getrandbits(_ID_BITS)  # an earlier life's answers may still come
            core = self._core = RaftCore(
                self._name,
                [peer for peer in self._peers if peer != self._name],
                journal=journal,
                machine=_Replicated(self),
                clock=trio.current_time,
                random=self._host.random,
                timing=self._timing,
            )
            if not core.is_learner:
                self._incarnation = journal.incarnation
            self._notice_leadership(core)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._alarm.run)
                nursery.start_soon(self._waits.expire)
                nursery.start_soon(self._rewrite_behind, journal)
                await nursery.start(self._transport.run)
                task_status.started()
                await self._drive(core, journal)
        finally:
            journal.close()
            self._abandon()

    def _abandon(self) -> None:
        """Nobody will answer any more."""
        for waiter in self._pending.values():
            unknown = OutcomeUnknownError("the member stopped before the command was applied here")
            waiter.fail(unknown if waiter.was_sent else NoLeaderError("the member stopped"))
        barriers = [self._new_barriers, *self._rounds.values(), *(waiters for _, waiters in self._passing)]
        for waiter in [waiter for waiters in barriers for waiter in waiters]:
            waiter.fail(NoLeaderError("the member stopped"))
        self._leadership.end()

    async def _drive(self, core: RaftCore, journal: Journal) -> None:
        while True:
            await self._alarm.wait(core.next_deadline())
            self._turn(core)
            if journal.wants_rewriting:
                self._compacted.unpark_all()
            for peer, message in core.outbox.early:
                self._transport.send(peer, message)
            core.outbox.early.clear()
            if journal.is_dirty:
                await self._transport.flush()  # before: a sync may hold up the whole process
                await journal.sync()
            elif self._has_answered:
                await trio.lowlevel.checkpoint()  # callers first; the others are only told how far the log is committed
            for peer, message in core.outbox.held:
                self._transport.send(peer, message)
            core.outbox.held.clear()
            await self._transport.flush()

    async def _rewrite_behind(self, journal: Journal) -> None:
        """Write the journal anew when it was compacted, while the driver goes on with the old file."""
        while True:
            await self._compacted.park()
            await journal.rewrite()
            self._alarm.ring()

    # -- one turn ------------------------------------------------------------------------------------------

    def _turn(self, core: RaftCore) -> None:
        self._has_answered = False
        while self._inbox:
            self._take(core, *self._inbox.popleft())
        self._room.unpark_all()
        self._route(core)
        self._ask_for_reads(core)
        core.tick()
        if not core.is_learner and self._is_nobody():
            self._begin_anew(core)
        for token, index in core.take_reads():
            self._on_read_index(token, index)
        self._pass_barriers(core.applied_index)
        if self._notice_leadership(core):
            self._send_again()

    def _take(self, core: RaftCore, peer: str, message: Message | LinkEvent) -> None:
        if isinstance(message, LinkEvent):
            self._notice_link(core, peer, message)
        elif isinstance(message, Forward):
            if core.is_leader:
                for request in message.requests:
                    core.propose(request)
        elif isinstance(message, ReadRequest):
            core.read_barrier((peer, message.id))
        elif isinstance(message, ReadAnswer):
            self._on_read_index(message.id, message.index)
        else:
            core.receive(peer, message)

    def _notice_link(self, core: RaftCore, peer: str, event: LinkEvent) -> None:
        is_leader = core.leader == peer
        if event is LinkEvent.CONNECTED:
            core.peer_connected(peer)
            if is_leader:
                self._send_again()
        elif event is LinkEvent.DISCONNECTED:
            core.peer_disconnected(peer)
        elif event is LinkEvent.DIED:
            core.peer_died(peer)
        elif is_leader:
            self._ask_again()

    def _notice_leadership(self, core: RaftCore) -> bool:
        role: Role = "leader" if core.role == LEADER else "candidate" if core.role == CANDIDATE else "follower"
        return self._leadership.notice(core.leader, core.term, role)

    def _send_again(self) -> None:
        """The leader is another one, or may have lost what was sent to it."""
        self._unsent = list(self._pending)
        self._ask_again()
        if self._unsent:
            self._alarm.ring()

    def _ask_again(self) -> None:
        """Nobody may know any more of the read indexes that were asked for."""
        unanswered = [waiter for waiters in self._rounds.values() for waiter in waiters]
        self._rounds.clear()
        self._new_barriers = unanswered + self._new_barriers
        if self._new_barriers:
            self._alarm.ring()

    # -- proposals -----------------------------------------------------------------------------------------

    def _route(self, core: RaftCore) -> None:
        """Give what was not sent yet to the leader."""
        leader = core.leader
        if not self._unsent or leader is None or self._is_nobody():
            return
        floor = next(iter(self._pending), self._next_sequence)
        requests: list[bytes] = []
        for sequence in self._unsent:
            waiter = self._pending.get(sequence)
            if waiter is not None and not waiter.is_over:
                waiter.was_sent = True
                requests.append(_encode(Request(self._name, self._incarnation, sequence, floor, waiter.command)))
        self._unsent = []
        if leader == self._name:
            for request in requests:
                core.propose(request)
        else:
            self._forward(leader, requests)

    def _is_nobody(self) -> bool:
        """Whether the log drops what is proposed as who this is: a learner, or a founder that was admitted as well."""
        return not self._incarnation or self._incarnation < self._sessions.incarnation(self._name)

    def _begin_anew(self, core: RaftCore) -> None:
        """Propose as nobody did before what has not passed yet, and will not: all that is not answered."""
        self._incarnation = max(core.journal.incarnation, self._sessions.incarnation(self._name) + 1)
        core.journal.set_incarnation(self._incarnation)
        self._host.log("member", disk=core.journal.disk_id, founded=bool(core.journal.founders))
        self._send_again()

    def _forward(self, leader: str, requests: list[bytes]) -> None:
        batch: list[bytes] = []
        size = 0
        for request in requests:
            batch.append(request)
            size += len(request)
            if size >= FORWARD_BYTES:
                self._transport.send(leader, Forward(batch))
                batch, size = [], 0
        if batch:
            self._transport.send(leader, Forward(batch))

    def apply_request(self, index: int, data: bytes) -> None:
        """Apply a request of the log unless it was applied before; answer it if it is ours."""
        request = _decode_request(data)
        if not self._sessions.admit(request):
            return
        answer = self._machine.apply(index, request.command)
        if request.member == self._name and request.incarnation == self._incarnation:
            waiter = self._pending.get(request.sequence)
            if waiter is not None:
                waiter.finish(answer)
                self._has_answered = True

    def admit(self, member: str) -> None:
        """A member begins anew on an empty disk."""
        self._sessions.begin_anew(member)

    def take_snapshot(self) -> Iterator[bytes]:
        """The replicated state: the sessions', then the machine's."""
        return chain([_encode(self._sessions.rows())], self._machine.snapshot())

    def restore_snapshot(self, parts: Iterator[bytes]) -> None:
        """Replace the replicated state. What it applied of ours was applied elsewhere: the answers are lost."""
        self._sessions.restore(_decode_sessions(next(parts)))
        self._machine.restore(parts)
        for sequence, waiter in self._pending.items():
            has_applied = self._sessions.has_applied(self._name, self._incarnation, sequence)
            if has_applied or (waiter.was_sent and self._is_nobody()):
                waiter.fail(OutcomeUnknownError("the command was applied, but its answer is lost in a snapshot"))

    # -- reads ---------------------------------------------------------------------------------------------

    def _ask_for_reads(self, core: RaftCore) -> None:
        leader = core.leader
        if not self._new_barriers or leader is None:
            return
        self._next_round += 1
        self._rounds[self._next_round], self._new_barriers = self._new_barriers, []
        if leader == self._name:
            core.read_barrier(self._next_round)
        else:
            self._transport.send(leader, ReadRequest(self._next_round))

    def _on_read_index(self, token: object, index: int | None) -> None:
        """A read index for a round of ours (an int), or for one of a peer (its name and the round)."""
        if isinstance(token, tuple):
            if index is not None:
                self._transport.send(token[0], ReadAnswer(token[1], index))
        elif isinstance(token, int) and index is not None:
            waiters = self._rounds.pop(token, None)
            if waiters:
                self._passing.append((index, waiters))

    def _pass_barriers(self, applied_index: int) -> None:
        if self._passing:
            for index, waiters in self._passing:
                if index <= applied_index:
                    for waiter in waiters:
                        waiter.finish()
            self._passing = [(index, waiters) for index, waiters in self._passing if index > applied_index]

    # -- what the transport tells --------------------------------------------------------------------------

    def on_message(self, peer: str, message: Message) -> None:
        """A message arrived."""
        self._inbox.append((peer, message))
        self._alarm.ring()

    def on_event(self, peer: str, event: LinkEvent) -> None:
        """A connection began or ended. Taken in after the messages that came before it, and not amid a turn."""
        self._inbox.append((peer, event))
        self._alarm.ring()

    def has_room(self) -> bool:
        """Whether the driver keeps up."""
        return len(self._inbox) < MAX_INBOX

    async def wait_room(self) -> None:
        """Wait for the driver."""
        while not self.has_room():
            await self._room.park()


class _Replicated:
    """The replica's state as its core sees it: sessions and machine together."""

    def __init__(self, replica: Replica) -> None:
        self.apply = replica.apply_request
        self.admit = replica.admit
        self.snapshot = replica.take_snapshot
        self.restore = replica.restore_snapshot


_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(Request).decode
_decode_sessions = msgspec.msgpack.Decoder(list[SessionRow]).decode
