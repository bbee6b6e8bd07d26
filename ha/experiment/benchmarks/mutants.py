"""The scoreboard of planted bugs: found or not, after how many seeds, by which checker, with how many faults.

A search is what `ha fuzz --mutant NAME` does, on one core: one seed after the other until a case is convicted. Its time
is that of the processor, so that searches side by side do not slow each other down. A search that found nothing counts
with the time that it spent, which is over the limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import process_time  # noqa: TID251  (real time is what is measured)

import msgspec

from ha.experiment.benchmarks import Listener, Measure, Measured, row
from ha.experiment.fuzz import trial
from ha.experiment.fuzz.cases import Space
from ha.history.benchmark import FigureTable
from ha.mutants import registry
from ha.spec import Benchmark, Mutants
from ha.spec.problems import Problem, SpecError, nearest

__all__ = ["MEASURE", "check"]

_SEEDS_APART = 100_000
"""Between the first seeds of two rounds."""


class _Task(msgspec.Struct, frozen=True):
    """One search."""

    space: Space
    round: int
    within_s: float
    shrink_s: float | None
    """None: the finding is not shrunk."""


class _Found(msgspec.Struct, frozen=True):
    """What came of it."""

    mutant: str
    seeds: int
    spent_s: float
    kinds: list[str]
    """Empty: nothing was found."""
    faults: int | None = None


def _search(task: _Task) -> _Found:
    begun = process_time()
    assert task.space.mutant is not None
    for tried, seed in enumerate(count(task.round * _SEEDS_APART), start=1):
        judged = trial.judge(task.space, seed)
        spent_s = process_time() - begun
        if judged.kind is not None and spent_s <= task.within_s:
            faults = None
            if task.shrink_s is not None:
                shrunk = trial.shrink(task.space, seed, judged.kind, task.shrink_s)
                faults = len(shrunk.scenario.experiment.faults)
            return _Found(task.space.mutant, tried, spent_s, judged.kinds, faults)
        if spent_s > task.within_s:
            return _Found(task.space.mutant, tried, spent_s, [])
    raise AssertionError("seeds do not end")


def check(spec: Benchmark, file: str) -> None:
    """Whether there are the mutants that a file names, which its kind alone does not tell. Raises SpecError."""
    names = sorted(registry())
    problems = [
        Problem(
            file=file,
            field=f"mutants[{i}]",
            message=f"found {name!r}",
            allowed=", ".join(names),
            nearest=nearest(name, names),
        )
        for i, name in enumerate(spec.mutants if isinstance(spec, Mutants) else ())
        if name not in names
    ]
    if problems:
        raise SpecError(problems)


def _measure(spec: Mutants, jobs: int, listener: Listener, _directory: Path) -> Measured:
    names = spec.mutants or list(registry())
    topology = spec.topologies[spec.topology]
    tasks = [
        _Task(Space(topology=topology, mutant=name), i, spec.within_s, spec.shrink_s if i == 0 else None)
        for i in range(spec.rounds)
        for name in names
    ]
    found: dict[str, list[_Found]] = {name: [] for name in names}
    for done, one in enumerate(_side_by_side(tasks, jobs)):
        found[one.mutant].append(one)
        what = ", ".join(one.kinds) or "not found"
        listener.step(done, len(tasks), f"{one.mutant}: {what}, {one.seeds} seeds, {one.spent_s:.1f} s")
    sizes = [float(one.faults) for rounds in found.values() for one in rounds if one.faults is not None]
    rows = [row(name, "s", [one.spent_s for one in found[name]], at_most=spec.within_s) for name in names]
    if sizes:
        rows.append(row("faults of a shrunk schedule", "faults", sizes, at_most=spec.faults_at_most))
    return Measured(rows=rows, tables=[_scoreboard(found)])


def _side_by_side(tasks: list[_Task], jobs: int) -> Iterator[_Found]:
    """On so many cores; as they are done."""
    with get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_search, tasks)


def _scoreboard(found: dict[str, list[_Found]]) -> FigureTable:
    rows: list[list[str | float | int | None]] = []
    for name, rounds in found.items():
        convicted = [one for one in rounds if one.kinds]
        checkers = Counter(one.kinds[0] for one in convicted)
        faults = next((one.faults for one in rounds if one.faults is not None), None)
        rows.append(
            [
                name,
                ", ".join(checker for checker, _ in checkers.most_common()) or "nobody",
                f"{len(convicted)} of {len(rounds)}",
                median(one.seeds for one in convicted) if convicted else None,
                round(median(one.spent_s for one in convicted), 1) if convicted else None,
                faults,
            ]
        )
    return FigureTable(
        title="Scoreboard",
        note="Seeds and seconds of one core are medians over the rounds that found it.",
        columns=["planted bug", "convicted by", "found", "seeds", "s", "faults when shrunk"],
        figures_from=2,
        rows=rows,
    )


MEASURE = Measure(
    name="mutants",
    reference="none; the target is the time that a search may take",
    measure=_measure,
)
