"""The result in the terminal: the verdict first, then what it rests on, then how to repeat it.

Returns rich renderables; the caller owns the console. Everything is `Text`, never console markup, so that a
claim with brackets in it is printed as it is. What one copies from the terminal, a path and a command, is apart:
`closing` gives it as plain lines, for rich would break them at the width of the window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ha.history.result import PHASES, Recovery, Result
from ha.report import words

__all__ = ["closing", "mark", "plain_table", "render"]

_STYLES = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}
_COLUMNS = 3
"""More faults than this do not fit side by side."""
_NOTHING = words.seconds(None)
_MARKS = {"✓": "green", "✗": "red", "?": "yellow"}


def render(result: Result) -> RenderableType:
    """What `ha run` prints about a result, but for the lines of `closing`."""
    parts: list[RenderableType | None] = [
        _verdict(result),
        _judgements(result),
        _explanation(result),
        _operations(result),
        _watches(result),
        _recovery(result),
        _faults(result),
        _facts(result),
    ]
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts if part is not None))


def closing(result: Result) -> list[str]:
    """Where the report is and how to repeat the run: to be printed last and as they are, never wrapped."""
    return [f"report    {result.run_dir}/report.html", f"repeat    {result.repeat}"]


def _verdict(result: Result) -> Text:
    sign, word = words.VERDICT_WORDS[result.verdict]
    text = Text()
    text.append(f"{sign} {word}", style=_STYLES[result.verdict])
    text.append(f"  {result.experiment} on {result.topology}\n", style="bold")
    text.append(f"{result.claim.strip()}\n", style="italic")
    text.append(result.reason)
    if result.convicted_by:
        text.append(f"\nconvicted by {', '.join(result.convicted_by)}", style="red")
    return text


def plain_table(*columns: str, right: int = 0) -> Table:
    """A plain table; the last `right` columns are figures."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for i, column in enumerate(columns):
        figures = i >= len(columns) - right
        table.add_column(column, justify="right" if figures else "left", overflow="fold", no_wrap=figures)
    return table


def mark(sign: str) -> Text:
    """✓, ✗ or ? in its colour."""
    return Text(sign, style=_MARKS[sign])


def _judgements(result: Result) -> Table:
    table = plain_table("", "expectation", "measured")
    for expectation, found, held in words.judgements(result):
        table.add_row(mark(words.held(held)[0]), Text(expectation), Text(found))
    return table


def _explanation(result: Result) -> Text | None:
    """What convicted the run, a paragraph each: too long for a column of a table."""
    lines = [f"✗ {line}" for line in result.checks.explanation[: words.SENTENCES]]
    more = len(result.checks.explanation) - len(lines)
    lines += [f"  and {words.count(more)} more, in the report"] if more else []
    return Text("\n".join(lines), style="red") if lines else None


def _operations(result: Result) -> Table:
    columns = ("ok", "refused", "unknown", "p50", "p99", "longest out", "total")
    table = plain_table("", *columns, right=len(columns))
    for group, counts in result.operations.items():
        table.add_row(
            Text(group),
            words.count(counts.ok),
            words.count(counts.fail),
            words.count(counts.info),
            words.milliseconds(counts.p50_ms),
            words.milliseconds(counts.p99_ms),
            *words.outage(result.unavailability.get(group)),
        )
    return table


def _watches(result: Result) -> Table | None:
    if not result.watches:
        return None
    columns = words.WATCH_COLUMNS
    table = plain_table("watches at", *columns, right=len(columns))
    for place, watched in result.watches.items():
        table.add_row(Text(place), *words.watched(watched))
    return table


def _recovery(result: Result) -> Table | None:
    """A column per fault, or, when that would be too many, one with the worst of each phase."""
    shown = result.recoveries
    if not shown:
        return None
    alone = len(shown) > _COLUMNS
    names = ["worst of all"] if alone else [f"#{one.fault} {one.target}" for one in shown]
    table = plain_table("recovery after the fault", *names, right=len(names))
    for phase in PHASES:
        values = [_phase(phase, result.recovery, shown)] if alone else [_phase(phase, r.phases_s, [r]) for r in shown]
        if any(value != _NOTHING for value in values):
            table.add_row(words.PHASE_NAMES[phase], *values)
    return table if table.row_count else None


def _phase(phase: str, taken_s: Mapping[str, float | None], of: Sequence[Recovery]) -> str:
    if any(phase in one.not_reached for one in of):
        return words.NOT_REACHED
    return words.seconds(taken_s.get(phase))


def _faults(result: Result) -> Table | None:
    if not result.faults:
        return None
    table = plain_table("", "fault", "from", "to", "evidence")
    for fault in result.faults:
        table.add_row(
            mark("✓" if fault.attested else "?"),
            Text(words.fault_title(fault)),
            words.seconds(fault.injected_s),
            words.seconds(fault.undone_s),
            Text(fault.error or words.evidence_summary(fault.evidence, fault.undo_evidence) or "none"),
        )
    return table


def _facts(result: Result) -> Table:
    table = Table.grid(padding=(0, 2))
    memory = f", {words.bytes_text(result.memory_total_bytes)} in all (PSS)" if result.memory_bytes else ""
    table.add_row(Text("ready in", style="dim"), Text(words.seconds(result.ready_s) + memory))
    if result.arrivals:
        table.add_row(Text("load", style="dim"), Text(words.schedule(result.arrivals), overflow="fold"))
    table.add_row(Text("timings", style="dim"), Text(f"{result.timings} · seed {result.seed} · {words.world(result)}"))
    if result.mutant is not None:
        table.add_row(Text("mutant", style="dim"), Text(f"{result.mutant}, a bug that was planted", style="yellow"))
    if result.trace_digest is not None:
        table.add_row(Text("digest", style="dim"), Text(f"{result.trace_digest}, the same for every run of this seed"))
    return table
