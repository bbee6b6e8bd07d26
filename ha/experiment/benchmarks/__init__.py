"""The catalogue of measures: every module of this package that defines `MEASURE` is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from statistics import median
from typing import Any, Protocol

import msgspec

from ha.history.benchmark import FigureTable, Row

__all__ = ["Listener", "Measure", "Measured", "registry", "row"]


class Listener(Protocol):
    """Told of how far a measurement is; must not block."""

    def step(self, done: int, total: int, what: str) -> None:
        """So many of the steps are done; this is the next one."""
        ...

    def note(self, text: str) -> None:
        """Something was found out."""
        ...


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a measure found."""

    rows: list[Row]
    tables: list[FigureTable] = []
    versions: dict[str, str] = {}
    """Of what else was measured."""


@dataclass(frozen=True, slots=True)
class Measure:
    """An entry of the catalogue. `name` is the `measure` that files give."""

    name: str
    reference: str
    """What the reference of its rows is, in a sentence."""
    measure: Callable[[Any, int, Listener, Path], Measured]
    """From the Benchmark of that measure, how many processes may be busy at once, and where files may be written. Must
    not be called within trio. Raises CannotMeasureError, and SpecError for what this machine does not have.
    """


class CannotMeasureError(Exception):
    """What is to be measured does not work; the message says what happened."""


def registry() -> dict[str, Measure]:
    """Every measure by its name, sorted."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    measures: list[Measure] = [module.MEASURE for module in modules if hasattr(module, "MEASURE")]
    return {measure.name: measure for measure in sorted(measures, key=lambda measure: measure.name)}


def row(
    name: str,
    unit: str,
    ours: Sequence[float],
    reference: Sequence[float] = (),
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    ratio_at_least: float | None = None,
    ratio_at_most: float | None = None,
) -> Row:
    """A row from the figures of its rounds, and of as many of the reference, each measured beside its own, or none."""
    middle = median(ours)
    ratio = median(a / b for a, b in zip(ours, reference, strict=True)) if reference else None
    tests = [
        None if at_least is None else middle >= at_least,
        None if at_most is None else middle <= at_most,
        None if ratio_at_least is None or ratio is None else ratio >= ratio_at_least,
        None if ratio_at_most is None or ratio is None else ratio <= ratio_at_most,
    ]
    met = None if all(test is None for test in tests) else False not in tests
    return Row(
        name=name,
        ours=middle,
        reference=median(reference) if reference else None,
        ratio=ratio,
        unit=unit,
        ours_rounds=list(ours),
        reference_rounds=list(reference),
        at_least=at_least,
        at_most=at_most,
        ratio_at_least=ratio_at_least,
        ratio_at_most=ratio_at_most,
        met=met,
    )
