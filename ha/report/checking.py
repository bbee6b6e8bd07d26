"""What `ha check` found: one history at length, several as a table; and what it is doing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from time import monotonic  # noqa: TID251  (when to redraw is a matter of real time)
from types import TracebackType
from typing import Literal, Self, TypeAlias

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ha.check.search import Limit
from ha.history.act import Act
from ha.report import words
from ha.report.progress import live_display
from ha.report.terminal import mark, plain_table

__all__ = ["CheckProgress", "Checked", "CheckedHistory", "Ruling", "render"]

Ruling: TypeAlias = Literal["linearizable", "not linearizable", "undecided"]

_SIGNS: dict[Ruling, str] = {"linearizable": "✓", "not linearizable": "✗", "undecided": "?"}
_STYLES: dict[Ruling, str] = {
    "linearizable": "bold green", "not linearizable": "bold red", "undecided": "bold yellow"
}  # fmt: skip
_ADVICE: dict[Limit, str] = {
    "budget": "--budget N allows more, and takes longer in proportion.",
    "memory": "A larger --budget does not help; a shorter history may, or fewer clients at once, or fewer outcomes "
    "that stayed unknown.",
}
"""By what was used up, what may lead to a verdict."""
_PERIOD_S = 0.2
_FIRST_LINE_S = 5.0


class CheckedHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one file. `read_s`, `checked_s`, `shrunk_s`: how long it took to read it, to judge it, and to find
    the few operations that show a violation.
    """

    file: str
    format: str | None
    """None: the file is empty."""
    verdict: Ruling
    operations: int
    read_s: float
    checked_s: float
    shrunk_s: float
    method: str
    explanation: Sequence[str] = ()
    gave_up: Limit | None = None
    """Undecided: what was used up."""
    counterexample: Sequence[Act] = ()
    """The few operations that no order explains."""
    unit: Literal["s", "line"] = "s"
    """What the times of the counterexample are counted in."""
    picture: str | None = None
    """Where it is drawn."""
    torn: bool = False
    """The last line was not written to its end, and was left out."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ha check --json`` prints."""

    schema: Literal["ha/check/v1"] = "ha/check/v1"
    histories: Sequence[CheckedHistory]


def render(found: Sequence[CheckedHistory]) -> RenderableType:
    """All that was found."""
    return _at_length(found[0]) if len(found) == 1 else _table(found)


def _at_length(one: CheckedHistory) -> RenderableType:
    head = Text()
    head.append(f"{_SIGNS[one.verdict]} {one.verdict.capitalize()}", style=_STYLES[one.verdict])
    head.append(f"  {one.file}\n", style="bold")
    head.append(
        f"{words.plural(one.operations, 'operation')} ({one.format or 'empty'}), read in {_time(one.read_s)}, "
        f"judged {one.method} in {_time(one.checked_s)}"
    )
    if one.torn:
        head.append("\nIts last line was not written to the end, and is left out.", style="yellow")
    for line in one.explanation:
        head.append(f"\n{line[:1].upper()}{line[1:]}", style="red" if one.verdict == "not linearizable" else "yellow")
    if one.gave_up is not None:
        head.append(f"\n{_ADVICE[one.gave_up]}")
    parts: list[RenderableType] = [head, *([_acts(one)] if one.counterexample else [])]
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _acts(one: CheckedHistory) -> Table:
    table = plain_table("", "client", "operation", "from", "to", right=2)
    for act in one.counterexample:
        end = "never known" if act.end is None else _moment(act.end, one.unit)
        style = "red" if act.guilty else ""
        sign = mark("✗") if act.guilty else ""
        table.add_row(sign, Text(act.client), Text(act.what, style=style), _moment(act.start, one.unit), end)
    return table


def _moment(at: float, unit: str) -> str:
    return f"line {at:.0f}" if unit == "line" else f"{at:.6f} s"


def _table(found: Sequence[CheckedHistory]) -> RenderableType:
    place = _place([one.file for one in found])
    table = plain_table("", f"history in {place}" if place else "history", "operations", "judged in", "method", "")
    table.columns[2].justify = table.columns[3].justify = "right"
    for one in found:
        shown = ""
        if one.counterexample:
            shown = f"{len(one.counterexample)} operations" + (f": {one.picture}" if one.picture else "")
        elif one.verdict == "undecided":
            shown = f"undecided: {one.gave_up} used up"
        if one.torn:
            shown = "; ".join(filter(None, [shown, "without its torn last line"]))
        sign, method = mark(_SIGNS[one.verdict]), Text(one.method.partition(" (")[0])
        table.add_row(
            sign,
            Text(one.file.removeprefix(place)),
            words.count(one.operations),
            _time(one.checked_s),
            method,
            Text(shown),
        )
    rulings = [one.verdict for one in found]
    counts = [f"{rulings.count(ruling):,} {ruling}" for ruling in _SIGNS if ruling in rulings]
    advice = [_ADVICE[limit] for limit in _ADVICE if any(one.gave_up == limit for one in found)]
    return Group(table, Text("\n".join([f"\n{words.count(len(found))} histories: {', '.join(counts)}", *advice])))


def _place(files: Sequence[str]) -> str:
    """The directory that all are in, if there is one: it is said once."""
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*(file.split("/")[:-1] for file in files), strict=False))
    return "".join(f"{parts[0]}/" for parts in shared)


def _time(taken_s: float) -> str:
    return words.milliseconds(taken_s * 1000)


class CheckProgress:
    """What is being done, on stderr: on a terminal one line that changes, elsewhere a line when it has taken long."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = monotonic) -> None:
        self._console = console
        self._clock = clock
        self._live = live_display(console, lambda: Text(self._text, style="dim"))
        self._text = ""
        self._begun_s = self._told_s = clock()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.transient = True
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._text = ""
            self._live.stop()

    def say(self, text: str) -> None:
        """What is being done."""
        now_s = self._clock()
        self._text = f"{now_s - self._begun_s:6.1f} s  {text}"
        if now_s >= self._told_s + (_FIRST_LINE_S if self._live is None else _PERIOD_S):
            self._told_s = now_s
            if self._live is None:
                self._console.print(Text(self._text), soft_wrap=True)
            else:
                self._live.refresh()
