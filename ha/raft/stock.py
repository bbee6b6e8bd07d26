"""PySyncObj 0.3.17 as it is, behind the interface of `ha.raft.Replica`: the testbed's first exhibit.

The class `pysyncobj.SyncObj` itself consents here, not a subclass; no method of it is replaced. What is ours is where
it touches the machine (`ha.raft.stock_seams`, `ha.raft.stock_files`, `ha.raft.stock_transport`) and who calls
``doTick``: a task instead of a thread. What it gets wrong is listed in `ha.raft.core`, where it is put right; the
checkers must find it.

**Configuration.** As one would run it who wants durability: with a journal and a dump on disk (by default PySyncObj
keeps both in memory). Periods are the library's defaults in proportion to the heartbeat, and exactly those at a
heartbeat of 100 ms: ``connectionTimeout`` 3.5 s, ``connectionRetryTime`` 5 s, ``leaderFallbackTimeout`` 30 s,
``autoTickPeriod`` 50 ms. Election timeouts are the cluster's (one to two times `election_s`), and the log is
compacted after `snapshot_every` entries (the library: 5,000) or 300 s. A dump is written in the tick (``useFork``
off): a simulated process cannot fork. All else is the default, batches of 64 KiB and their 100 ms among it.

**Commands** are one replicated method that takes bytes. A follower forwards them; the callback on the member that
was asked says what became of them. Nothing is sent again, since PySyncObj does not.

**Reads** are local. PySyncObj has no read index: `read_barrier` waits for a leader to be known and promises nothing.
So reads are stale by design, on followers always and on a deposed leader for 30 s. A checker that looks at reads
convicts it of that without any fault. Who is after the graver charge, a lost write, sets ``reads: log`` in the
topology: then a read waits for a command of its own, the only means that PySyncObj leaves to those who use it.

**Exceptions.** PySyncObj's thread logs what a tick raises, waits a period, and goes on; so does the driver here. A
full disk kills the process, as SIGBUS does when a memory map cannot grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import trio
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, SyncObjConsumer, replicated

from ha.raft.binding import CANDIDATE, LEADER, Peer
from ha.raft.errors import NoLeaderError, NotInTimeError, OutcomeUnknownError, OverloadedError, RaftError, TooLargeError
from ha.raft.leadership import Leadership, Role
from ha.raft.replica import MAX_COMMAND_BYTES, StateMachine, Status
from ha.raft.snapshots import pack, unpack
from ha.raft.stock_files import BusError, Files
from ha.raft.stock_seams import Clock, Seams
from ha.raft.stock_transport import StockTransport
from ha.world import Address, Host

__all__ = ["StockReplica"]

DEFAULT_HEARTBEAT_S = 0.1
_ERRORS: dict[int, tuple[type[RaftError], str]] = {
    FAIL_REASON.QUEUE_FULL: (OverloadedError, "the queue of commands is full"),
    FAIL_REASON.MISSING_LEADER: (NoLeaderError, "there is no leader"),
    FAIL_REASON.DISCARDED: (NoLeaderError, "another leader's command took its place in the log"),
    FAIL_REASON.NOT_LEADER: (NoLeaderError, "the member that it was forwarded to does not lead"),
    FAIL_REASON.LEADER_CHANGED: (OutcomeUnknownError, "the leader changed before it answered"),
    FAIL_REASON.REQUEST_DENIED: (NoLeaderError, "the request was denied"),
    FAIL_REASON.UNKNOWN_OUTCOME: (OutcomeUnknownError, "the log went past it before the leader answered"),
}


class _State(SyncObjConsumer):  # type: ignore[misc]  # PySyncObj is untyped
    """The state machine as an object that PySyncObj replicates."""

    def __init__(self, machine: StateMachine) -> None:
        super().__init__()
        self._machine = machine

    @replicated  # type: ignore[untyped-decorator]
    def execute(self, command: bytes) -> object:
        """Apply a command on every member."""
        return self._machine.apply(self._syncObj.raftLastApplied + 1, command)

    def _serialize(self) -> bytes:
        return b"".join(pack(self._machine.snapshot()))

    def _deserialize(self, data: bytes) -> None:
        self._machine.restore(unpack(data))


class _Poller:
    """PySyncObj's chance to wait for its sockets: what arrived is handed over, and waiting is the driver's."""

    def __init__(self, transport: StockTransport) -> None:
        self._transport = transport
        self.found_something = False

    def poll(self, _timeout: float) -> None:
        self.found_something = self._transport.deliver()


class _Waiter:
    """A caller that waits for its command's callback."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: object = None
        self.error: RaftError | None = None

    def call_back(self, answer: object, reason: int) -> None:
        self.answer = answer
        if reason != FAIL_REASON.SUCCESS:
            error, message = _ERRORS[reason]
            self.error = error(message)
        self.done.set()


