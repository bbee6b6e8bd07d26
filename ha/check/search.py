"""Just-in-time linearization: a bounded depth-first search for one order that explains every answer.

After Wing and Gong (1993) and Lowe (2017). Time is swept from left to right; an operation is put into the order only
when one that returns now needs it (*just in time*), so that the branching is that of the operations in flight and not
of the whole history. What keeps it small:

* A step that reads without changing the state is taken as soon as it can be: any continuation without it stays valid
  with it.
* A configuration is left alone when one was seen that is at least as good: at the same event, in the same state, with
  the same changes made, no fewer reads done and no more steps of unknown outcome used up.
* Steps of registers say what they do, and `ha.check.timeline` knows what of that nobody will ever look at. Besides, a
  write that nobody will see hides right before the next write, so it is taken along with that one.
* `hopeless` lets a model refuse states from which some answer cannot be explained any more.

The problem is NP-complete (Gibbons and Korach, 1997), so the search gives up after `budget` configurations, or when
those that it has to remember take too much memory, and then says None.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeAlias, TypeVar, cast

from ha.check.timeline import UNOBSERVED, Move, Node, Step, Timeline

__all__ = ["GAVE_UP", "Found", "Hopeless", "Limit", "Step", "search"]

S = TypeVar("S", bound=Hashable)

MEMORY_BYTES = 1 << 30
"""What the configurations of a search may take."""
_CONFIGURATION_BYTES = 500
_TOLD_EVERY = 1000


Limit: TypeAlias = Literal["budget", "memory"]
"""What was used up when a search gave up."""
GAVE_UP: Final[dict[Limit, str]] = {
    "budget": "the budget was used up",
    "memory": f"more would have taken over {MEMORY_BYTES >> 20:,} MiB of memory",
}


@dataclass(frozen=True, slots=True)
class Found:
    """The answer: True, False or None (it gave up at `limit`). `stuck`: the step that no order got past."""

    verdict: bool | None
    visited: int
    stuck: int | None = None
    limit: Limit | None = None


Hopeless: TypeAlias = Callable[[int, S, list[int], bool], bool]
"""From the index of an event (`in_order`), a state there, the reads in flight that are not done, and whether a step
with a shape is in flight that may still come: whether no continuation can be right.
"""
_Configuration: TypeAlias = tuple[int, S, int, int, int]
"""Event, state; changes made and reads done of those in flight; steps of unknown outcome used."""


def search(
    history: Sequence[Step[S]] | Timeline[S],
    initial: S,
    *,
    budget: int,
    hopeless: Hopeless[S] | None = None,
    backwards: bool = False,
    tell: Callable[[int], None] = lambda _: None,
) -> Found:
    """Look for an order of steps that respects real time and that `apply` admits from `initial` on. Who searches the
    same ones again gives them as a `Timeline`.

    Two steps are ordered by real time when one returned strictly before the other was invoked. `stuck` is the step
    whose return was the latest that any order reached. `backwards` tries the other alternatives first.
    `tell` is told now and then how many configurations were visited.
    """
    tell(0)
    timeline = history if isinstance(history, Timeline) else Timeline(history)
    return _Search(timeline, hopeless, backwards=backwards).run(initial, budget, tell)


class _Search(Generic[S]):
    def __init__(self, timeline: Timeline[S], hopeless: Hopeless[S] | None, *, backwards: bool) -> None:
        self._nodes = timeline.nodes
        self._values = timeline.values
        self._most = MEMORY_BYTES // (_CONFIGURATION_BYTES + timeline.unknown // 4)
        self._hopeless = hopeless
        self._backwards = backwards
        self._seen: dict[tuple[int, S, int], list[tuple[int, int]]] = {}

    def run(self, initial: S, budget: int, tell: Callable[[int], None]) -> Found:
        stack: list[_Configuration[S]] = [(0, initial, 0, 0, 0)]
        visited, farthest, end = 0, -1, len(self._nodes)
        while stack:
            at, state, changed, read, spent = self._advance(*stack.pop())
            if at == end:
                return Found(True, visited)
            farthest = max(farthest, at)
            if self._is_dominated((at, state, changed), read, spent):
                continue
            if visited >= budget:
                return Found(None, visited, limit="budget")
            if visited + len(stack) >= self._most:
                return Found(None, visited, limit="memory")
            visited += 1
            if not visited % _TOLD_EVERY:
                tell(visited)
            stack += self._next(at, state, changed, read, spent)
        stuck = self._nodes[farthest]
        assert stuck is not None, "every order gets stuck at a return"
        return Found(False, visited, stuck.step)

    def _advance(self, at: int, state: S, changed: int, read: int, spent: int) -> _Configuration[S]:
        """Go as far as there is nothing to choose."""
        nodes = self._nodes
        end = len(nodes)
        while at < end:
            node = nodes[at]
            if node is not None:
                bit, sees = node[0], node[2]
                if sees is not None:
                    if sees(state):
                        read |= bit
                elif changed & bit:
                    changed ^= bit
                elif read & bit:
                    read ^= bit
                else:
                    break
            at += 1
        return at, state, changed, read, spent

    def _is_dominated(self, where: tuple[int, S, int], read: int, spent: int) -> bool:
        """Whether one that is as good was seen; if not, remember this one in place of those that are worse."""
        known = self._seen.get(where)
        if known is None:
            self._seen[where] = [(read, spent)]
            return False
        if any(more & read == read and less & spent == less for more, less in known):
            return True
        known[:] = [(less, more) for less, more in known if not (less & read == less and more & spent == spent)]
        known.append((read, spent))
        return False

    def _next(self, at: int, state: S, changed: int, read: int, spent: int) -> list[_Configuration[S]]:
        """What each step makes of a configuration; last, to be tried first, what lets the returning step pass."""
        node, values = self._nodes[at], self._values
        assert node is not None, "there is something to choose"
        moves = self._moves(node, changed | read, spent)
        if values is not None and values.is_stranded(at, state, moves):
            return []
        hidden = 0 if values is None else values.hidden(at, moves)
        passing: list[_Configuration[S]] = []
        others: list[_Configuration[S]] = []
        for bit, once, reads, apply, _, is_blind in moves:
            states = apply(state)
            for after in self._merged(at, states) if states else ():
                made = changed if reads else changed | bit
                seen = self._read(node, at, after, made, read | bit if reads else read)
                if seen is None or (once and after == state):
                    continue
                whole = made | hidden if is_blind else made
                chosen = passing if (whole | seen) & node.bit else others
                if whole != made and values is not None and at <= values.last_avoided:
                    chosen.append((at, after, made, seen, spent | once))
                chosen.append((at, after, whole, seen, spent | once))
        return others + passing

    def _moves(self, node: Node[S], done: int, spent: int) -> list[Move[S]]:
        """The steps that may come next; of those that can stand for each other the first one."""
        moves = [move for move in node.moves if not done & move[0]]
        for alike in node.unknown:
            for move in alike:
                if not spent & move[1]:
                    moves.append(move)
                    break
        if self._backwards:
            moves.reverse()
        return moves

    def _merged(self, at: int, states: Iterable[S]) -> Iterable[S]:
        """All states of a register at which nobody will look again are one."""
        if self._values is None:
            return states
        last_seen = self._values.last_seen
        return [state if last_seen.get(state, -1) >= at else cast(S, UNOBSERVED) for state in states]

    def _read(self, node: Node[S], at: int, state: S, changed: int, read: int) -> int | None:
        """The reads that are done in a new state; None: it is hopeless."""
        left = []
        for bit, sees, step in node.reads:
            if sees(state):
                read |= bit
            elif not read & bit:
                left.append(step)
        if self._hopeless is not None and self._hopeless(at, state, left, bool(node.shaped & ~changed)):
            return None
        return read
