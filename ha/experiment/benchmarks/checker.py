"""How fast a history is checked, how much memory that takes, and how both grow.

Histories are made up in memory (`ha.experiment.benchmarks.histories`), so what is measured is the check alone: with
revisions on columns, without on calls. Every case is measured in each round, the small ones next to the large ones, so
the growth of a round is that of the same minute. A check never waits, so what is told is how long a core is busy with
it: what else the machine does meanwhile is not counted. Memory is the highest sum of what a check allocates at once,
seen in a run of its own, for watching that costs time.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time  # noqa: TID251  (real time is what is measured)

import msgspec

from ha.check import linearizability, values
from ha.check.linearizability import Linearizability
from ha.experiment.benchmarks import CannotMeasureError, Listener, Measure, Measured, row
from ha.experiment.benchmarks.histories import SHAPE, as_calls, as_columns
from ha.history.benchmark import FigureTable, Row
from ha.spec import CheckerCase, CheckerSpeed

__all__ = ["MEASURE"]

_MIB = 1 << 20


class _Case(msgspec.Struct, frozen=True):
    """A case, its history, and what was measured of it so far."""

    spec: CheckerCase
    check: Callable[[], Linearizability]
    taken_s: list[float] = []
    memory_mib: list[float] = []
    methods: set[str] = set()
    """How it was judged."""


def _measure(spec: CheckerSpeed, _jobs: int, listener: Listener, _directory: Path) -> Measured:
    total = len(spec.cases) * (spec.rounds + 1)
    cases = []
    for number, case in enumerate(spec.cases):
        listener.step(number, total, f"memory: {case.title}")
        cases.append(_Case(case, _checker(case, spec.seed)))
        _watch_memory(cases[-1])
    for i in range(spec.rounds):
        for j, made in enumerate(cases):
            listener.step((i + 1) * len(cases) + j, total, f"round {i + 1}: {made.spec.title}")
            made.taken_s.append(_check(made))
            listener.note(f"{made.taken_s[-1] * 1000:,.1f} ms of a core")
    rows = [one for made in cases for one in _rows(made, cases)]
    return Measured(rows=rows, tables=[_methods(cases), *_recorded(spec, cases)])


def _checker(case: CheckerCase, seed: int) -> Callable[[], Linearizability]:
    if case.tells == "revisions":
        columns = as_columns(case.operations, seed)
        return lambda: linearizability.check_columns(columns)
    calls = as_calls(case.operations, seed)
    return lambda: values.check(calls, initial=None)


def _watch_memory(case: _Case) -> None:
    _check(case)  # what is allocated once for all is there
    tracemalloc.start()
    try:
        _check(case)
        case.memory_mib.append(tracemalloc.get_traced_memory()[1] / _MIB)
    finally:
        tracemalloc.stop()


def _check(case: _Case) -> float:
    """Seconds that a core is busy with it; garbage is collected before and not meanwhile, as in ``ha check``."""
    gc.collect()
    gc.disable()
    try:
        begun_s = process_time()
        found = case.check()
        taken_s = process_time() - begun_s
    finally:
        gc.enable()
    case.methods.add(found.method)
    if found.verdict is not True:
        raise CannotMeasureError(f"{case.spec.title}: a history that is linearizable was found {found.verdict}")
    return taken_s


def _rows(case: _Case, cases: list[_Case]) -> list[Row]:
    spec = case.spec
    at_most_ms = None if spec.at_most_s is None else spec.at_most_s * 1000
    rows = [
        row(f"{spec.title}: time", "ms of a core", [taken_s * 1000 for taken_s in case.taken_s], at_most=at_most_ms),
        row(f"{spec.title}: memory", "MiB", case.memory_mib, at_most=spec.memory_at_most_mib),
    ]
    tenth = next((one for one in cases if _is_tenth(one.spec, spec)), None)
    if tenth is not None:
        growth = [large / small for large, small in zip(case.taken_s, tenth.taken_s, strict=True)]
        rows.append(row(f"{spec.title}: beside a tenth", "x", growth, at_most=spec.growth_at_most))
    return rows


def _is_tenth(one: CheckerCase, other: CheckerCase) -> bool:
    return one.tells == other.tells and one.operations == other.operations // 10


def _methods(cases: list[_Case]) -> FigureTable:
    return FigureTable(
        title="How they were judged",
        note=f"Made up: {SHAPE}.",
        columns=["operations", "method", "each second of a core"],
        figures_from=2,
        rows=[
            [case.spec.title, ", ".join(sorted(case.methods)), round(case.spec.operations / median(case.taken_s))]
            for case in cases
        ],
    )


def _recorded(spec: CheckerSpeed, cases: list[_Case]) -> list[FigureTable]:
    """What others took once, word by word as the file tells it."""
    rows: list[list[str | float | int | None]] = [
        [case.spec.title, case.spec.recorded, f"{median(case.taken_s) * 1000:,.1f} ms"]
        for case in cases
        if case.spec.recorded
    ]
    if not rows:
        return []
    note = f"Not measured now, and not on this machine, so no ratio is told. {spec.recorded_from}"
    return [
        FigureTable(title="Recorded of others", note=note, columns=["", "recorded", "ours, now, of a core"], rows=rows)
    ]


MEASURE = Measure(
    name="checker",
    reference="none; what was recorded of another checker stands in a table of its own",
    measure=_measure,
)
