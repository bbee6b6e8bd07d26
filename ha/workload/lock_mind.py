"""What a holder of locks asks next: decided by its stream of randomness, its clock and what it was answered. Pure.

A lock is a key, and is taken as etcd's own recipes do it: by a transaction that puts the key, with a lease, if it is
not there. Its create revision is the *token* of this holder. The holder is certain of the lock for as long as its
lease must last by its own clock, counted from when it last asked to have it renewed; after that it lets go. What it
does meanwhile is fenced: a transaction that writes only if the lock still has its token.

It gives a lock up in one of three ways: it deletes the key, it revokes the lease, or it does neither and forgets the
lease, like a process that dies. Whatever came to an unknown end is treated as lost, with the lease.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ha.history import Operation
from ha.history.store import (
    Compare,
    Delete,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseRevoke,
    Put,
    Range,
    StoreAnswer,
    StoreRequest,
    Txn,
)
from ha.workload.store_mind import TTL_S
from ha.world import Random

__all__ = ["LockMind"]

_TURNS = (2, 8, 40)
"""How often a holder writes before it gives a lock up: some hold it for longer than a lease lasts unrenewed."""


class LockMind:
    """One client's. `new_value` gives a value that nobody else writes; times are of any steady clock."""

    def __init__(self, locks: Sequence[str], random: Random, new_value: Callable[[], str]) -> None:
        self.kept: int | None = None
        """In the end every lease is left to run out."""
        self.token: int | None = None
        """The create revision of the lock that it holds; None: it holds none."""
        self._locks = locks
        self._random = random
        self._new_value = new_value
        self._lease: int | None = None
        self._renewed_s = 0.0
        self._lock = locks[0]
        self._turns = 0

    def next(self, now_s: float) -> StoreRequest:
        """What to ask now."""
        if self._lease is not None and now_s - self._renewed_s >= TTL_S:
            self._let_go()
        if self._lease is None:
            return LeaseGrant(self._random.getrandbits(62) + 1, TTL_S)
        if now_s - self._renewed_s > TTL_S / 3:
            return LeaseKeepAlive(self._lease)
        if self.token is None:
            self._lock = self._random.choice(self._locks)
            taken = Put(self._lock, self._new_value(), self._lease)
            return Txn([Compare(self._lock, "create", "equal", 0)], [taken], [Range(self._lock)])
        self._turns -= 1
        return self._fenced(self.token) if self._turns > 0 else self._give_up(self.token, self._lease)

    def learn(self, operation: Operation) -> None:
        """Take note of how it went."""
        assert operation.store is not None, "a client of the store asks the store"
        request, answer = operation.store.request, operation.store.answer
        if answer is None:
            if operation.store.refusal == "lease-not-found" or not self._may_go_on(request):
                self._let_go()
            return
        match request:
            case LeaseGrant():
                self._lease, self._renewed_s = request.lease, operation.invoked_s
            case LeaseKeepAlive():
                self._renewed_s = operation.invoked_s
            case LeaseRevoke():
                self._let_go()
            case Txn():
                self._decided(request, answer)

    def _decided(self, request: Txn, answer: StoreAnswer) -> None:
        if not answer.succeeded or isinstance(request.success[0], Delete):
            self.token = None
        elif self.token is None:
            self.token, self._turns = answer.revision, self._random.choice(_TURNS)

    def _may_go_on(self, request: StoreRequest) -> bool:
        """After nothing was answered, or it was refused: a renewal may be asked for again, and a write forgotten."""
        if isinstance(request, Txn):
            return self.token is not None and isinstance(request.success[0], Put)
        return isinstance(request, LeaseKeepAlive)

    def _fenced(self, token: int) -> Txn:
        write = Put(f"{self._lock}/guarded", self._new_value())
        return Txn([Compare(self._lock, "create", "equal", token)], [write], [Range(self._lock)])

    def _give_up(self, token: int, lease: int) -> StoreRequest:
        draw = self._random.random()
        if draw < 0.4:
            return Txn([Compare(self._lock, "create", "equal", token)], [Delete(self._lock)], [Range(self._lock)])
        if draw < 0.7:
            return LeaseRevoke(lease)
        self._let_go()
        return LeaseGrant(self._random.getrandbits(62) + 1, TTL_S)

    def _let_go(self) -> None:
        self._lease = self.token = None
