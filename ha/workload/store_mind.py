"""What a client of the store asks next: decided by its stream of randomness and by what it was answered. Pure.

It remembers the last revisions that it heard of, what it last saw of each key, and its leases. So transactions
compare what is often still true, old revisions are read that exist, and what a compaction promises is asked for
at once: the compacted revision can be read, the one before cannot, and the same compaction is refused.

One lease is kept: renewed at a third of its time whenever the client has its turn. The others get a key and are
left to run out, or are revoked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from ha.history import Operation
from ha.history.store import (
    Compact,
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
    TxnOp,
)
from ha.world import Random

__all__ = ["TTL_S", "StoreMind", "everything"]

TTL_S = 3
"""Of every lease: whole seconds, and more than the least that members grant with the timings of upstream."""
_REMEMBERED = 16

_ABSENT = (0, "")


def everything(workload: str) -> Range:
    """All keys of a workload: ``[name/, name0)``, since 0 follows the slash."""
    return Range(f"{workload}/", f"{workload}0")


class StoreMind:
    """One client's. `new_value` gives a value that nobody else writes; `now_s` is any steady clock."""

    def __init__(
        self, workload: str, number: int, keys: Sequence[str], random: Random, new_value: Callable[[], str]
    ) -> None:
        self.kept: int | None = None
        """The lease that is renewed."""
        self._workload = workload
        self._number = number
        self._keys = keys
        self._random = random
        self._new_value = new_value
        self._todo: deque[StoreRequest] = deque()
        self._revisions: deque[int] = deque([1], maxlen=_REMEMBERED)
        self._known: dict[str, tuple[int, str]] = {}
        self._to_keep: int | None = None
        self._renewed_s = 0.0
        self._leases = 0
        self._acts: dict[Callable[[], StoreRequest], int] = {
            self._put: 22,
            self._delete: 8,
            self._txn: 22,
            self._read: 16,
            self._stale_read: 8,
            self._old_read: 12,
            self._compact: 2,
            self._lease: 10,
        }

    def next(self, now_s: float) -> StoreRequest:
        """What to ask now."""
        if self.kept is not None and now_s - self._renewed_s > TTL_S / 3:
            return LeaseKeepAlive(self.kept)
        if self._todo:
            return self._todo.popleft()
        return self._random.choices(list(self._acts), list(self._acts.values()))[0]()

    def learn(self, operation: Operation) -> None:
        """Take note of how it went."""
        assert operation.store is not None, "a client of the store asks the store"
        request, answer = operation.store.request, operation.store.answer
        if operation.store.refusal == "lease-not-found" and isinstance(request, LeaseKeepAlive):
            self.kept = None
        if answer is None:
            return
        if answer.revision:
            self._revisions.append(answer.revision)
        match request:
            case Range(revision=0, serializable=False) | Put() | Delete():
                self._see(request, answer, answer.revision)
            case Txn():
                ops = request.success if answer.succeeded else request.failure
                for op, response in zip(ops, answer.responses, strict=False):
                    self._see(op, response, answer.revision)
            case Compact():
                whole = everything(self._workload)
                at = (request.revision, request.revision - 1)
                self._todo += [*(Range(whole.key, whole.range_end, revision) for revision in at), request]
            case LeaseGrant():
                self._granted(request.lease, operation.invoked_s)
            case LeaseKeepAlive():
                self._renewed_s = operation.invoked_s

    def _see(self, request: TxnOp, answer: StoreAnswer, revision: int) -> None:
        match request:
            case Range():
                self._forget(request)
                self._known |= {kv.key: (kv.mod_revision, kv.value) for kv in answer.kvs}
            case Put():
                self._known[request.key] = (revision, request.value)
            case Delete():
                self._forget(request)

    def _forget(self, request: Range | Delete) -> None:
        for key in self._keys:
            if key == request.key or request.key <= key < request.range_end:
                self._known[key] = _ABSENT

    def _granted(self, lease: int, now_s: float) -> None:
        self._leases += 1
        key = f"{self._workload}/leased-{self._number}-{self._leases}"
        self._todo.append(Put(key, self._new_value(), lease))
        if lease == self._to_keep:
            self.kept, self._to_keep, self._renewed_s = lease, None, now_s
        elif self._random.random() < 0.5:
            self._todo.append(LeaseRevoke(lease))

    # What there is to ask

    def _put(self) -> StoreRequest:
        return Put(self._random.choice(self._keys), self._new_value(), prev_kv=self._random.random() < 0.5)

    def _delete(self) -> StoreRequest:
        first, second = self._two()
        if second is None or self._random.random() < 0.7:
            return Delete(first, prev_kv=True)
        return Delete(min(first, second), max(first, second), prev_kv=True)

    def _read(self) -> StoreRequest:
        if self._random.random() < 0.5:
            return Range(self._random.choice(self._keys))
        return everything(self._workload)

    def _stale_read(self) -> StoreRequest:
        whole = everything(self._workload)
        return Range(whole.key, whole.range_end, serializable=True)

    def _old_read(self) -> StoreRequest:
        whole, serializable = everything(self._workload), self._random.random() < 0.3
        return Range(whole.key, whole.range_end, self._random.choice(self._revisions), serializable)

    def _compact(self) -> StoreRequest:
        return Compact(self._revisions[0]) if len(self._revisions) == _REMEMBERED else self._read()

    def _lease(self) -> StoreRequest:
        lease = self._random.getrandbits(62) + 1
        if self.kept is None:
            self._to_keep = lease
        return LeaseGrant(lease, TTL_S)

    def _txn(self) -> StoreRequest:
        first, second = self._two()
        success: list[TxnOp] = [Put(first, self._new_value(), prev_kv=True)]
        failure: list[TxnOp] = [Range(first)]
        if second is not None:
            others: list[TxnOp] = [Put(second, self._new_value()), Delete(second, prev_kv=True), Range(second)]
            success.append(self._random.choice(others))
            others = [Put(second, self._new_value()), Range(second)]
            failure.append(self._random.choice(others))
        return Txn([self._condition(first)], success, failure)

    def _condition(self, key: str) -> Compare:
        mod, value = self._known.get(key, _ABSENT)
        conditions = [
            Compare(key, "mod", "equal", mod),
            Compare(key, "mod", "less", self._random.choice(self._revisions) + 1),
            Compare(key, "version", "greater", self._random.randrange(4)),
            Compare(key, "create", "not_equal", 0),
            Compare(key, "value", "equal", value),
        ]
        return self._random.choice(conditions)

    def _two(self) -> tuple[str, str | None]:
        if len(self._keys) == 1:
            return self._keys[0], None
        first, second = self._random.sample(self._keys, 2)
        return first, second
