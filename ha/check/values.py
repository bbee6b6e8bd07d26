"""Looks for one order that explains every answer of a history without revisions, key by key.

Keys are independent: a history is linearizable if that of each key is (Herlihy and Wing, 1990), so each is searched
alone. The problem is NP-complete, so some key may be hopeless; it must not hide what another one shows quickly. So all
keys are searched with a small budget first, and those that are left with a larger one, again and again, until the
budget of all is used up. Every other time the alternatives are tried the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ha.check.linearizability import Linearizability
from ha.check.registers import Value, growth, says_something, step
from ha.check.search import Found, search
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
    left = sorted(_by_key(calls).values(), key=len)
    visited, share, backwards = 0, _FIRST_BUDGET, False
    while left:
        unknown: list[list[Call]] = []
        for number, key in enumerate(left):
            tell = partial(_tell, progress, len(left) - number + len(unknown), visited)
            found = _search(key, initial, min(share, budget - visited), backwards=backwards, tell=tell)
            visited += found.visited
            if found.verdict is False:
                reason = f"no order of the operations on {key[0].key} explains all answers"
                return Linearizability(False, [reason], _method(visited), key)
            if found.verdict is None:
                unknown.append(key)
        if unknown and (visited >= budget or share >= budget):
            return _undecided(unknown, visited)
        left, share, backwards = unknown, share * _GROWTH, not backwards
    return Linearizability(True, [], _method(visited))


def refute(calls: Sequence[Call], *, initial: Value, budget: int) -> bool:
    """Whether there certainly is no order of the operations of one key, which all say something."""
    return _search(calls, initial, budget).verdict is False


def _by_key(calls: Sequence[Call]) -> dict[str, list[Call]]:
    keys: dict[str, list[Call]] = {}
    for call in calls:
        if says_something(call):
            keys.setdefault(call.key, []).append(call)
    return keys


def _tell(progress: Callable[[int, int], None], keys: int, before: int, visited: int) -> None:
    progress(keys, before + visited)


def _search(
    calls: Sequence[Call],
    initial: Value,
    budget: int,
    *,
    backwards: bool = False,
    tell: Callable[[int], None] = lambda _: None,
) -> Found:
    steps = [step(call) for call in calls]
    return search(steps, initial, budget=budget, hopeless=growth(calls, steps), backwards=backwards, tell=tell)


def _method(visited: int) -> str:
    return f"by search ({visited:,} configurations)"


def _undecided(keys: Sequence[Sequence[Call]], visited: int) -> Linearizability:
    names = ", ".join(key[0].key for key in keys)
    return Linearizability(None, [f"undecided after {visited:,} configurations: {names}"], _method(visited))
