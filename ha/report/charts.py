"""The time series of a report as plain data for the page's script: latency percentiles and throughput."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import msgspec

from ha.check.series import LatencySeries, availability_series, latency_series
from ha.check.summary import split
from ha.history import Operation, PhaseEvent
from ha.history.result import Run
from ha.report.lanes import Span, span_of
from ha.report.series import bucket_s
from ha.report.words import in_force_until_s

__all__ = ["Chart", "Row", "Series", "charts", "table"]

_PERCENTILES = (50.0, 99.0)


class Series(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One curve. `color` is a custom property of the style sheet."""

    label: str
    color: str
    values: list[float | None]
    dash: list[int] = []
    width: float = 1.75
    fill: bool = False
    stepped: bool = False


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Curves over the seconds of the run; `faults` are the intervals in which one was in force."""

    title: str
    unit: str
    log: bool
    start: float
    end: float
    x: list[float]
    series: list[Series]
    faults: list[tuple[float, float]]


class Row(msgspec.Struct, frozen=True):
    """The figures of one interval, for the table that stands in for the charts."""

    start_s: float
    per_s: dict[str, float]
    latency_ms: dict[str, list[float | None]]


def charts(run: Run) -> dict[str, Chart]:
    """Every chart by its identifier."""
    run = _under_load(run)
    span = span_of(run)
    width_s = bucket_s(span.end_s - span.start_s, at_most=150)
    return {"latency": _latency(run, span, width_s), "throughput": _throughput(run, span, width_s)}


def table(run: Run) -> list[Row]:
    """The same figures in at most sixty rows; slices in which nothing happened are left out."""
    run = _under_load(run)
    span = span_of(run)
    width_s = bucket_s(span.end_s - span.start_s, at_most=60)
    rates = availability_series(run.operations, span.start_s, span.end_s, bucket_s=width_s)
    latencies = {group: _percentiles(members, span, width_s) for group, members in split(run.operations).items()}
    rows = [
        Row(
            start_s,
            {"ok": rates.ok[i] / width_s, "fail": rates.fail[i] / width_s, "info": rates.info[i] / width_s},
            {group: [values[i] for values in found.percentiles_ms.values()] for group, found in latencies.items()},
        )
        for i, start_s in enumerate(rates.start_s)
    ]
    return [row for row in rows if any(row.per_s.values())]


def _under_load(run: Run) -> Run:
    """The run with only what clients asked while the load ran: setting up and reading back come in bursts that say
    nothing of the cluster, and would dwarf what does.
    """
    begun = {event.phase: event.at_s for event in run.events if isinstance(event, PhaseEvent)}
    start_s, end_s = begun.get("faults", 0.0), begun.get("recovery", inf)
    asked = [operation for operation in run.operations if start_s <= operation.invoked_s < end_s]
    return msgspec.structs.replace(run, operations=asked)


def _percentiles(operations: Sequence[Operation], span: Span, width_s: float) -> LatencySeries:
    return latency_series(operations, span.start_s, span.end_s, bucket_s=width_s, percentiles=_PERCENTILES)


def _latency(run: Run, span: Span, width_s: float) -> Chart:
    curves: list[Series] = []
    x: list[float] = []
    for group, members in sorted(split(run.operations).items(), reverse=True):
        found = _percentiles(members, span, width_s)
        # A latency stands in the middle of its slice.
        x = [round(start_s + width_s / 2, 6) for start_s in found.start_s]
        middle, tail = (_rounded(values) for values in found.percentiles_ms.values())
        color = f"--{group}"
        if members:
            curves.append(Series(label=f"{group} p99", color=color, values=tail, width=2))
            curves.append(Series(label=f"{group} p50", color=color, values=middle, dash=[3, 3], width=1.5))
    return _chart("Latency of what succeeded, by when it was asked", run, span, unit="ms", log=True, x=x, curves=curves)


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 3) for value in values]


def _throughput(run: Run, span: Span, width_s: float) -> Chart:
    found = availability_series(run.operations, span.start_s, span.end_s, bucket_s=width_s)
    looks = [
        ("succeeded", "--good", found.ok),
        ("refused", "--part", found.fail),
        ("unknown", "--bad", found.info),
    ]
    curves = [
        Series(
            label=label,
            color=color,
            values=[round(n / width_s, 3) for n in counts],
            fill=color == "--good",
            stepped=True,
        )
        for label, color, counts in looks
    ]
    x = [round(start_s, 6) for start_s in found.start_s]
    return _chart("Answers per second", run, span, unit="/s", log=False, x=x, curves=curves)


def _chart(title: str, run: Run, span: Span, *, unit: str, log: bool, x: list[float], curves: list[Series]) -> Chart:
    faults = [(fault.injected_s, in_force_until_s(fault, span.end_s)) for fault in run.result.faults]
    return Chart(title=title, unit=unit, log=log, start=span.start_s, end=span.end_s, x=x, series=curves, faults=faults)
