"""What a member does for its clients, whatever they speak: the v3 API over the replicated state machine.

Reads are linearizable through a read barrier unless they say otherwise; everything that changes something is
one proposal. Requests are checked before they are proposed, so what is in the log is well-formed. A request
that cannot be decided in `request_timeout_s` fails as etcd's does, with an outcome that is unknown.

Errors are raised as `EtcdError`. A member that has been without a leader for two election timeouts says so at
once and definitely, instead of letting its client wait: the client may know a member on the better side of a
partition. Before that it waits for the election, which is about to end.
"""

from __future__ import annotations

from math import inf
from typing import Literal, TypeAlias, TypeVar, cast

import trio

from ha.etcd import txn as transactions
from ha.etcd.api import (
    Answer,
    CompactionRequest,
    DeleteRangeRequest,
    DeleteResult,
    Done,
    Fault,
    LeaseGrantRequest,
    LeaseGrantResult,
    LeaseInfo,
    LeaseRevokeRequest,
    PutRequest,
    PutResult,
    RangeRequest,
    RangeResult,
    TxnRequest,
    TxnResult,
)
from ha.etcd.commands import NOTHING, LeaseExpire, LessorPromote, Request, encode
from ha.etcd.errors import (
    COMPACTED,
    FUTURE_REVISION,
    LEASE_TTL_TOO_LARGE,
    NO_LEADER,
    TIMEOUT,
    TOO_LARGE,
    TOO_MANY_REQUESTS,
    EtcdError,
    error_of,
)
from ha.etcd.leases import MAX_TTL_S
from ha.etcd.lessor import Lessor
from ha.etcd.machine import EtcdMachine
from ha.raft import Engine, NoLeaderError, OverloadedError, RaftError, Status, TooLargeError
from ha.world import Random

__all__ = ["EtcdService", "Reads"]

Reads: TypeAlias = Literal["engine", "log"]
"""How a read is made linearizable: by the engine's barrier, or by a command in the log, as etcd 2 did it."""

_A = TypeVar("_A", bound=Answer)


