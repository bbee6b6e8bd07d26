"""What a run is doing, live, on stderr.

On a terminal the phases stand one below the other with their time, and a line of counters; elsewhere each
phase and each fault is one line when it happens, which is what a log wants. The caller feeds it what the run
observes anyway (`event`, `operation`), so the run knows nothing of how it is shown. There is no refresh
thread: `run` redraws from trio, four times a second; of a simulation, whose clock is virtual, what happens does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from time import monotonic  # noqa: TID251  (when to redraw is a matter of real time)
from types import TracebackType
from typing import Self

import msgspec
import trio
from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ha.history import Event, FaultEvent, Operation, PhaseEvent
from ha.report.words import count, fault_note

__all__ = ["Progress", "SimulationProgress", "live_display"]

PHASES = {
    "up": "Cluster comes up",
    "load": "Clients at work",
    "faults": "Faults strike",
    "core": "Core is healed",
    "recovery": "Recovery",
    "check": "History is checked",
    "down": "Cluster goes down",
}
_PERIOD_S = 0.25
_SIMULATION_PERIOD_S = 0.1


class _Phase(msgspec.Struct):
    name: str
    begun_s: float
    ended_s: float | None = None
    note: str = ""


class Progress:
    """A live display. Use as a context manager; `run` is a task that keeps it moving until cancelled."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = trio.current_time) -> None:
        self._console = console
        self._clock = clock
        self._phases: list[_Phase] = []
        self._outcomes: Counter[str] = Counter()
        self._begun_s = 0.0
        self._spinner = Spinner("dots", style="cyan")
        self._live = live_display(console, self._rows)

    def __enter__(self) -> Self:
        self._begun_s = self._clock()
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_phase()
        if self._live is not None:
            self._live.refresh()
            self._live.stop()

    async def run(self) -> None:
        """Redraw now and then."""
        while True:
            if self._live is not None:
                self._live.refresh()
            await trio.sleep(_PERIOD_S)

    def operation(self, operation: Operation) -> None:
        """Count an operation of a client."""
        self._outcomes[operation.outcome] += 1

    def event(self, event: Event) -> None:
        """Take note of a phase or a fault; other events are not shown."""
        if isinstance(event, PhaseEvent):
            self._end_phase()
            self._phases.append(_Phase(event.phase, self._clock()))
            self._line(PHASES.get(event.phase, event.phase))
        elif isinstance(event, FaultEvent):
            self.note(fault_note(event))

    def note(self, text: str) -> None:
        """Say something about the current phase."""
        if self._phases:
            self._phases[-1].note = text
        self._line(f"  {text}")

    def _end_phase(self) -> None:
        if self._phases and self._phases[-1].ended_s is None:
            self._phases[-1].ended_s = self._clock()

    def _line(self, text: str) -> None:
        if self._live is None:
            elapsed_s = self._clock() - self._begun_s
            self._console.print(Text(f"{elapsed_s:6.1f} s  {text}"), soft_wrap=True)

    def _rows(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for phase in self._phases:
            running = phase.ended_s is None
            sign: RenderableType = self._spinner if running else Text("✓", style="green")
            taken_s = (self._clock() if phase.ended_s is None else phase.ended_s) - phase.begun_s
            name = Text(PHASES.get(phase.name, phase.name), style="bold" if running else "")
            table.add_row(sign, name, Text(f"{taken_s:5.1f} s"), Text(phase.note, style="dim", overflow="ellipsis"))
        if self._outcomes:
            table.add_row("", Text("operations", style="dim"), "", self._counters())
        return table

    def _counters(self) -> Text:
        ok, fail, info = (self._outcomes[outcome] for outcome in ("ok", "fail", "info"))
        return Text(f"{count(ok)} ok · {count(fail)} refused · {count(info)} unknown")


class SimulationProgress(Progress):
    """For a simulation of clients that work for `load_s`. Its clock is virtual, so there is no redrawing every now and
    then: it is redrawn when something happens, but not too often for real. All times are those of the simulation.
    """

    def __init__(self, console: Console, *, load_s: float, real_clock: Callable[[], float] = monotonic) -> None:
        self._load_s = load_s
        self._load_end_s = load_s
        self._real_clock = real_clock
        self._real_begun_s = real_clock()
        self._seen_s = 0.0
        self._redrawn_s = -inf
        super().__init__(console, clock=lambda: self._seen_s)

    def operation(self, operation: Operation) -> None:
        """Count an operation of a client."""
        super().operation(operation)
        self._redraw(operation.completed_s or operation.invoked_s)

    def event(self, event: Event) -> None:
        """Take note of a phase or a fault."""
        self._seen_s = max(self._seen_s, event.at_s)
        if isinstance(event, PhaseEvent) and event.phase == "faults":
            self._load_end_s = event.at_s + self._load_s
        super().event(event)
        self._redraw(event.at_s)

    def _redraw(self, at_s: float) -> None:
        self._seen_s = max(self._seen_s, at_s)
        if self._live is not None and self._real_clock() >= self._redrawn_s + _SIMULATION_PERIOD_S:
            self._live.refresh()
            self._redrawn_s = self._real_clock()

    def _rows(self) -> Table:
        table = super()._rows()
        real_s = self._real_clock() - self._real_begun_s
        speed = f", {self._seen_s / real_s:.1f} \N{MULTIPLICATION SIGN} real time" if real_s > 0 else ""
        over = self._seen_s > self._load_end_s
        planned = f"{self._load_s:g} s of load are over" if over else f"of {self._load_end_s:.1f} s, and recovery"
        note = Text(planned + speed, style="dim")
        table.add_row("", Text("simulated", style="dim"), Text(f"{self._seen_s:5.1f} s"), note)
        return table


def live_display(console: Console, render: Callable[[], RenderableType]) -> Live | None:
    """What is redrawn in place; None where there is no terminal for it."""
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    # stdout stays as it is: with --json it carries the result, and nothing else.
    return Live(
        console=console, auto_refresh=False, get_renderable=render, redirect_stdout=False, redirect_stderr=False
    )
