"""What a case reached, as a set of small numbers: growth of their union over a search shows whether it still learns.

A feature is a state of the cluster as the run's observer saw it under given faults (who was reachable, whether anybody
led, how many API servers and backends were up, how often leadership had moved and components had ended), or an answer
that a client got under given faults. Faults count by kind, victims by number: which of three equals was hit tells
nothing new.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from zlib import crc32

from ha.history import (
    BackendChange,
    ComponentExit,
    Event,
    FaultEvent,
    LeaseChange,
    MemberSample,
    PhaseEvent,
    ReadyChange,
)
from ha.history.result import Run

__all__ = ["features"]

_MANY = 3
"""More leaders or exits than that count as that."""


def features(run: Run) -> frozenset[int]:
    """Equal for equal runs, in every process."""
    return frozenset(crc32(text.encode()) for text in (*_states(run.events), *_answers(run)))


class _State:
    """The cluster as far as events told."""

    def __init__(self) -> None:
        self.phase = ""
        self.in_force: dict[int, tuple[str, int]] = {}
        self._leaders: dict[str, str | None] = {}
        self._ready: dict[str, bool] = {}
        self._up: dict[str, bool] = {}
        self._holders: dict[str, str] = {}
        self._terms: set[int] = set()
        self._exits = 0
        self._takeovers = 0

    def take(self, event: Event) -> None:
        match event:
            case PhaseEvent():
                self.phase = event.phase
            case FaultEvent(action="inject"):
                self.in_force[event.index] = (event.fault, len(event.nodes))
            case FaultEvent():
                self.in_force.pop(event.index, None)
            case MemberSample():
                self._leaders[event.member] = event.leader if event.reachable else "unreachable"
                self._terms.add(event.term or 0)
            case ReadyChange():
                self._ready[event.node] = event.ready
            case BackendChange():
                self._up[event.backend] = event.up
            case LeaseChange():
                self._takeovers += self._holders.get(event.name, event.holder) != event.holder
                self._holders[event.name] = event.holder
            case ComponentExit():
                self._exits += 1

    def __str__(self) -> str:
        reachable = [leader for leader in self._leaders.values() if leader != "unreachable"]
        named = {leader for leader in reachable if leader is not None}
        return (
            f"{self.phase} {sorted(self.in_force.values())} "
            f"members {len(reachable)} leaders {len(named)} unled {reachable.count(None)} "
            f"terms {min(_MANY, len(self._terms))} ready {sum(self._ready.values())} up {sum(self._up.values())} "
            f"takeovers {min(_MANY, self._takeovers)} exits {min(_MANY, self._exits)}"
        )


def _states(events: Sequence[Event]) -> Iterator[str]:
    state = _State()
    for event in events:
        state.take(event)
        yield str(state)


def _answers(run: Run) -> Iterator[str]:
    """Type and outcome of operations, by the kinds of faults in force when they were asked."""
    state = _State()
    times_s: list[float] = [0.0]
    kinds: list[list[str]] = [[]]
    for event in run.events:
        if isinstance(event, FaultEvent):
            state.take(event)
            times_s.append(event.at_s)
            kinds.append(sorted({kind for kind, _ in state.in_force.values()}))
    for operation in run.operations:
        in_force = kinds[bisect_right(times_s, operation.invoked_s) - 1]
        yield f"{operation.type} {operation.outcome} {in_force}"
