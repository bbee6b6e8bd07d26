"""A history as a search walks through it: what was in flight at each return, and what nobody will look at any more.

An operation is a `Step`. To the search it is a function of states. A step that also says what it does to a register
(`Shape`) lets the search leave out what makes no difference; `Values` holds what follows from that:

* a value that nobody will look at again is as good as any other one: all become one state, `UNOBSERVED`;
* steps of unknown outcome that do the same are one class, of which the first asked for is used first;
* a value that is needed, that nobody makes again, must not be overwritten.

That is only so where all steps of a history have a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from operator import attrgetter
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

__all__ = ["ANY", "SAME", "UNOBSERVED", "Event", "Move", "Node", "Shape", "Step", "Timeline", "Values", "in_order"]

S = TypeVar("S", bound=Hashable)


class _Sign:
    """A value that no history contains."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ANY = _Sign("ANY")
SAME = _Sign("SAME")
UNOBSERVED = _Sign("UNOBSERVED")
"""The state of a register that holds a value at which nobody will look again."""

_FOREVER = 1 << 62


class Shape(msgspec.Struct, frozen=True):
    """What a step does to a register: it needs this value to be there, or another one than that, and makes this one."""

    needs: Hashable = ANY
    avoids: Hashable = ANY
    makes: Hashable = SAME

    @property
    def is_blind(self) -> bool:
        """Whatever was there, it can happen and leaves the same."""
        return self.needs is ANY and self.avoids is ANY


class Step(msgspec.Struct, Generic[S], frozen=True):
    """One operation. `returned_s` infinite: it may take effect any time after its invocation, or never.

    `apply`: from a state to those that it may lead to (none: impossible here; several: the outcome left it open).
    `sees`, of a step that only reads: whether it is possible in a state and leaves it as it is. One that never does
    anything else has no `apply`.
    """

    invoked_s: float
    returned_s: float
    apply: Callable[[S], Iterable[S]] | None = None
    sees: Callable[[S], bool] | None = None
    shape: Shape | None = None


Event: TypeAlias = tuple[float, int, int]
"""Time, 0 invoked | 1 returned, index of the step."""


def in_order(steps: Sequence[Step[S]]) -> list[Event]:
    """Invocations and returns in time order. At one instant invocations come first: the two are concurrent."""
    events = [(step.invoked_s, 0, index) for index, step in enumerate(steps)]
    events += [(step.returned_s, 1, index) for index, step in enumerate(steps) if step.returned_s < inf]
    return sorted(events)


class Move(NamedTuple, Generic[S]):
    """A step in flight that may come next. `bit` names it among those in flight, or `once` among those of unknown
    outcome; the other one is 0.
    """

    bit: int
    once: int
    reads: bool
    apply: Callable[[S], Iterable[S]]
    makes: Hashable
    is_blind: bool


class Node(NamedTuple, Generic[S]):
    """An event at which there is something to do. Of a step that begins to read, `sees` says whether it is possible
    at once. Otherwise a step returns: all that was in flight, itself included.
    """

    bit: int
    step: int
    sees: Callable[[S], bool] | None = None
    reads: tuple[tuple[int, Callable[[S], bool], int], ...] = ()
    moves: tuple[Move[S], ...] = ()
    shaped: int = 0
    """The bits of the moves that have a shape."""
    unknown: tuple[tuple[Move[S], ...], ...] = ()
    """Classes of steps that can stand for each other, each in the order of invocation."""


class Values:
    """When, by index of the event, each value matters."""

    def __init__(self, events: Sequence[Event], shapes: Sequence[tuple[Shape, bool]]) -> None:
        """`shapes`: of each step, and whether its outcome is unknown."""
        self.last_seen: dict[Hashable, int] = {}
        """The last event of a step that looks at a value."""
        self.last_avoided = -1
        """The last event of a step that avoids a value, so that any other is welcome."""
        self._last_needed: dict[Hashable, int] = {}
        self._last_made: dict[Hashable, int] = {}
        for at, (_, is_return, index) in enumerate(events):
            shape, unknown = shapes[index]
            for looked_at in (shape.needs, shape.avoids):
                if looked_at is not ANY:
                    self.last_seen[looked_at] = _FOREVER if unknown else max(at, self.last_seen.get(looked_at, 0))
            if shape.avoids is not ANY:
                self.last_avoided = at
            if not is_return:
                if shape.needs is not ANY and not unknown:
                    self._last_needed[shape.needs] = at
                if shape.makes is not SAME:
                    self._last_made[shape.makes] = at

    def is_stranded(self, at: int, state: Hashable, moves: Iterable[Move[S]]) -> bool:
        """Whether a state is still needed, and lost with the next change. `moves`: what can come next."""
        if self._last_needed.get(state, -1) <= at or self._last_made.get(state, -1) >= at:
            return False
        return all(move.makes != state for move in moves)

    def hidden(self, at: int, moves: Iterable[Move[S]]) -> int:
        """The bits of the writes that nobody will see."""
        bits = 0
        for bit, _, _, _, makes, is_blind in moves:
            if is_blind and self.last_seen.get(makes, -1) < at:
                bits |= bit
        return bits


