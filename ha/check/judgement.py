"""Whose history it may be, the verdict on it: which engine decides, and the counterexample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ha.check import counterexample, linearizability, locks, store_model, values
from ha.check.linearizability import Linearizability
from ha.check.store_facts import Facts
from ha.history import Operation
from ha.history.act import Act
from ha.history.formats import History

__all__ = ["Judgement", "judge"]

_SHOWN = 10
"""More violations than this of a store's model are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict on a history: True, False, or None when the search gave up."""

    verdict: bool | None
    method: str
    explanation: Sequence[str] = ()
    acts: Sequence[Act] = ()
    """The few operations that no order explains."""


def judge(
    history: History, *, budget: int = values.BUDGET, progress: Callable[[str], None] = lambda _: None
) -> Judgement:
    """Judge a history. `progress` is told what is being done. Raises ValueError for one that cannot be judged."""
    found = [_objects(history, budget, progress)] if history.columns is not None or history.calls else []
    if history.store:
        progress("the answers of the store")
        found.append(_store(history.store))
    verdicts = [one.verdict for one in found]
    return Judgement(
        verdict=False if False in verdicts else None if None in verdicts else True,
        method=", ".join(one.method for one in found) or "nothing was asked",
        explanation=[line for one in found for line in one.explanation],
        acts=[act for one in found for act in one.acts],
    )


def _objects(history: History, budget: int, progress: Callable[[str], None]) -> Judgement:
    if history.columns is not None:
        progress("the order of revisions")
        linear = linearizability.check_columns(history.columns, budget=budget)
    else:
        linear = values.check(
            history.calls,
            initial=history.initial,
            budget=budget,
            progress=lambda keys, visited: progress(f"{keys:,} keys to search, {visited:,} configurations visited"),
        )
    acts: list[Act] = []
    if linear.verdict is False:
        progress("the few operations that show it")
        acts = _acts(history, linear)
    return Judgement(verdict=linear.verdict, method=linear.method, explanation=_reasons(linear, acts), acts=acts)


def _acts(history: History, linear: Linearizability) -> list[Act]:
    if history.columns is not None:
        return counterexample.of_operations(linear, history.columns)
    return counterexample.of_calls(linear, history.initial)


def _reasons(linear: Linearizability, acts: Sequence[Act]) -> Sequence[str]:
    """Operations that are shown are not told as well."""
    return linear.explanation[:1] if acts else linear.explanation


def _store(operations: Sequence[Operation]) -> Judgement:
    """Nobody knows here who else compacts, nor which faults excuse a lease that outlived its time."""
    facts = Facts.of(operations)
    broken = [*store_model.violations(facts, sole=False), *locks.violations(facts)]
    more = [f"and {len(broken) - _SHOWN} more"] if len(broken) > _SHOWN else []
    return Judgement(verdict=not broken, method="by the store's model", explanation=[*map(str, broken[:_SHOWN]), *more])
