"""What a piece of work costs, function by function, as a table."""

from __future__ import annotations

import cProfile
from pathlib import Path
from types import CodeType

import ha
from ha.history.benchmark import FigureTable

__all__ = ["profile_table"]

_TOP = 15
_OURS = Path(ha.__file__).parent


def profile_table(profiler: cProfile.Profile, title: str, *, per: str, amount: float) -> FigureTable:
    """The functions that cost most by their own time, without those that they call. Figures are for each of `amount`
    units of work, called `per`. The profiler itself costs time, most where functions are short and many.
    """
    # The profiler's own list, since pstats would leave out that built-in functions belong to no file.
    entries = sorted(profiler.getstats(), key=lambda entry: -entry.inlinetime)
    total_s = sum(entry.inlinetime for entry in entries)
    rows: list[list[str | float | int | None]] = [
        [
            _name(entry.code),
            round(100 * entry.inlinetime / total_s, 1),
            round(1e6 * entry.inlinetime / amount, 1),
            round(entry.callcount / amount, 1),
            round(1e6 * entry.inlinetime / entry.callcount, 2),
        ]
        for entry in entries[:_TOP]
    ]
    return FigureTable(
        title=title,
        note="By own time, profiled. The profiler costs time itself, most where functions are short and called often.",
        columns=["function", "%", f"µs / {per}", f"calls / {per}", "µs / call"],
        rows=rows,
    )


def _name(code: CodeType | str) -> str:
    """``ha/http/client.py:120 request``, ``trio/_core/_run.py:2740 unrolled_run``, ``built-in method len``."""
    if isinstance(code, str):
        return code.strip("<>")
    path = Path(code.co_filename)
    parts = path.parts
    roots = [i for i, part in enumerate(parts) if part in {_OURS.name, "site-packages"}]
    short = "/".join(parts[roots[-1] :]).removeprefix("site-packages/") if roots else path.name
    return f"{short}:{code.co_firstlineno} {code.co_qualname}"
