"""``ha``: parses argv, calls one command, maps what it raises to an exit code."""

from __future__ import annotations

import argparse
import errno
import select
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import ha
from ha.cli import bench, chaos, check, clusters, doctor, exits, fuzz, report, run, schema, validate
from ha.cli.errors import CommandError
from ha.spec.load import SpecError

__all__ = ["main"]

_COMMANDS = (run, fuzz, check, validate, schema, report, bench, clusters, chaos, doctor)
_EXAMPLES = """\
examples:
  ha run stacked-3                               kill the etcd leader's node under load, and judge it
  ha run external-3 --chaos kill-control-plane   another topology, another failure
  ha fuzz stacked-3 --budget 60s                 search for a schedule of faults that breaks it, in simulation
  ha check history.jsonl                         judge a recorded history, of ours or of another tool
  ha up stacked-3; ha status; ha down            a cluster that stays, for kubectl
  ha chaos pause etcd-leader --for 5s            a fault, by hand, on a cluster that stays
"""


_OF_THE_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG, errno.EPIPE}
)
"""What the system refuses for reasons of the user's machine, not of ours."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    _replace_closed_streams()
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments)
    except BrokenPipeError:  # while something was told
        return exits.READER_GONE
    finally:
        _drop_broken_streams()


def _run(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.command(arguments)
        sys.stdout.flush()  # here, where a failure can still be told
    except SpecError as error:
        for problem in error.problems:
            print(f"ha: {problem}", file=sys.stderr)
        return exits.BAD_INPUT
    except CommandError as error:
        print(f"ha: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("ha: interrupted", file=sys.stderr)
        return exits.INTERRUPTED
    except Exception as error:  # noqa: BLE001  (exit code 1 is a verdict, and a failure of ours is none)
        return _tell(error)
    return code


def _tell(error: Exception) -> int:
    refusals = _refused_by_the_machine(error)
    if any(isinstance(one, BrokenPipeError) for one in refusals) and _is_reader_gone():
        return exits.READER_GONE
    for refused in refusals:
        if not isinstance(refused, BrokenPipeError):  # else it is a pipe of ours
            where = f"{refused.filename}: " if refused.filename is not None else ""
            print(f"ha: {where}{refused.strerror}", file=sys.stderr)
            return exits.INCONCLUSIVE
    traceback.print_exception(error)
    print("ha: this is a defect of ha itself; nothing is said about the claim", file=sys.stderr)
    return exits.INCONCLUSIVE


def _refused_by_the_machine(error: BaseException) -> list[OSError]:
    """The errors of this kind, when there is nothing else."""
    if isinstance(error, BaseExceptionGroup):
        found = [_refused_by_the_machine(one) for one in error.exceptions]
        return [one for several in found for one in several] if all(found) else []
    return [error] if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE else []


def _is_reader_gone() -> bool:
    """Whether nobody reads stdout or stderr any more."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # it is no file, or closed
            poll.register(stream.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _replace_closed_streams() -> None:
    """A stream that was closed (``>&-``) takes what it gets, and no file of ours gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path("/dev/null").open(mode, encoding="utf-8"))  # noqa: SIM115  (until the end)


def _drop_broken_streams() -> None:
    """What cannot be written any more is not tried again at exit, where it would be told as a failure of Python."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError):
                stream.close()


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