class StockReplica:
    """One member. Give it to a nursery (`run`), then propose and read. See `ha.raft.Replica` for the interface."""

    def __init__(
        self,
        host: Host,
        *,
        name: str,
        peers: Mapping[str, Address],
        machine: StateMachine,
        heartbeat_s: float,
        election_s: float,
        cluster_token: str,  # noqa: ARG002  (PySyncObj's members do not prove who they are)
        directory: str = "raft",
        peer_port: int = 2380,  # noqa: ARG002  (stands in `peers` as well)
        snapshot_every: int = 10_000,
        request_timeout_s: float = inf,
    ) -> None:
        """`peers` are all members, this one included. Raises ValueError for what cannot work."""
        if name not in peers:
            raise ValueError(f"{name!r} is not among the members {sorted(peers)}")
        if not 0 < 3 * heartbeat_s < election_s:
            raise ValueError("the election timeout must exceed three heartbeats")
        self._host, self._name, self._peers = host, name, peers
        self._election_s = election_s
        self._timeout_s = request_timeout_s
        self._files = Files(host.disk)
        self._conf = _conf(self._files, directory, heartbeat_s, election_s, snapshot_every)
        self._state = _State(machine)
        self._core: SyncObj | None = None
        self._leadership = Leadership()
        self._wake = trio.Event()
        self._waiters: dict[_Waiter, None] = {}
        self._transport: StockTransport | None = None

    # -- for callers ---------------------------------------------------------------------------------------

    async def propose(self, command: bytes) -> object:
        """Replicate a command, and return the machine's answer from this member.

        Raises NoLeaderError, TooLargeError or OverloadedError (definite: it will not be applied), or
        OutcomeUnknownError, NotInTimeError. Cancelled: the outcome is unknown. PySyncObj may never call back.
        """
        if len(command) > MAX_COMMAND_BYTES:
            raise TooLargeError(f"a command of {len(command)} bytes, more than {MAX_COMMAND_BYTES}")
        waiter = _Waiter()
        with trio.move_on_after(self._timeout_s) as limit:
            await self._leadership.wait_leader(2 * self._election_s)
            self._waiters[waiter] = None
            try:
                self._state.execute(command, callback=waiter.call_back)
                await waiter.done.wait()
            finally:
                del self._waiters[waiter]
        if limit.cancelled_caught:
            raise NotInTimeError("PySyncObj did not call back in time")
        if waiter.error is not None:
            raise waiter.error
        return waiter.answer

    async def read_barrier(self) -> None:
        """Wait until a leader is known, which is all that PySyncObj offers. Raises NoLeaderError."""
        await self._leadership.wait_leader(2 * self._election_s)
        await trio.lowlevel.checkpoint()

    @property
    def status(self) -> Status:
        """What this member knows now."""
        leadership, core, transport = self._leadership, self._core, self._transport
        return Status(
            member=self._name,
            leader=leadership.leader,
            term=leadership.term,
            commit_index=core.raftCommitIndex if core else 0,
            applied_index=core.raftLastApplied if core else 0,
            role=leadership.role,
            last_log_index=core._SyncObj__raftLog[-1][1] if core else 0,  # noqa: SLF001  (pinned version)
            peers_connected=transport.connected if transport else 0,
        )

    @property
    def term(self) -> int:
        """The current term."""
        return self._leadership.term

    @property
    def digests(self) -> list[tuple[int, int]]:
        """None: stock PySyncObj shows nobody what it applied."""
        return []

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

        Raises OSError when the port is taken, BusError when the disk is full.
        """
        clock = Clock()
        seams = Seams(self._host, clock)
        transport = self._transport = StockTransport(
            self._host, name=self._name, peers=self._peers, conf=self._conf, clock=clock, wake=self._wake_up
        )
        others = list(transport.nodes.values())
        with seams:
            core = self._core = SyncObj(
                Peer(self._name), others, self._conf, consumers=[self._state], nodeClass=Peer, transport=transport
            )
        core._poller = poller = _Poller(transport)  # noqa: SLF001  (pinned version)
        core.addOnTickCallback(transport.on_tick)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(transport.run)
                task_status.started()
                await self._drive(core, seams, clock, poller)
        finally:
            core._SyncObj__raftLog._destroy()  # noqa: SLF001
            self._files.close()
            self._abandon()

    async def _drive(self, core: SyncObj, seams: Seams, clock: Clock, poller: _Poller) -> None:
        while True:
            self._wake = trio.Event()
            poller.found_something = False
            try:
                with seams:
                    core.doTick(0)
            except BusError:
                raise
            except Exception as error:  # noqa: BLE001  (PySyncObj's own loop does just that)
                self._host.log("failed _onTick", error=repr(error))
            self._notice_leadership(core)
            await trio.sleep_until(clock.latest)
            if not poller.found_something:
                with trio.move_on_after(self._conf.autoTickPeriod):
                    await self._wake.wait()

    def _wake_up(self) -> None:
        self._wake.set()

    def _notice_leadership(self, core: SyncObj) -> None:
        state, leader = core._SyncObj__raftState, core._getLeader()  # noqa: SLF001  (pinned version)
        role: Role = "leader" if state == LEADER else "candidate" if state == CANDIDATE else "follower"
        self._leadership.notice(None if leader is None else str(leader.id), core.raftCurrentTerm, role)

    def _abandon(self) -> None:
        """Nobody will call back any more."""
        self._leadership.end()
        for waiter in self._waiters:
            waiter.error = OutcomeUnknownError("the member stopped before the command was applied here")
            waiter.done.set()


def _conf(files: Files, directory: str, heartbeat_s: float, election_s: float, snapshot_every: int) -> SyncObjConf:
    defaults = SyncObjConf()
    scale = heartbeat_s / DEFAULT_HEARTBEAT_S
    return SyncObjConf(
        autoTick=False,
        autoTickPeriod=defaults.autoTickPeriod * scale,
        appendEntriesPeriod=heartbeat_s,
        raftMinTimeout=election_s,
        raftMaxTimeout=2 * election_s,
        connectionTimeout=max(defaults.connectionTimeout * scale, 2 * election_s),
        connectionRetryTime=defaults.connectionRetryTime * scale,
        leaderFallbackTimeout=defaults.leaderFallbackTimeout * scale,
        logCompactionMinEntries=snapshot_every,
        journalFile=files.path(f"{directory}/journal"),
        fullDumpFile=files.path(f"{directory}/dump"),
        useFork=False,
    )
