"""``ha validate``: whether files are right, and what is right in them but unwise."""

from __future__ import annotations

import argparse
import sys

from ha.cli import exits
from ha.cli.console import show_json
from ha.experiment import worlds
from ha.experiment.benchmarks import mutants
from ha.spec import Benchmark, Experiment, Scenario
from ha.spec.load import Problem, Spec, SpecError, advice, kind_of, load, resolve, scenario

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "validate",
        help="check files without running anything",
        description="Check Topology, Experiment, Scenario and Benchmark files, and what they refer to. All problems of "
        "all files are reported. Exit code: 0 all are valid, 2 not.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file, or a name of the catalogue")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(command=_command)


def _command(arguments: argparse.Namespace) -> int:
    problems: list[Problem] = []
    valid: list[str] = []
    notes: list[str] = []
    for file in arguments.files:
        try:
            spec = load(resolve(file))
            if isinstance(spec, Scenario):
                worlds.check(spec, file)
            if isinstance(spec, Benchmark):
                mutants.check(spec, file)
            notes += (f"{file}: {sentence}" for sentence in _advice(spec, file))
        except SpecError as error:
            problems += error.problems
        else:
            valid.append(f"{file}: {kind_of(spec)} {spec.name}")
    if arguments.json:
        show_json({"valid": not problems, "problems": problems, "notes": notes})
    else:
        for line in valid:
            print(f"{line}: valid")
        for note in notes:
            print(f"ha: note: {note}", file=sys.stderr)
        for problem in problems:
            print(f"ha: {problem}", file=sys.stderr)
    return exits.BAD_INPUT if problems else exits.OK


def _advice(spec: Spec, file: str) -> list[str]:
    """About a Scenario, or an Experiment on each of its topologies: each sentence once."""
    scenarios: list[Scenario] = [spec] if isinstance(spec, Scenario) else []
    if isinstance(spec, Experiment):
        scenarios = [scenario(resolve(name, beside=resolve(file)), file) for name in spec.topologies]
    return list(dict.fromkeys(sentence for one in scenarios for sentence in advice(one)))
