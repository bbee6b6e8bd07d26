"""``ha schema``: the file format for editors and other tools."""

from __future__ import annotations

import argparse

from ha.cli import exits
from ha.cli.console import show_json
from ha.spec.schema import KINDS, schema

__all__ = ["register"]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "schema",
        help="print the JSON Schema of the files",
        description="Print the JSON Schema (2020-12) of the files of one kind, or of all, so that an editor completes "
        "and checks them. What stands between fields only `ha validate` checks.",
    )
    parser.add_argument("kind", nargs="?", choices=list(KINDS), help="one kind of files (default: all)")
    parser.set_defaults(command=_command)


def _command(arguments: argparse.Namespace) -> int:
    show_json(schema(arguments.kind))
    return exits.OK
