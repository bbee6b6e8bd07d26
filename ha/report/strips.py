"""Every round of every row as a dot on a logarithmic scale: medians, spread, reference and target at a glance.

First what ours is as a multiple of the reference, all rows on one scale; then the figures themselves, where rows of one
unit share a scale. The dots are SVG that stretches with the page, the words are HTML beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import ceil, floor, log10

from ha.history.benchmark import Row
from ha.report import words
from ha.report.markup import Markup, el, fragment

__all__ = ["ratios", "strips"]

_NOTE = (
    "Every round is a dot, the median a line: filled ours, hollow the reference; the dashed line is the target. The "
    "scale is logarithmic."
)


_RATIO_NOTE = (
    "Every dot is a round: ours divided by the reference of the same round; the line is the median. At 1 both are the "
    "same; the dashed line is the target. The scale is logarithmic."
)


def ratios(rows: Sequence[Row]) -> Markup | None:
    """Ours as a multiple of the reference, of all rows that have one."""
    compared = [row for row in rows if row.ratio is not None and min(*row.ratio_rounds, row.ratio) > 0]
    if not compared:
        return None
    targets = [bound for row in compared for bound in (row.ratio_at_least, row.ratio_at_most) if bound is not None]
    scale = _Scale([1.0, *chain.from_iterable(row.ratio_rounds for row in compared), *targets])
    lanes = [
        _lane(row.name, _ratio_strip(row, scale), el("div", words.times(row.ratio), class_="lane-figure"))
        for row in compared
    ]
    note = el("figcaption", _RATIO_NOTE)
    return el("figure", el("div", *lanes, _axis(scale, " x")), note, class_="strips ratios")


def strips(rows: Sequence[Row]) -> Markup:
    """All rows that have something to show, unit by unit."""
    units = dict.fromkeys(row.unit for row in rows)
    drawn = [_unit(unit, [row for row in rows if row.unit == unit]) for unit in units]
    return el("figure", *drawn, el("figcaption", _NOTE), class_="strips")


class _Scale:
    """From the next 1, 2 or 5 below the least value to the next one above the greatest."""

    def __init__(self, values: Sequence[float]) -> None:
        positive = [value for value in values if value > 0]
        ticks = _round_numbers(min(positive, default=1.0), max(positive, default=1.0))
        self.ticks = ticks if len(ticks) > 1 else [ticks[0] / 2, *ticks]

    def percent(self, value: float) -> str:
        """How far from the left; what is not positive stands at the left edge."""
        low, high = log10(self.ticks[0]), log10(self.ticks[-1])
        share = (log10(value) - low) / (high - low) if value > 0 else 0.0
        return f"{100 * share:.2f}%"


def _round_numbers(low: float, high: float) -> list[float]:
    found = [m * 10.0**e for e in range(floor(log10(low)) - 1, ceil(log10(high)) + 2) for m in (1, 2, 5)]
    first = max(i for i, value in enumerate(found) if value <= low)
    last = min(i for i, value in enumerate(found) if value >= high)
    return found[first : last + 1]


def _unit(unit: str, rows: Sequence[Row]) -> Markup:
    targets = [bound for row in rows for bound in (row.at_least, row.at_most) if bound is not None]
    scale = _Scale([*chain.from_iterable((*row.ours_rounds, *row.reference_rounds) for row in rows), *targets])
    lanes = [_lane(row.name, _strip(row, scale)) for row in rows]
    return el("div", el("h3", unit), *lanes, _axis(scale))


def _lane(name: str, *parts: Markup) -> Markup:
    return el("div", el("div", name, class_="lane-name", title=name), *parts, class_="lane")


def _axis(scale: _Scale, after: str = "") -> Markup:
    ticks = [
        el("span", f"{tick:,.10g}{after}", style=f"left:{scale.percent(tick)}")
        for tick in scale.ticks
        if len(scale.ticks) <= 7 or f"{tick:e}".startswith("1")
    ]
    return el("div", *ticks, class_="axis")


def _strip(row: Row, scale: _Scale) -> Markup:
    return _drawn(
        _words(row),
        *(_mark(bound, scale, "d-target") for bound in (row.at_least, row.at_most)),
        _dots(row.reference_rounds, row.reference, scale, "d-reference"),
        _dots(row.ours_rounds, row.ours, scale, "d-ours"),
    )


def _ratio_strip(row: Row, scale: _Scale) -> Markup:
    return _drawn(
        f"{row.name}: {words.times(row.ratio)}",
        _mark(1.0, scale, "d-same"),
        *(_mark(bound, scale, "d-target") for bound in (row.ratio_at_least, row.ratio_at_most)),
        _dots(row.ratio_rounds, row.ratio, scale, "d-ours" if row.met is not False else "d-missed"),
    )


def _drawn(label: str, *parts: Markup | None) -> Markup:
    rule = el("line", x1="0%", x2="100%", y1=13, y2=13, class_="d-rule")
    return el("div", el("svg", rule, *parts, role="img", aria_label=label), class_="strip")


def _mark(value: float | None, scale: _Scale, look: str) -> Markup | None:
    """A line across the strip."""
    if value is None:
        return None
    at = scale.percent(value)
    return el("line", x1=at, x2=at, y1=0, y2=26, class_=look)


def _dots(values: Sequence[float], middle: float | None, scale: _Scale, look: str) -> Markup | None:
    if middle is None:
        return None
    at = scale.percent(middle)
    return fragment(
        [el("circle", cx=scale.percent(value), cy=13, r=4, class_=look) for value in values],
        el("line", x1=at, x2=at, y1=4, y2=22, class_=look),
    )


def _words(row: Row) -> str:
    beside = f"; reference {words.figure(row.reference)}" if row.reference is not None else ""
    return f"{row.name}: {words.figure(row.ours)} {row.unit}{beside}"