class EtcdService:
    """The API of one member. `run` counts leases and follows the leadership while the methods are used."""

    def __init__(
        self,
        replica: Engine,
        machine: EtcdMachine,
        *,
        random: Random,
        election_s: float,
        lease_ttl_min_s: int,
        request_timeout_s: float,
        reads: Reads = "engine",
    ) -> None:
        self.machine = machine
        self.lessor = Lessor(machine, clock=trio.current_time, changed=self._poke)
        self.leader_changes = 0
        self.proposals_pending = 0
        self.proposals_failed = 0
        self._replica = replica
        self._random = random
        self._election_s = election_s
        self._lease_ttl_min_s = lease_ttl_min_s
        self._timeout_s = request_timeout_s
        self._reads = reads
        self._last_leader: str | None = None
        self._leaderless_since_s = -inf
        self._poked = trio.Event()
        self._promotion = trio.lowlevel.ParkingLot()

    @property
    def status(self) -> Status:
        """What this member knows of the cluster."""
        return self._replica.status

    @property
    def term(self) -> int:
        """The current term of Raft."""
        return self._replica.term

    @property
    def digests(self) -> list[tuple[int, int]]:
        """Of what this member applied: see `ha.raft.Engine`."""
        return self._replica.digests

    @property
    def revision(self) -> int:
        """The revision of this member's own state."""
        return self.machine.store.revision

    def leaderless_s(self) -> float:
        """For how long this member has known no leader; 0 when it knows one."""
        if self._replica.knows_leader or self._last_leader is not None:  # the latter: lost just now
            return 0.0
        return trio.current_time() - self._leaderless_since_s

    # Keys

    async def range(self, request: RangeRequest) -> RangeResult:
        """Read keys."""
        _refuse(transactions.check_range(request))
        if not request.serializable:
            await self.barrier()
        return _granted(self.machine.store.range(request), RangeResult)

    async def put(self, request: PutRequest) -> PutResult:
        """Set a key."""
        _refuse(transactions.check_put(request))
        return _granted(await self._propose(request), PutResult)

    async def delete_range(self, request: DeleteRangeRequest) -> DeleteResult:
        """Delete keys."""
        _refuse(transactions.check_delete(request))
        return _granted(await self._propose(request), DeleteResult)

    async def txn(self, request: TxnRequest) -> TxnResult:
        """Do a transaction; one that cannot change anything is a read."""
        _refuse(transactions.check_txn(request))
        if not transactions.is_read_only(request):
            return _granted(await self._propose(request), TxnResult)
        if not transactions.is_serializable(request):
            await self.barrier()
        return _granted(transactions.txn(self.machine.store, self.machine.leases, request), TxnResult)

    async def compact(self, request: CompactionRequest) -> Done:
        """Compact the history."""
        return _granted(await self._propose(request), Done)

    def hash_kv(self, revision: int) -> int:
        """CRC of this member's keys at a revision (0: the current one)."""
        if revision > self.revision:
            raise _error(FUTURE_REVISION)
        if 0 < revision < self.machine.store.compact_revision:
            raise _error(COMPACTED)
        return self.machine.store.hash(revision)

    # Leases

    async def lease_grant(self, request: LeaseGrantRequest) -> LeaseGrantResult:
        """Grant a lease, of at least the least TTL that outlasts an election."""
        if request.ttl > MAX_TTL_S:
            raise _error(LEASE_TTL_TOO_LARGE)
        lease = request.id or self._random.getrandbits(62) + 1
        ttl_s = max(request.ttl, self._lease_ttl_min_s)
        return _granted(await self._propose(LeaseGrantRequest(ttl_s, lease)), LeaseGrantResult)

    async def lease_revoke(self, request: LeaseRevokeRequest) -> Done:
        """Revoke a lease."""
        return _granted(await self._propose(request), Done)

    async def lease_keep_alive(self, lease: int) -> int:
        """Renew a lease; its TTL, or 0 when there is no such lease. Only on the leader."""
        await self._confirm_counting()
        return self.lessor.renew(lease) or 0

    async def lease_time_to_live(self, lease: int, *, keys: bool) -> LeaseInfo:
        """What is left of a lease. Only on the leader."""
        await self._confirm_counting()
        remaining_s = self.lessor.remaining_s(lease)
        if remaining_s is None or lease not in self.machine.leases:
            return LeaseInfo(lease, ttl=-1, granted_ttl=0)
        attached = self.machine.leases.keys(lease) if keys else []
        return LeaseInfo(lease, int(remaining_s), self.machine.leases.ttls_s[lease], attached)

    async def leases(self) -> list[int]:
        """All leases, sorted by id."""
        await self.barrier()
        return sorted(self.machine.leases.ttls_s)

    # Consensus

    async def barrier(self) -> None:
        """Wait until this member's state includes everything acknowledged before the call."""
        self._require_leader()
        try:
            if self._reads == "log":
                await self._replica.propose(NOTHING)
            else:
                await self._replica.read_barrier()
        except RaftError as error:
            raise _translated(error) from error

    async def _propose(self, request: Request) -> Answer:
        self._require_leader()
        self.proposals_pending += 1
        try:
            return cast(Answer, await self._replica.propose(encode(request)))
        except RaftError as error:
            self.proposals_failed += 1
            raise _translated(error) from error
        finally:
            self.proposals_pending -= 1

    def _require_leader(self) -> None:
        if self.leaderless_s() > 2 * self._election_s:
            raise _error(NO_LEADER)

    # Life

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the leadership, and count leases while leading, until cancelled."""
        self._notice(self.status)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_leadership)
            nursery.start_soon(self._count_leases)
            task_status.started()

    async def _follow_leadership(self) -> None:
        status = self.status
        while True:
            self._notice(status)
            status = await self._replica.wait_status_change(status)

    def _notice(self, status: Status) -> None:
        if status.leader is None:
            if self._last_leader is not None or self._leaderless_since_s == -inf:
                self._leaderless_since_s = trio.current_time()
        elif status.leader != self._last_leader:
            self.leader_changes += 1
        self._last_leader = status.leader
        if self.lessor.term is not None and not self._leads(self.lessor.term):
            self.lessor.demote()
        self._poke()

    def _leads(self, term: int) -> bool:
        status = self.status
        return status.role == "leader" and status.term == term

    async def _count_leases(self) -> None:
        failed: list[int] = []
        while True:
            term = self.status.term
            taken_over = self.lessor.term == term or not self._leads(term) or await self._take_over(term)
            failed = [lease for lease in (*failed, *self.lessor.expire()) if not await self._expire(lease)]
            again_s = inf if taken_over and not failed else trio.current_time() + self._election_s
            with trio.move_on_at(min(again_s, self.lessor.next_expiry_s)):
                await self._poked.wait()
            self._poked = trio.Event()

    async def _take_over(self, term: int) -> bool:
        """Begin to count, once every member knows that no earlier leader's count matters any more."""
        try:
            await self._propose(LessorPromote(term))
        except EtcdError:
            return False
        if self._leads(term):
            self.lessor.promote(term, extend_s=self._election_s)
        return True

    async def _expire(self, lease: int) -> bool:
        if self.lessor.term is None or not self.lessor.is_expiring(lease):
            return True
        try:
            await self._propose(LeaseExpire(lease, self.lessor.term))
        except EtcdError:
            return False
        return True

    async def _confirm_counting(self) -> None:
        """Wait until this member certainly leads and counts leases. Raises when another one leads: to be repeated."""
        await self.barrier()
        with trio.move_on_after(self._timeout_s):
            while self.lessor.term is None or not self._leads(self.lessor.term):
                if self.status.role != "leader":
                    raise _error(NO_LEADER)
                await self._promotion.park()
            return
        raise _error(TIMEOUT)

    def _poke(self) -> None:
        self._poked.set()
        self._promotion.unpark_all()


def _error(fault: Fault) -> EtcdError:
    return error_of(fault.code, fault.message)


def _refuse(fault: Fault | None) -> None:
    if fault is not None:
        raise _error(fault)


def _granted(answer: Answer, kind: type[_A]) -> _A:
    if isinstance(answer, Fault):
        raise _error(answer)
    assert isinstance(answer, kind), f"the machine answered {answer!r}"
    return answer


def _translated(error: RaftError) -> EtcdError:
    match error:
        case NoLeaderError():
            return _error(NO_LEADER)
        case TooLargeError():
            return _error(TOO_LARGE)
        case OverloadedError():
            return _error(TOO_MANY_REQUESTS)
        case _:
            return _error(TIMEOUT)
