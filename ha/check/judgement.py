"""Whosever history it may be, the verdict on it: which engine decides, and what shows a violation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ha.check import counterexample, linearizability, locks, store_model, values
from ha.check.linearizability import Linearizability
from ha.check.store_facts import Facts
from ha.history import Operation
from ha.history.act import Act
from ha.history.formats import History

__all__ = ["Judgement", "acts", "judge"]

_SHOWN = 10
"""More violations than this of a store's model are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict on a history: True, False, or None when the search gave up."""

    verdict: bool | None
    method: str
    objects: Linearizability | None = None
    """Of what was asked of objects, registers or texts, if anything was."""
    store: Linearizability | None = None
    """Of what was asked of a store itself."""

    def reasons(self, *, shown: bool) -> list[str]:
        """Why. `shown`: the operations that show it are seen beside it, and are not told."""
        objects = [] if self.objects is None else self.objects.explanation
        return [*(objects[:1] if shown else objects), *([] if self.store is None else self.store.explanation)]


def judge(
    history: History, *, budget: int = values.BUDGET, progress: Callable[[str], None] = lambda _: None
) -> Judgement:
    """Judge a history. `progress` is told what is being done. Raises ValueError for one that cannot be judged."""
    objects = _objects(history, budget, progress) if history.columns is not None or history.calls else None
    store = None
    if history.store:
        progress("the answers of the store are held against its model")
        store = _store(history.store)
    found = [one for one in (objects, store) if one is not None]
    verdicts = [one.verdict for one in found]
    return Judgement(
        verdict=False if False in verdicts else None if None in verdicts else True,
        method=", ".join(one.method for one in found) or "by nothing",
        objects=objects,
        store=store,
    )


def acts(history: History, judgement: Judgement) -> list[Act]:
    """The few operations on objects that no order explains; none where there is an order."""
    objects = judgement.objects
    if objects is None or objects.verdict is not False:
        return []
    if history.columns is not None:
        return counterexample.of_operations(objects, history.columns)
    return counterexample.of_calls(objects, history.initial)


def _objects(history: History, budget: int, progress: Callable[[str], None]) -> Linearizability:
    if history.columns is not None:
        progress("operations are put in the order of revisions")
        return linearizability.check_columns(history.columns, budget=budget)
    return values.check(
        history.calls,
        initial=history.initial,
        budget=budget,
        progress=lambda keys, visited: progress(f"{keys:,} keys to search, {visited:,} configurations visited"),
    )


def _store(operations: Sequence[Operation]) -> Linearizability:
    """Nobody knows here who else compacts, nor which faults excuse a lease that outlived its time."""
    facts = Facts.of(operations)
    broken = [*store_model.violations(facts, sole=False), *locks.violations(facts)]
    more = [f"and {len(broken) - _SHOWN} more"] if len(broken) > _SHOWN else []
    return Linearizability(not broken, [*map(str, broken[:_SHOWN]), *more], "by the store's model")
