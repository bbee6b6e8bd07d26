"""What a benchmark is doing, on stderr: a line for each step and each finding, with the time since it began.

Nothing moves between them: a thread that redraws would be measured as well.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic  # noqa: TID251  (how long it takes is real time)

from rich.console import Console
from rich.text import Text

__all__ = ["BenchmarkProgress"]


class BenchmarkProgress:
    """See `ha.experiment.benchmarks.Listener`."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = monotonic) -> None:
        self._console = console
        self._clock = clock
        self._begun_s = clock()

    def step(self, done: int, total: int, what: str) -> None:
        """So many of the steps are done; this is the next one."""
        self._line(f"{done + 1}/{total}  {what}")

    def note(self, text: str) -> None:
        """Something was found out."""
        self._line(f"     {text}", style="dim")

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(f"{self._clock() - self._begun_s:6.1f} s  {text}", style=style), soft_wrap=True)
