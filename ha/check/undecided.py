"""The keys that revisions alone do not settle, put to the search together with what revisions do settle.

A state is ``(at, cells)``: `at` is the position reached in the order of revisions, a cell what one key holds:
None, or ``(revision, value)``, where revision -1 stands for one that nobody ever saw. Positions are dense:
between two revisions there is always room for a write that nobody saw, since how many revisions other writers
used is not known.

Keys that were settled take no part. All that they say about the others is when: whatever was complete before
an operation began puts a `floor` under it, whatever began after it was complete puts a `ceiling` over it, and
both are exact because a settled operation's place is an interval. (Where the place of a settled key depends on what is
undecided, it takes part: `Order.forked`, `Order.leaning`.) So first each key alone (cheap, and names the culprit), then
all at once, since two undecided keys may each be explicable but not together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, TypeGuard

from ha.check.order import Entry, Order
from ha.check.said import Conviction
from ha.check.search import Found, Limit, Step, search

__all__ = ["Settled", "settle"]

UNSEEN = -1

Cell: TypeAlias = tuple[int, str | None] | None
State: TypeAlias = tuple[int, tuple[Cell, ...]]
_Labels: TypeAlias = dict[int, str | None]


@dataclass(frozen=True, slots=True)
class Settled:
    """`verdict` True or None (it gave up on `keys` at `limit`); a refutation is raised as Conviction."""

    verdict: bool | None
    visited: int
    keys: list[str] = field(default_factory=list)
    limit: Limit | None = None


def settle(order: Order, *, budget: int) -> Settled:
    """Search what `order` left undecided. Raises Conviction.

    Every key gets an equal share of the budget, so that a hopeless one does not hide another's violation.
    """
    undecided = order.undecided
    if not undecided:
        return Settled(True, 0)
    visited = 0
    unknown, limits = [], set()
    for key in undecided:
        found = _search(order, [key], max(1, budget // len(undecided)))
        visited += found.visited
        if found.limit is not None:
            unknown.append(key)
            limits.add(found.limit)
    if unknown:
        return Settled(None, visited, list(map(order.name, unknown)), "budget" if "budget" in limits else "memory")
    together = undecided + order.forked + order.leaning
    if len(together) > 1:
        found = _search(order, together, budget)
        visited += found.visited
        if found.verdict is None:
            return Settled(None, visited, list(map(order.name, together)), found.limit)
    return Settled(True, visited, list(map(order.name, undecided)))


def _search(order: Order, keys: Sequence[int], budget: int) -> Found:
    subject: list[Entry] = []
    steps = []
    for cell, key in enumerate(keys):
        history = order.history(key)
        demanded = {e.demands: None for e in history.entries if e.demands and not order.has_writer(e.demands)}
        labels = {**demanded, **history.loose}
        subject += history.entries
        steps += [_step(entry, cell, labels) for entry in history.entries]
    found = search(steps, (0, (None,) * len(keys)), budget=budget)
    if found.verdict is False:
        assert found.stuck is not None, "a refutation got stuck somewhere"
        names = list(map(order.name, keys))
        reason = f"no order explains {', '.join(names)}: every one gets stuck at this operation"
        raise Conviction(reason, subject[found.stuck].operation, keys=names)
    return found


def _step(entry: Entry, cell: int, labels: _Labels) -> Step[State]:
    """`labels`: revisions that an open write of this key may have made, with the value seen there: those that were
    seen, and those that another open write demands.
    """
    if entry.is_read:
        return Step(entry.start_s, entry.end_s, partial(_read, entry, cell), partial(_stays, entry, cell))
    return Step(entry.start_s, entry.end_s, partial(_write, entry, cell, labels))


def _read(entry: Entry, cell: int, state: State) -> Iterable[State]:
    at, cells = state
    held = cells[cell]
    if not _sees(entry, held):
        return ()
    at = max(at, entry.floor)
    if at >= entry.ceiling:
        return ()
    if _shows_more(held, entry):
        cells = (*cells[:cell], (held[0], entry.value), *cells[cell + 1 :])
    return ((at, cells),)


def _stays(read: Entry, cell: int, state: State) -> bool:
    """Whether a read is possible where the store is, and changes nothing."""
    at, cells = state
    held = cells[cell]
    return read.floor <= at < read.ceiling and _sees(read, held) and not _shows_more(held, read)


def _shows_more(held: Cell, read: Entry) -> TypeGuard[tuple[int, None]]:
    """Whether a read shows a value that nobody knew."""
    return held is not None and held[1] is None and read.value is not None


def _sees(read: Entry, held: Cell) -> bool:
    if read.revision is None:
        return held is not None and held[1] in (read.value, None)
    if held is None:
        return read.revision == 0
    return held[0] == read.revision and (None in (read.value, held[1]) or held[1] == read.value)


def _write(entry: Entry, cell: int, labels: _Labels, state: State) -> Iterable[State]:
    at, cells = state
    if not _admits(entry, cells[cell]):
        return
    for revision, position in _places(entry, max(at, entry.floor), labels):
        held: Cell = None if entry.deletes else (revision, entry.value)
        yield position, (*cells[:cell], held, *cells[cell + 1 :])


def _admits(write: Entry, held: Cell) -> bool:
    demand = write.demands
    if demand is None:
        return held is not None or not write.deletes
    return held is None if demand == 0 else held is not None and held[0] == demand


def _places(write: Entry, low: int, labels: _Labels) -> Iterable[tuple[int, int]]:
    """(revision, position) that a write may take above `low`."""
    if write.revision is not None:
        if low < write.revision < write.ceiling:
            yield write.revision, write.revision
        return
    if low < write.ceiling:
        yield UNSEEN, low
    if write.deletes:
        return
    for revision, value in labels.items():
        if low < revision < write.ceiling and (None in (value, write.value) or value == write.value):
            yield revision, revision
