"""Draws the case of a seed, and shrinks it: the only file that talks to Hypothesis's engine.

A seed must name the same case in every process, so what Hypothesis would mix in is left out: its database, and its
habit of drawing constants that it finds in whatever modules have been imported by then. Hence a backend of our own
(see "alternative backends" in its manual), which draws evenly from the seed alone. The version is pinned, since another
one may turn the same choices into another case.

Hypothesis always begins with the simplest case, which is that of no seed, and is skipped; the second one is ours. To
shrink, it is drawn again and said to fail, and so does whatever `fails` says of the smaller ones that Hypothesis tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, NoReturn, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.errors import NoSuchExample
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider, PrimitiveProvider
from hypothesis.strategies import SearchStrategy

from ha.world import Random

__all__ = ["EnoughError", "draw", "shrink"]

T = TypeVar("T")

_BACKEND = "ha-seed"


class EnoughError(BaseException):
    """Ends shrinking where it stands. Not an Exception, which Hypothesis would take for a failure of the case."""


def draw(strategy: SearchStrategy[T], seed: int) -> T:
    """The case of a seed."""
    drawn: list[T] = []

    def remember(case: T) -> bool:
        drawn.append(case)
        return False

    try:
        _find(strategy, remember, seed, (Phase.generate,))
    except NoSuchExample:
        return drawn[1]
    raise AssertionError("no case was said to be the one")


def shrink(strategy: SearchStrategy[T], seed: int, fails: Callable[[T], bool]) -> T:
    """The simplest case that still fails, from the failing one of a seed. `fails` must answer the same each time; it
    is asked last for the simplest of all, which Hypothesis takes to have been tried. It may raise EnoughError: then the
    simplest that was found by then is returned.
    """
    drawn: list[T] = []
    failed: list[T] = []

    def still_fails(case: T) -> bool:
        if len(drawn) < 2:
            drawn.append(case)
            failed.append(drawn[-1])
            return len(drawn) == 2
        if case == drawn[1] or fails(case):
            failed.append(case)
            return True
        return False

    try:
        smallest = _find(strategy, still_fails, seed, (Phase.generate, Phase.shrink))
        return drawn[0] if fails(drawn[0]) else smallest
    except EnoughError:
        return min(failed[1:], key=lambda case: len(repr(case)))


def _find(strategy: SearchStrategy[T], condition: Callable[[T], bool], seed: int, phases: tuple[Phase, ...]) -> T:
    AVAILABLE_PROVIDERS[_BACKEND] = type("SeededProvider", (_Provider,), {"seed": seed})
    chosen = settings(
        backend=_BACKEND,
        database=None,
        deadline=None,
        max_examples=2,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    with _without_constants():
        return hypothesis.find(strategy, condition, settings=chosen, random=Random(seed))


@contextmanager
def _without_constants() -> Iterator[None]:
    """Shrinking draws now and then, too, and by Hypothesis's own backend."""
    original = HypothesisProvider._maybe_draw_constant  # noqa: SLF001

    def draw_none(*_: object, **__: object) -> None:
        return None

    HypothesisProvider._maybe_draw_constant = draw_none  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        HypothesisProvider._maybe_draw_constant = original  # type: ignore[method-assign]  # noqa: SLF001


class _Provider(PrimitiveProvider):
    """Even draws. Cases are made of booleans and bounded integers, so there is nothing else to draw."""

    lifetime = "test_function"
    seed: ClassVar[int]

    def __init__(self, conjecturedata: object, /) -> None:
        super().__init__(conjecturedata)  # type: ignore[arg-type]
        self._random = Random(self.seed)

    def draw_boolean(self, p: float = 0.5) -> bool:
        return self._random.random() < p

    def draw_integer(
        self,
        min_value: int | None = None,
        max_value: int | None = None,
        *,
        weights: dict[int, float] | None = None,
        shrink_towards: int = 0,  # noqa: ARG002  (matters to those who prefer simple values)
    ) -> int:
        assert min_value is not None, "bounded"
        assert max_value is not None, "bounded"
        assert weights is None, "weights are drawn as table entries"
        return self._random.randint(min_value, max_value)

    def draw_float(self, **_: object) -> NoReturn:
        raise AssertionError("a case has no float of its own")

    def draw_string(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError("a case has no text of its own")

    def draw_bytes(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError("a case has no bytes of its own")
