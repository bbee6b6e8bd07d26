"""Histories of any tool: every module of this package that defines `FORMAT` reads one format.

Which one it is shows in the first line. A format is read whole or not at all: what a reader does not understand is an
error with its line, what stands there and what may stand there, because a checker that skips operations proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal, TypeAlias

from ha.history import Operation
from ha.history.calls import Call
from ha.history.columns import Columns
from ha.history.jsonl import HistoryFormatError

__all__ = ["Format", "History", "ReadProgress", "bad_line", "detect", "excerpt", "registry"]

ReadProgress: TypeAlias = Callable[[int], None]
"""Told of how many operations were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a file tells. Either `columns` (of a store that tells revisions) or `calls` are there."""

    columns: Columns | None = None
    calls: Sequence[Call] = ()
    store: Sequence[Operation] = ()
    """Operations on a store itself, with their requests and answers."""
    initial: str | None = None
    """What keys hold in the beginning, where `calls` are there."""
    unit: Literal["line", "s"] = "line"
    """What times are counted in."""
    torn: bool = False
    """The last line was not written to its end, and is left out."""

    def __len__(self) -> int:
        return len(self.calls if self.columns is None else self.columns) + len(self.store)


@dataclass(frozen=True, slots=True)
class Format:
    """An entry of the registry."""

    name: str
    about: str
    """What it is, in a few words."""
    matches: Callable[[bytes], bool]
    """Whether a file begins with such a line."""
    read: Callable[[bytes, str, ReadProgress], History]
    """From content and name of the file. Raises HistoryFormatError."""


@cache
def registry() -> Mapping[str, Format]:
    """Every format by its name, sorted."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    formats: list[Format] = [module.FORMAT for module in modules]
    return {known.name: known for known in sorted(formats, key=lambda known: known.name)}


def detect(data: bytes, source: str) -> Format | None:
    """The format of a file; None: it is empty. Raises HistoryFormatError."""
    number, start = 1, 0
    while start < len(data):
        end = data.find(b"\n", start)
        line = data[start : end if end >= 0 else len(data)]
        if line.strip():
            break
        number, start = number + 1, start + len(line) + 1
    else:
        return None
    found = next((known for known in registry().values() if known.matches(line)), None)
    if found is None:
        allowed = "; ".join(f"{known.name}: {known.about}" for known in registry().values())
        raise bad_line(source, number, "is the first line of no known format", line, allowed)
    return found


def bad_line(source: str, number: int, reason: str, line: bytes, allowed: str) -> HistoryFormatError:
    """What is wrong with a line, what stands there, and what may stand there."""
    return HistoryFormatError(f"{source}:{number}: {reason}: {excerpt(line)}; allowed: {allowed}")


def excerpt(line: bytes) -> str:
    """A line, shortened."""
    text = line.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= 80 else text[:77] + "...")
