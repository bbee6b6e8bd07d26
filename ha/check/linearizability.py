"""Looks for one order of all operations, compatible with real time, that explains every answer.

Over the whole store at once (strict serializability of single-key operations), since revisions order writes
across keys. `ha.check.order` decides nearly everything in O(n log n); what unknown outcomes leave open goes to
a bounded search (`ha.check.undecided`).

The store that is assumed: keys that the history names are written by its operations only, and are absent at
its beginning; other keys may be written by anybody. A ``write`` is unconditional and succeeds whatever it
finds; a ``cas`` demands a revision (never a value: values repeat); a ``create`` demands absence; a ``delete``
demands presence. A write of unknown outcome may take effect at any time after its invocation, much later than
its client gave up too, and at most once.

What it does not see: how many revisions other writers left free between two of ours, so a write that nobody
saw is given room between any two revisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ha.check.order import establish
from ha.check.said import Conviction
from ha.check.search import GAVE_UP, Limit
from ha.check.undecided import settle
from ha.history import Operation
from ha.history.calls import Call
from ha.history.columns import Columns

__all__ = ["BUDGET", "Linearizability", "check", "check_columns", "gave_up"]

BUDGET = 100_000
"""Configurations that the search may visit, over all keys one by one and once more together: some seconds."""


@dataclass(frozen=True, slots=True)
class Linearizability:
    """The verdict: True, False, or None when the search gave up. `method` says how it was reached.

    `explanation` convicts (or says what could not be decided), `operations` are the ones that it names.
    """

    verdict: bool | None
    explanation: list[str] = field(default_factory=list)
    method: str = "by revision"
    operations: Sequence[Operation | Call] = ()
    keys: Sequence[str] = ()
    """Of which all operations together convict, where those named alone do not."""
    limit: Limit | None = None
    """At what the search gave up; of several keys the budget where that was it for any."""


def gave_up(limit: Limit, visited: int, keys: Sequence[str], method: str) -> Linearizability:
    """Undecided, on account of these keys."""
    text = f"undecided after {visited:,} configurations, when {GAVE_UP[limit]}: {', '.join(keys)}"
    return Linearizability(None, [text], method, limit=limit)


def check(operations: Sequence[Operation], *, budget: int = BUDGET) -> Linearizability:
    """Judge a history, in any order. Raises ValueError for an operation answered before it was asked."""
    return check_columns(Columns.of(operations), budget=budget)


def check_columns(columns: Columns, *, budget: int = BUDGET) -> Linearizability:
    """The same, of a history as columns."""
    searching = False
    try:
        order = establish(columns)
        searching = bool(order.undecided)
        settled = settle(order, budget=budget)
    except Conviction as conviction:
        method = "by revision and search" if searching else "by revision"
        return Linearizability(False, conviction.explanation, method, conviction.operations, conviction.keys)
    if not settled.keys:
        return Linearizability(True)
    method = f"by revision, and by search over {len(settled.keys)} keys ({settled.visited} configurations)"
    if settled.limit is not None:
        return gave_up(settled.limit, settled.visited, settled.keys, method)
    return Linearizability(True, [], method)
