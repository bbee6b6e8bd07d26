"""Histories to measure checkers on: clients of a linearizable store, overlapping, with some answers lost.

Made in memory, from a seed, by a store that is nothing but a dictionary: each operation takes effect at one moment
between its invocation and its answer. Of those whose answer is lost half take effect, some of them long after their
client went on.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import accumulate, islice
from random import Random  # noqa: TID251  (seeded, of a benchmark)

import msgspec

from ha.history import Operation, OperationType, Outcome
from ha.history.calls import Call
from ha.history.columns import Columns, Rows

__all__ = ["SHAPE", "as_calls", "as_columns"]

SHAPE = "20 clients, 100 keys of skewed popularity, 50% reads, 35% writes, 15% compare-and-sets, 1% of unknown outcome"

_CLIENTS, _KEYS, _SKEW = 20, 100, 0.8
_READS, _WRITES, _UNKNOWN = 0.5, 0.35, 0.01
_TAKES_S, _PAUSE_S, _PATIENCE_S, _LATE_S = 0.001, 0.0002, 0.01, 0.1
"""Means: from the invocation to the effect, and from there to the answer; between operations; until a client whose
answer is lost gives up; until what it asked for is done all the same, if it is late.
"""
_CHUNK = 20_000


class _Asked(msgspec.Struct):
    """One operation, as its client asks it."""

    client: int
    type: OperationType
    key: str
    value: str | None
    expected: tuple[int, str] | None
    """Revision and value, of a compare-and-set."""
    invoked_s: float


class _World:
    """The store, its clients, and what is under way."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  (no secret)
        self._popularity = list(accumulate((key + 1) ** -_SKEW for key in range(_KEYS)))
        self._held: dict[str, tuple[int, str]] = {}
        self._revision = 1
        self._values = 0
        self._effects: list[tuple[float, int, _Asked, bool]] = []
        """When, in which order, what, and whether its client is answered."""
        self._number = 0

    def operations(self) -> Iterator[tuple[Operation, str | None]]:
        """For ever: operations in the order of completion, with the value that a compare-and-set was over."""
        for client in range(_CLIENTS):
            yield from self._ask(client, self._after(0.0, _TAKES_S))
        while True:
            at_s, _, asked, is_answered = heappop(self._effects)
            outcome, value, revision = self._do(asked)
            if is_answered:
                answered_s = self._after(at_s, _TAKES_S)
                yield _recorded(asked, answered_s, outcome=outcome, value=value, revision=revision)
                yield from self._ask(asked.client, self._after(answered_s, _PAUSE_S))

    def _ask(self, client: int, at_s: float) -> Iterator[tuple[Operation, str | None]]:
        """The next operation of a client, after those of which it does not learn what became."""
        while True:
            asked = self._draw(client, at_s)
            if asked.type == "read" or self._random.random() >= 2 * _UNKNOWN:
                self._schedule(self._after(at_s, _TAKES_S), asked, is_answered=True)
                return
            if self._random.random() < 0.5:
                takes_s = _TAKES_S if self._random.random() < 0.8 else _LATE_S
                self._schedule(self._after(at_s, takes_s), asked, is_answered=False)
            yield _recorded(asked, at_s + _PATIENCE_S, outcome="info", value=asked.value)
            at_s = self._after(at_s + _PATIENCE_S, _PAUSE_S)

    def _draw(self, client: int, at_s: float) -> _Asked:
        key = f"key-{bisect(self._popularity, self._random.random() * self._popularity[-1])}"
        chosen = self._random.random()
        if chosen < _READS:
            return _Asked(client, "read", key, None, None, at_s)
        self._values += 1
        expected = self._held.get(key) if chosen >= _READS + _WRITES else None
        return _Asked(client, "write" if expected is None else "cas", key, f"v{self._values}", expected, at_s)

    def _schedule(self, at_s: float, asked: _Asked, *, is_answered: bool) -> None:
        self._number += 1
        heappush(self._effects, (at_s, self._number, asked, is_answered))

    def _after(self, at_s: float, mean_s: float) -> float:
        return at_s + self._random.expovariate(1 / mean_s)

    def _do(self, asked: _Asked) -> tuple[Outcome, str | None, int]:
        """Outcome, value and revision."""
        held = self._held.get(asked.key)
        if asked.type == "read":
            return ("ok", None, 0) if held is None else ("ok", held[1], held[0])
        if asked.expected is not None and asked.expected != held:
            return "fail", asked.value, 0 if held is None else held[0]
        assert asked.value is not None, "what is written has a value"
        self._revision += 1
        self._held[asked.key] = self._revision, asked.value
        return "ok", asked.value, self._revision


def _recorded(
    asked: _Asked, completed_s: float, *, outcome: Outcome, value: str | None, revision: int | None = None
) -> tuple[Operation, str | None]:
    operation = Operation(
        workload="made-up",
        client=asked.client,
        type=asked.type,
        key=asked.key,
        value=value,
        expected=None if asked.expected is None else asked.expected[0],
        invoked_s=asked.invoked_s,
        completed_s=completed_s,
        outcome=outcome,
        revision=revision,
    )
    return operation, None if asked.expected is None else asked.expected[1]


def as_columns(count: int, seed: int) -> Columns:
    """A history of a store that tells revisions. The operations themselves are not kept."""
    rows = Rows()
    operations = islice(_World(seed).operations(), count)
    while chunk := [operation for operation, _ in islice(operations, _CHUNK)]:
        rows.extend(chunk)
    return rows.columns(_not_kept)


def _not_kept(row: int) -> Operation:
    raise LookupError(f"operation {row} of a made-up history")


def as_calls(count: int, seed: int) -> list[Call]:
    """The same of one that tells values only."""
    return [_call(operation, expected) for operation, expected in islice(_World(seed).operations(), count)]


def _call(operation: Operation, expected: str | None) -> Call:
    assert operation.type in ("read", "write", "cas"), "nothing else is made up"
    return Call(
        client=str(operation.client),
        key=operation.key,
        type=operation.type,
        value=operation.value,
        expected=expected,
        start=operation.invoked_s,
        end=operation.completed_s,
        outcome=operation.outcome,
    )
