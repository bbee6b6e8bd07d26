"""The run directory: everything that is needed to argue about a run, as files.

The experiment writes ``history.jsonl``, ``watches.jsonl`` and ``events.jsonl`` while it runs, so that they survive a
run that dies. `write` adds what is known in the end: ``result.json``, ``junit.xml`` and ``report.html``. `load` reads
a directory back, from whichever version of the reports wrote it: only the data files are read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from ha.history.jsonl import HistoryFormatError, Lines, decode_events, decode_operations
from ha.history.result import Result, Run
from ha.report import html, junit

__all__ = ["RunDirectoryError", "load", "write"]

RESULT, HISTORY, EVENTS = "result.json", "history.jsonl", "events.jsonl"
JUNIT, REPORT = "junit.xml", "report.html"

T = TypeVar("T")


class RunDirectoryError(Exception):
    """The directory is not that of a finished run, or a file in it is damaged; the message names the file."""


def write(run: Run, directory: Path) -> None:
    """Write the result and the reports. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(run.result), indent=2)
    (directory / RESULT).write_bytes(encoded + b"\n")
    (directory / JUNIT).write_bytes(junit.render(run))
    (directory / REPORT).write_text(html.render(run), encoding="utf-8")


def load(directory: Path) -> Run:
    """Read a run back. Raises RunDirectoryError."""
    try:
        result = msgspec.json.decode(_read(directory / RESULT), type=Result)
    except msgspec.MsgspecError as error:
        raise RunDirectoryError(f"{directory / RESULT}: {error}") from None
    return Run(
        result=result,
        operations=_lines(directory / HISTORY, decode_operations),
        events=sorted(_lines(directory / EVENTS, decode_events), key=lambda event: event.at_s),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RunDirectoryError(f"{path}: no such file; is {path.parent} the directory of a finished run?") from None
    except OSError as error:
        raise RunDirectoryError(f"{path}: {error.strerror}") from None


def _lines(path: Path, decode: Callable[[bytes, str], Lines[T]]) -> list[T]:
    try:
        lines = decode(_read(path), str(path))
    except HistoryFormatError as error:
        raise RunDirectoryError(str(error)) from None
    if lines.torn:
        raise RunDirectoryError(f"{path}: its last line was not written to the end")
    return lines.items
