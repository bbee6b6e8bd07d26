"""``ha validate``: whether files are right."""

from __future__ import annotations

import argparse
import sys

from ha.cli import exits
from ha.cli.console import show_json
from ha.experiment import worlds
from ha.spec import Scenario
from ha.spec.load import Problem, SpecError, kind_of, load, resolve

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
    for file in arguments.files:
        try:
            spec = load(resolve(file))
            if isinstance(spec, Scenario):
                worlds.check(spec, file)
        except SpecError as error:
            problems += error.problems
        else:
            valid.append(f"{file}: {kind_of(spec)} {spec.name}")
    if arguments.json:
        show_json({"valid": not problems, "problems": problems})
    else:
        for line in valid:
            print(f"{line}: valid")
        for problem in problems:
            print(f"ha: {problem}", file=sys.stderr)
    return exits.BAD_INPUT if problems else exits.OK
