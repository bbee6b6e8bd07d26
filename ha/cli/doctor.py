"""``ha doctor``: whether this machine can do it."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table

from ha.cli import exits
from ha.cli.console import show, show_json
from ha.world.real.doctor import examine

__all__ = ["register"]

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "missing": "[dim]missing[/]", "error": "[red]error[/]"}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="check whether this machine can run clusters",
        description="Examine the machine and the optional programs. Exit code: 0 clusters can run here, 1 not.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.set_defaults(command=_command)


def _command(arguments: argparse.Namespace) -> int:
    findings = examine(Path.cwd())
    fit = all(finding.grade != "error" for finding in findings)
    if arguments.json:
        show_json({"fit": fit, "findings": findings})
    else:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for finding in findings:
            table.add_row(_MARKS[finding.grade], finding.what, finding.found, finding.advice)
        show(table)
    return exits.OK if fit else exits.FAILED
