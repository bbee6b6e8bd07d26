"""``ha``: parses argv, calls one command, maps what it raises to an exit code."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

import ha
from ha.cli import clusters, doctor, exits, report, run, validate
from ha.cli.errors import CommandError
from ha.spec.load import SpecError

__all__ = ["main"]

_COMMANDS = (run, validate, report, clusters, doctor)
_EXAMPLES = """\
examples:
  ha run stacked-3                               kill the etcd leader's node under load, and judge it
  ha run external-3 --chaos kill-control-plane   another topology, another failure
  ha up stacked-3; ha status; ha down            a cluster that stays, for kubectl
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except SpecError as error:
        for problem in error.problems:
            print(f"ha: {problem}", file=sys.stderr)
        return exits.BAD_INPUT
    except CommandError as error:
        print(f"ha: {error}", file=sys.stderr)
        return error.code
    except BrokenPipeError:
        sys.stderr.close()
        return exits.FAILED
    except KeyboardInterrupt:
        print("ha: interrupted", file=sys.stderr)
        return exits.INTERRUPTED
    except Exception:  # noqa: BLE001  (exit code 1 is a verdict, and a failure of ours is none)
        traceback.print_exc()
        print("ha: this is a defect of ha itself; nothing is said about the claim", file=sys.stderr)
        return exits.INCONCLUSIVE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ha",
        description=ha.__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ha {ha.__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.register(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
