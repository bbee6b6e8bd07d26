"""What a search is doing, live, on stderr: how fast, how far, whether it still learns, what it found.

On a terminal a few lines that are redrawn; elsewhere a line now and then, and one for each failure.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Self

import trio
from rich.console import Console, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ha.experiment.fuzz.search import Failure, Limits, Tally
from ha.experiment.fuzz.trial import Judged
from ha.report.progress import live_display
from ha.report.words import count, plural, seconds

__all__ = ["SearchProgress", "told"]

_REDRAW_S = 0.25
_LINE_S = 10.0
_BARS = "▁▂▃▄▅▆▇█"
_MOMENTS = 24


class SearchProgress:
    """A live display. Use as a context manager; `run` is a task that keeps it moving until cancelled."""

    def __init__(
        self, console: Console, tally: Tally, limits: Limits, *, clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._console = console
        self._tally = tally
        self._limits = limits
        self._clock = clock
        self._begun_s = 0.0
        self._shrinking: dict[int, str] = {}
        self._reached = [0]
        """How many features there were at each moment."""
        self._next_moment_s = 0.0
        self._spinner = Spinner("dots", style="cyan")
        self._live = live_display(console, self._render)

    def __enter__(self) -> Self:
        self._begun_s = self._clock()
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.refresh()
            self._live.stop()

    async def run(self) -> None:
        """Redraw now and then."""
        while True:
            await trio.sleep(_REDRAW_S if self._live is not None else _LINE_S)
            if self._live is not None:
                self._live.refresh()
            else:
                self._line(", ".join(self._figures()))

    def found(self, judged: Judged) -> None:
        """A failure is shrunk now."""
        self._shrinking[judged.seed] = ", ".join(judged.kinds)
        self._line(f"seed {judged.seed} failed ({self._shrinking[judged.seed]}); shrinking: {judged.reason}")

    def failure(self, failure: Failure) -> None:
        """A failure is in the tally."""
        self._shrinking.pop(failure.seed, None)
        size = f", {plural(failure.faults, 'fault')}" if failure.faults is not None else ""
        self._line(f"seed {failure.seed} failed ({', '.join(failure.kinds)}{size}): {failure.repro or failure.reason}")

    @property
    def elapsed_s(self) -> float:
        """Of real time."""
        return self._clock() - self._begun_s

    def _figures(self) -> list[str]:
        tally, elapsed_s = self._tally, max(self.elapsed_s, 1e-9)
        return [
            f"{count(tally.seeds)} seeds",
            f"{tally.seeds / elapsed_s:.1f} seeds/s",
            f"{tally.virtual_s / 3600:.2f} virtual hours",
            plural(tally.struck, "fault"),
            f"{count(len(tally.features))} states reached",
            plural(len(tally.failures), "failure"),
        ]

    def _line(self, text: str) -> None:
        if self._live is None:
            self._console.print(Text(f"{self.elapsed_s:6.1f} s  {text}"), soft_wrap=True)

    def _render(self) -> RenderableType:
        budget_s = self._limits.budget_s
        bound = "" if budget_s is None else f" of {seconds(budget_s)}"
        seeds = "" if self._limits.seeds is None else f" of {count(self._limits.seeds)} seeds"
        table = Table.grid(padding=(0, 2))
        table.add_row(self._spinner, Text("Searching", style="bold"), Text(f"{self.elapsed_s:.0f} s{bound}{seeds}"))
        table.add_row("", "", Text(" · ".join(self._figures()[:4])))
        table.add_row("", "", Text(f"{count(len(self._tally.features))} states reached  {self._growth()}"))
        found = plural(len(self._tally.failures), "failure")
        table.add_row("", "", Text(found, style="bold red" if self._tally.failures else "dim"))
        for seed, kinds in self._shrinking.items():
            table.add_row("", "", Text(f"shrinking seed {seed}: {kinds}", style="yellow"))
        return table

    def _growth(self) -> str:
        """New states per moment, as bars."""
        if self._clock() >= self._next_moment_s:
            self._reached = [*self._reached[-_MOMENTS:], len(self._tally.features)]
            self._next_moment_s = self._clock() + 1.0
        new = [later - earlier for earlier, later in zip(self._reached, self._reached[1:], strict=False)]
        most = max(new, default=0) or inf
        return "".join(_BARS[round((len(_BARS) - 1) * grown / most)] for grown in new)


def told(topology: str, limits: Limits, tally: Tally, *, interrupted: bool, repeat: Callable[[str], str]) -> list[str]:
    """What a search came to, in lines. `repeat`: the command that runs a repro file."""
    found = tally.failures
    if found:
        outcome = f"✗ Found {plural(len(found), 'failure')}"
    elif interrupted:
        outcome = "? Interrupted, with nothing found,"
    elif tally.seeds == tally.inconclusive:
        outcome = "? Nothing conclusive"
    else:
        outcome = "✓ Nothing found"
    lines = [
        f"{outcome} on {topology}: "
        f"{count(tally.seeds)} seeds from {limits.first_seed} in {seconds(tally.wall_s)}, "
        f"{tally.virtual_s / 3600:.2f} virtual hours, {plural(tally.struck, 'fault')}, "
        f"{count(len(tally.features))} states reached"
        + (f", {count(tally.inconclusive)} inconclusive" if tally.inconclusive else "")
    ]
    for failure in found:
        lines += ["", *_told(failure, repeat)]
    return lines


def _told(failure: Failure, repeat: Callable[[str], str]) -> list[str]:
    what = "the testbed broke down" if failure.verdict == "defect" else "failed"
    lines = [f"seed {failure.seed}: {what} ({', '.join(failure.kinds)})", f"  {failure.reason}"]
    if not failure.repeats:
        lines.append("  It came to something else when it was run again: the simulation is not deterministic.")
    if failure.repro is None:
        return lines
    size = f"{plural(failure.faults or 0, 'fault')} on {plural(failure.nodes or 0, 'node')}"
    return [
        *lines,
        f"  shrunk to {size} in {plural(failure.tried, 'run')}",
        f"repro     {failure.repro}",
        f"repeat    {repeat(failure.repro)}",
    ]
