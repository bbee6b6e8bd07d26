"""``ha report``: a finished run, shown again."""

from __future__ import annotations

import argparse
from pathlib import Path

from ha.cli import exits
from ha.cli.console import show, show_json
from ha.cli.errors import CommandError
from ha.report.directory import RunDirectoryError, load, write
from ha.report.terminal import closing, render

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "report",
        help="show a finished run again, and write its report anew",
        description="Read a run directory, write report.html, junit.xml and result.json anew, and print the summary. "
        "Exit code: that of the run.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a run directory")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on stdout")
    parser.set_defaults(command=_command)


def _command(arguments: argparse.Namespace) -> int:
    directory: Path = arguments.directory.absolute()
    try:
        run = load(directory)
    except RunDirectoryError as error:
        raise CommandError(str(error), exits.BAD_INPUT) from error
    write(run, directory)
    if arguments.json:
        show_json(run.result)
    else:
        show(render(run.result))
        print(*closing(run.result), sep="\n")
    return exits.of_verdict(run.result.verdict)
