"""Which backend gets the next connection, and which may keep those it has. Pure: no clock, no I/O.

Three states. *up*: it answers its readiness check, so it can do everything. *degraded*: it does not, but it says
that it is alive: an API server that lost the store still serves reads from its cache. *down*: it says nothing.

The rule, for new connections and for old ones: only the backends of the best state that any backend has. So a
degraded one serves as long as no other is up (upstream, the load balancer ejects every API server when the store
loses its quorum, and with them the reads that they could still serve), and hands its clients over as soon as
one is. A backend that is down keeps no connection in any case, for a client of a paused server would hang on it;
and when all are down, connections are refused promptly instead of being queued: clients know how to retry.
A backend that was not checked yet is tried when there is nothing better: a balancer that has just been
restarted must not refuse what it could relay.

Among equals the one with the fewest connections wins, and among those the next in order after the last chosen:
deterministic, and fair when idle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Literal, TypeAlias

import msgspec

from ha.world import Address

__all__ = ["Backend", "Finding", "Pool", "State", "Transition"]

State: TypeAlias = Literal["up", "degraded", "down"]
_RANK: dict[State, int] = {"down": 0, "degraded": 1, "up": 2}
_TRANSITIONS = 100


class Finding(msgspec.Struct, frozen=True):
    """What one check, or one failed connection, says of a backend."""

    state: State
    reason: str


class Transition(msgspec.Struct, frozen=True):
    """A backend changed its state. `at` is wall-clock time in seconds."""

    backend: str
    before: State
    after: State
    at: float
    reason: str


class Backend:
    """One backend: its state and its counters."""

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self.address = address
        self.state: State = "down"
        self.reason = "not checked yet"
        self.since = 0.0
        self.is_checked = False
        self.last_check: Finding | None = None
        self.last_check_at = 0.0
        self.checks_ok = self.checks_failed = self.connects_failed = 0
        self.sessions = self.sessions_total = self.sessions_shut = 0
        self.bytes_in = self.bytes_out = 0
        """From clients to the backend, and back."""
        self._worse = self._better = 0

    @property
    def rank(self) -> int:
        """Its state as a number: the higher the better."""
        return _RANK[self.state]

    def observe(self, finding: Finding, at: float, *, fall: int, rise: int) -> Transition | None:
        """Take a finding into account. The first one decides at once, later ones by `fall` and `rise`."""
        rank = _RANK[finding.state]
        self._worse = self._worse + 1 if rank < self.rank else 0
        self._better = self._better + 1 if rank > self.rank else 0
        is_first, self.is_checked = not self.is_checked, True
        if not is_first and self._worse < fall and self._better < rise:
            return None
        before = self.state
        self.state, self.since, self.reason = finding.state, at, finding.reason
        self._worse = self._better = 0
        return Transition(self.name, before, finding.state, at, finding.reason)


class Pool:
    """All backends, in the order in which they were named."""

    def __init__(self, addresses: Iterable[tuple[str, Address]], *, fall: int, rise: int, at: float) -> None:
        self.backends = [Backend(name, address) for name, address in addresses]
        for backend in self.backends:
            backend.since = at
        self.transitions: deque[Transition] = deque(maxlen=_TRANSITIONS)
        self.refused = 0
        """Connections of clients for which no backend was found."""
        self.retried = 0
        """Connections to a backend that failed, so that another had to be tried."""
        self._fall = fall
        self._rise = rise
        self._next = 0

    def observe(self, backend: Backend, finding: Finding, at: float) -> Transition | None:
        """Take a finding into account; a change of state is also remembered in `transitions`."""
        transition = backend.observe(finding, at, fall=self._fall, rise=self._rise)
        if transition is not None:
            self.transitions.append(transition)
        return transition

    def choose(self, tried: Collection[Backend] = ()) -> Backend | None:
        """The backend for the next connection, other than those `tried` for it already."""
        best = max((b.rank for b in self.backends if b not in tried), default=0)
        count = len(self.backends)
        order = [self.backends[(self._next + i) % count] for i in range(count)]
        fit = [b for b in order if b not in tried and b.rank == best and (best > 0 or not b.is_checked)]
        if not fit:
            return None
        chosen = min(fit, key=lambda b: b.sessions)
        self._next = self.backends.index(chosen) + 1
        return chosen

    def unfit(self) -> list[Backend]:
        """Backends that must not keep their connections."""
        best = max((b.rank for b in self.backends), default=0)
        return [b for b in self.backends if b.is_checked and (b.rank == 0 or b.rank < best)]
