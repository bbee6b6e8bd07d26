"""What commands print: on stdout tables for people and JSON for programs, on stderr what they are doing.

Tables are laid out for at least 80 columns, also where the window is narrower: a figure that is cut is wrong, one
that wraps is only ugly. Where nobody's window is known (a pipe, a file, CI) they get 100, without trailing blanks.
"""

from __future__ import annotations

import errno
import io
import re
import shutil
import sys

import msgspec
from rich.console import Console, RenderableType

__all__ = ["live_console", "show", "show_json"]

_LEAST_COLUMNS = 80
_COLUMNS_OF_NO_WINDOW = 100
_TRAILING = re.compile(r"(?: |\x1b\[[0-9;]*m)+$", re.MULTILINE)
_RESET = "\x1b[0m"


class _Live(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to whoever started the command: rich would exit with 1, which is a verdict here."""
        raise BrokenPipeError(errno.EPIPE, "nobody reads what is told on stderr")


def live_console() -> Console:
    """Where progress is shown: stderr. Raises BrokenPipeError when nobody reads it any more."""
    return _Live(stderr=True)


def show(renderable: RenderableType) -> None:
    """Print something of rich's on stdout, in colour where stdout takes it."""
    target = Console()
    width = _COLUMNS_OF_NO_WINDOW
    if target.is_terminal:
        width = max(_LEAST_COLUMNS, shutil.get_terminal_size().columns)
    page = Console(file=io.StringIO(), width=width, force_terminal=target.is_terminal)
    with page.capture() as captured:
        page.print(renderable)
    sys.stdout.write(_TRAILING.sub(_without_blanks, captured.get()))


def show_json(value: object) -> None:
    """Print one JSON object on stdout."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _without_blanks(trailing: re.Match[str]) -> str:
    return _RESET if _RESET in trailing[0] else ""
