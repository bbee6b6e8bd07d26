"""The result of a benchmark: what ``benchmark.json`` holds and its report shows. The schema is documented here."""

from __future__ import annotations

from typing import Literal

import msgspec

from ha.history.result import Machine

__all__ = ["BenchmarkResult", "FigureTable", "Row"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure, beside a reference that was measured in the same rounds, in turns with it.

    `ours` and `reference` are the medians of their rounds, `ratio` is the median of the ratios round by round: what
    slows the machine down for a while slows both.
    """

    name: str
    ours: float
    reference: float | None = None
    ratio: float | None = None
    unit: str
    ours_rounds: list[float]
    reference_rounds: list[float] = []
    """As many, or none."""
    at_least: float | None = None
    """The target of `ours`; None: there is none."""
    at_most: float | None = None
    ratio_at_least: float | None = None
    """The target of `ratio`."""
    ratio_at_most: float | None = None
    met: bool | None = None
    """Whether the medians meet the targets; None: there are none."""

    @property
    def ratio_rounds(self) -> list[float]:
        """Ours divided by the reference, round by round; empty where there is none."""
        return [a / b for a, b in zip(self.ours_rounds, self.reference_rounds, strict=False)]


class FigureTable(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever else is worth showing: a profile, a scoreboard."""

    title: str
    note: str = ""
    columns: list[str]
    figures_from: int = 1
    """The columns from this one on are figures."""
    rows: list[list[str | float | int | None]]


class BenchmarkResult(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result, one JSON object."""

    schema: Literal["ha/benchmark/v1"] = "ha/benchmark/v1"
    name: str
    question: str
    measure: str
    reference: str
    """What the reference is."""
    rounds: int
    parameters: dict[str, object]
    """The other fields of the file."""
    rows: list[Row]
    tables: list[FigureTable]
    targets_met: bool | None
    """Whether every target is met; None: there is none."""
    machine: Machine
    versions: dict[str, str]
    commit: str | None
    """Of the checkout, with ``-dirty`` when files differ from it; None when there is no checkout."""
    started: str
    """UTC, RFC 3339."""
    duration_s: float
    run_dir: str
    repeat: str
    """The command that repeats it."""