@dataclass(slots=True)
class _Unknown(Generic[S]):
    """The steps of unknown outcome so far, by class. A class changes when its value is not looked at any more."""

    values: Values | None
    classes: dict[Hashable, tuple[Move[S], ...]] = field(default_factory=dict)
    count: int = 0
    _fading: dict[int, list[Shape]] = field(default_factory=dict)
    _shown: tuple[tuple[Move[S], ...], ...] = ()

    def add(self, at: int, index: int, step: Step[S]) -> None:
        assert step.apply is not None, "what may not have happened and changes nothing says nothing"
        move = _move(0, 1 << self.count, step, step.apply)
        self.count += 1
        self._join(self._name(at, index, step.shape), (move,))
        self._shown = self._show(at)

    def _name(self, at: int, index: int, shape: Shape | None) -> Hashable:
        if shape is None or self.values is None:
            return index if shape is None else shape
        last = self.values.last_seen.get(shape.makes, -1)
        if last < at:
            return Shape(shape.needs, shape.avoids, UNOBSERVED)
        if last < _FOREVER:
            fading = self._fading.setdefault(last + 1, [])
            if shape not in fading:
                fading.append(shape)
        return shape

    def _join(self, name: Hashable, joining: tuple[Move[S], ...]) -> None:
        self.classes[name] = tuple(sorted((*self.classes.get(name, ()), *joining), key=attrgetter("once")))

    def at(self, at: int) -> tuple[tuple[Move[S], ...], ...]:
        """Those that may be used at an event. To be asked of one event after the other."""
        if self.values is None:
            return self._shown
        faded = self._fading.pop(at, [])
        for shape in faded:
            self._join(Shape(shape.needs, shape.avoids, UNOBSERVED), self.classes.pop(shape))
        if faded or at == self.values.last_avoided + 1:
            self._shown = self._show(at)
        return self._shown

    def _show(self, at: int) -> tuple[tuple[Move[S], ...], ...]:
        """A value that nobody will look at is of use only where another one is to be avoided."""
        useless = self.values is not None and at > self.values.last_avoided
        return tuple(
            found
            for name, found in self.classes.items()
            if not (useless and isinstance(name, Shape) and name.makes is UNOBSERVED)
        )


def _move(bit: int, once: int, step: Step[S], apply: Callable[[S], Iterable[S]]) -> Move[S]:
    shape = step.shape
    makes, is_blind = (SAME, False) if shape is None else (shape.makes, shape.is_blind)
    return Move(bit, once, step.sees is not None, apply, makes, is_blind)


class Timeline(Generic[S]):
    """A history, ready to be searched. `nodes` has an entry for each of `events`, None where there is nothing to do."""

    def __init__(self, steps: Sequence[Step[S]]) -> None:
        self.events = events = in_order(steps)
        shapes = [(step.shape, step.returned_s == inf) for step in steps if step.shape is not None]
        self.values = Values(events, shapes) if len(shapes) == len(steps) else None
        self._unknown: _Unknown[S] = _Unknown(self.values)
        self._reads: tuple[tuple[int, Callable[[S], bool], int], ...] = ()
        self._moves: tuple[Move[S], ...] = ()
        self._shaped = 0
        self._free: list[int] = []
        self._most = 0
        bits: dict[int, int] = {}
        self.nodes: list[Node[S] | None] = []
        for at, (_, is_return, index) in enumerate(events):
            unknown = self._unknown.at(at)
            if is_return:
                bit = bits.pop(index)
                self.nodes.append(Node(bit, index, None, self._reads, self._moves, self._shaped, unknown))
                self._ends(bit, steps[index])
            elif steps[index].returned_s == inf:
                self._unknown.add(at, index, steps[index])
                self.nodes.append(None)
            else:
                bits[index] = self._begins(index, steps[index])
                sees = steps[index].sees
                self.nodes.append(None if sees is None else Node(bits[index], index, sees))
        self.unknown = self._unknown.count

    def _begins(self, index: int, step: Step[S]) -> int:
        """Bits are used again, so that the numbers which they make up stay small."""
        if not self._free:
            self._free.append(1 << self._most)
            self._most += 1
        bit = self._free.pop()
        if step.sees is not None:
            self._reads += ((bit, step.sees, index),)
        if step.apply is not None:
            self._moves += (_move(bit, 0, step, step.apply),)
            self._shaped |= bit if step.shape is not None else 0
        return bit

    def _ends(self, bit: int, step: Step[S]) -> None:
        if step.sees is not None:
            self._reads = tuple([read for read in self._reads if read[0] != bit])
        if step.apply is not None:
            self._moves = tuple([move for move in self._moves if move[0] != bit])
            self._shaped &= ~bit
        self._free.append(bit)
