"""What is wrong with a file, said so that its author can put it right without reading our code.

Every problem names the file, the field and its line, what stands there and what may stand there, and the
nearest valid name when one is near. All problems of a file are reported together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import msgspec

__all__ = ["ROOT", "Problem", "SpecError", "nearest"]

ROOT = "(root)"
"""The path of a problem that concerns the whole file."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `field` is its path (``nodes[1].count``); `line` and `column` count from 1."""

    file: str
    field: str
    line: int | None = None
    column: int | None = None
    message: str
    allowed: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        text = f"{place}: {self.field}: {self.message}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.nearest:
            text += f"; did you mean {self.nearest!r}?"
        return text


class SpecError(Exception):
    """The input is wrong. `problems` is never empty: file by file in the order of reading, each by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        found = list(problems)
        assert found
        files = list(dict.fromkeys(problem.file for problem in found))
        self.problems: Sequence[Problem] = sorted(found, key=lambda p: (files.index(p.file), p.line or 0))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(word: str, names: Iterable[str]) -> str:
    """The valid name that `word` is probably a slip of; empty when none is near."""
    by_folded = {_fold(name): name for name in names}
    match = difflib.get_close_matches(_fold(word), by_folded, n=1, cutoff=0.6)
    return by_folded[match[0]] if match else ""


def _fold(word: str) -> str:
    return word.lower().replace("_", "-")
