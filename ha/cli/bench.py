"""``ha bench``: a question in, figures out."""

from __future__ import annotations

import argparse
import shutil
from multiprocessing import cpu_count
from pathlib import Path

from ha.cli import exits
from ha.cli.console import live_console, show, show_json
from ha.cli.errors import CommandError
from ha.cli.invocation import command
from ha.cli.places import note_size, run_directory
from ha.experiment.bench import bench
from ha.experiment.benchmarks import CannotMeasureError, mutants
from ha.history.benchmark import BenchmarkResult
from ha.report.benchmark import closing, render, write
from ha.report.measuring import BenchmarkProgress
from ha.spec import Benchmark
from ha.spec.load import benchmark, resolve

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench",
        help="answer a question with figures, beside a reference",
        description="Measure what a Benchmark asks, in rounds, each in turns with its reference, and write a report. "
        "Exit code: 0 every target is met (or there is none), 1 one is missed, 2 the input is wrong, 3 it could not be "
        "measured.",
    )
    parser.add_argument("file", help="a Benchmark: a file, or a name of the catalogue")
    parser.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        help="processes, for measures that can use them (default: one for each core)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run directory (default: a new one under runs/)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on stdout")
    parser.set_defaults(command=_command)


def _command(arguments: argparse.Namespace) -> int:
    spec = benchmark(arguments.file)
    mutants.check(spec, arguments.file)
    directory = run_directory(arguments.out, spec.name)
    inputs = directory / "inputs"
    inputs.mkdir()
    for file in [arguments.file, *spec.references().values()]:
        source = resolve(file, beside=None if file == arguments.file else resolve(arguments.file))
        shutil.copy(source, inputs / source.name)
    result = _measured(spec, arguments, directory)
    write(result, directory)
    if arguments.json:
        show_json(result)
    else:
        show(render(result))
        print(*closing(result), sep="\n")
    note_size(directory)
    return exits.FAILED if result.targets_met is False else exits.OK


def _measured(spec: Benchmark, arguments: argparse.Namespace, directory: Path) -> BenchmarkResult:
    jobs = ["--jobs", str(arguments.jobs)] if arguments.jobs else []
    repeat = command(["bench", arguments.file, *jobs])
    progress = BenchmarkProgress(live_console())
    try:
        return bench(spec, jobs=arguments.jobs or cpu_count(), listener=progress, directory=directory, repeat=repeat)
    except CannotMeasureError as error:
        raise CommandError(str(error), exits.INCONCLUSIVE) from error


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value
