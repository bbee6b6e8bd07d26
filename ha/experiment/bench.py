"""A benchmark, from its file to its result."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ha.experiment import environment
from ha.experiment.benchmarks import Listener, registry
from ha.history.benchmark import BenchmarkResult
from ha.spec import Benchmark

__all__ = ["bench"]


def bench(spec: Benchmark, *, jobs: int, listener: Listener, directory: Path, repeat: str) -> BenchmarkResult:
    """Measure. `jobs`: how many processes may be busy at once. Raises CannotMeasureError."""
    measure = registry()[spec.measure]
    started = datetime.now(UTC)
    commit = environment.commit()  # now: the checkout may change meanwhile, what has been imported does not
    measured = measure.measure(spec, jobs, listener, directory)
    met = [row.met for row in measured.rows if row.met is not None]
    return BenchmarkResult(
        name=spec.name,
        question=spec.question,
        measure=spec.measure,
        reference=measure.reference,
        rounds=spec.rounds,
        parameters=_parameters(spec),
        rows=measured.rows,
        tables=measured.tables,
        targets_met=all(met) if met else None,
        machine=environment.machine(),
        versions=environment.versions() | measured.versions,
        commit=commit,
        started=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=round((datetime.now(UTC) - started).total_seconds(), 3),
        run_dir=str(directory),
        repeat=repeat,
    )


def _parameters(spec: Benchmark) -> dict[str, object]:
    """The fields of its own that the measure brought."""
    fields: dict[str, object] = msgspec.to_builtins(spec)
    inherited = {field.encode_name for field in msgspec.structs.fields(Benchmark)}
    return {name: value for name, value in fields.items() if name not in inherited}
