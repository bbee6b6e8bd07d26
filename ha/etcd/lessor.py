"""Counting the time of leases, on the leader only.

The replicated state knows which leases exist, not how long they still last: clocks do not agree. So the
leader counts, and proposes the revocation of what ran out. A new leader cannot know when a lease was last
renewed; it gives each its whole TTL again, plus an election timeout for the time in which nobody counted.
A lease therefore lives at least as long as its holder was promised, and longer over a change of leaders.

Sans-IO but for an injected clock (seconds, monotonic). Expiries are kept in a heap with lazy deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf

from ha.etcd.machine import EtcdMachine, Observer

__all__ = ["Lessor"]


class Lessor(Observer):
    """Expiry of leases while this member leads. `changed` is called when the next expiry may be earlier."""

    def __init__(self, machine: EtcdMachine, *, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        self.term: int | None = None
        """The term in which this member counts; None: another one does."""
        self._machine = machine
        self._clock = clock
        self._changed = changed
        self._expiry_s: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []
        self._expiring: set[int] = set()
        machine.observers.append(self)

    def promote(self, term: int, *, extend_s: float) -> None:
        """Begin to count, as the leader of `term`: every lease gets its whole TTL and `extend_s`."""
        start_s = self._clock() + extend_s
        self.term = term
        self._expiring.clear()
        self._expiry_s = {lease: start_s + ttl_s for lease, ttl_s in self._machine.leases.ttls_s.items()}
        self._heap = [(at_s, lease) for lease, at_s in self._expiry_s.items()]
        heapify(self._heap)
        self._changed()

    def demote(self) -> None:
        """Cease to count."""
        self.term = None
        self._expiry_s.clear()
        self._heap.clear()
        self._expiring.clear()

    def renew(self, lease: int) -> int | None:
        """Give a lease its whole TTL again and return it. None: there is no such lease, or it just ran out."""
        assert self.term is not None, "only the leader renews"
        if self._expiry_s.get(lease, -inf) <= self._clock():
            return None
        ttl_s = self._machine.leases.ttls_s[lease]
        self._set(lease, self._clock() + ttl_s)
        return ttl_s

    def remaining_s(self, lease: int) -> float | None:
        """How long a lease still lasts, not below 0; None when there is no such lease."""
        at_s = self._expiry_s.get(lease)
        return None if at_s is None else max(at_s - self._clock(), 0.0)

    @property
    def next_expiry_s(self) -> float:
        """When the next lease runs out, by the clock; `inf` when none will."""
        while self._heap and self._is_stale(*self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def expire(self) -> list[int]:
        """Leases that ran out since the last call, to be revoked. They cannot be renewed any more."""
        now_s, expired = self._clock(), []
        while self.next_expiry_s <= now_s:
            _, lease = heappop(self._heap)
            self._expiring.add(lease)
            expired.append(lease)
        return expired

    def is_expiring(self, lease: int) -> bool:
        """Whether a lease ran out and its revocation is under way."""
        return lease in self._expiring

    def lease_granted(self, lease: int, ttl_s: int) -> None:
        """Count a new lease."""
        if self.term is not None:
            self._set(lease, self._clock() + ttl_s)
            self._changed()

    def lease_removed(self, lease: int) -> None:
        """Forget a lease."""
        self._expiry_s.pop(lease, None)
        self._expiring.discard(lease)

    def restored(self) -> None:
        """A leader is never sent a snapshot, so this member follows: another one counts."""
        self.demote()

    def _set(self, lease: int, at_s: float) -> None:
        self._expiry_s[lease] = at_s
        heappush(self._heap, (at_s, lease))

    def _is_stale(self, at_s: float, lease: int) -> bool:
        return self._expiry_s.get(lease) != at_s or lease in self._expiring
