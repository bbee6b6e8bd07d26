"""Looks for one order that explains every answer of a history without revisions, key by key.

Keys are independent: a history is linearizable if that of each key is (Herlihy and Wing, 1990), so each is searched
alone. The problem is NP-complete, so some key may be hopeless; it must not hide what another one shows quickly. So all
keys are searched with a small budget first, and those that are left with a larger one, again and again, until the
budget of all is used up. Every other time the alternatives are tried the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ha.check.linearizability import Linearizability, gave_up
from ha.check.registers import Value, growth, says_something, step
from ha.check.search import Found, Hopeless, Limit, search
from ha.check.timeline import Timeline
from ha.history.calls import Call

__all__ = ["BUDGET", "check", "refute"]

BUDGET = 2_000_000
"""Configurations that the search may visit, over all keys: a minute or two."""

_FIRST_BUDGET = 2_000
_GROWTH = 8


def check(
    calls: Sequence[Call],
    *,
    initial: Value,
    budget: int = BUDGET,
    progress: Callable[[int, int], None] = lambda _keys, _visited: None,
) -> Linearizability:
    """Judge a history, in any order, of a store whose keys hold `initial` in the beginning. `operations` of a
    violation are all that say something about the key that shows it. `progress` is told how many keys are left, and
    how many configurations were visited.
    """
    left = [_Key(of_key) for of_key in sorted(_by_key(calls).values(), key=len)]
    visited, share, backwards = 0, _FIRST_BUDGET, False
    while left:
        unknown: list[_Key] = []
        limits: set[Limit] = set()
        for number, key in enumerate(left):
            tell = partial(_tell, progress, len(left) - number + len(unknown), visited)
            found = key.search(initial, min(share, budget - visited), backwards=backwards, tell=tell)
            visited += found.visited
            if found.verdict is False:
                reason = f"no order of the operations on {key.name} explains all answers"
                return Linearizability(False, [reason], _method(visited), key.calls)
            if found.limit is not None:
                unknown.append(key)
                limits.add(found.limit)
            else:
                key.forget()
        if unknown and (visited >= budget or share >= budget):
            limit: Limit = "budget" if "budget" in limits else "memory"
            return gave_up(limit, visited, [key.name for key in unknown], _method(visited))
        left, share, backwards = unknown, share * _GROWTH, not backwards
    return Linearizability(True, [], _method(visited))


def refute(calls: Sequence[Call], *, initial: Value, budget: int) -> bool:
    """Whether there certainly is no order of the operations of one key, which all say something."""
    return _Key(calls).search(initial, budget).verdict is False


class _Key:
    """The operations of one key, ready to be searched more than once."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self._prepared: tuple[Timeline[Value], Hopeless[Value] | None] | None = None

    @property
    def name(self) -> str:
        return self.calls[0].key

    def search(
        self,
        initial: Value,
        budget: int,
        *,
        backwards: bool = False,
        tell: Callable[[int], None] = lambda _: None,
    ) -> Found:
        if self._prepared is None:
            steps = [step(call) for call in self.calls]
            timeline = Timeline(steps)
            self._prepared = timeline, growth(self.calls, timeline.events)
        timeline, hopeless = self._prepared
        return search(timeline, initial, budget=budget, hopeless=hopeless, backwards=backwards, tell=tell)

    def forget(self) -> None:
        """What was prepared takes more memory than the operations."""
        self._prepared = None


def _by_key(calls: Sequence[Call]) -> dict[str, list[Call]]:
    keys: dict[str, list[Call]] = {}
    for call in calls:
        if says_something(call):
            keys.setdefault(call.key, []).append(call)
    return keys


def _tell(progress: Callable[[int, int], None], keys: int, before: int, visited: int) -> None:
    progress(keys, before + visited)


def _method(visited: int) -> str:
    return f"by search ({visited:,} configurations)"
