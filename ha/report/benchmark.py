"""The result of a benchmark, in the terminal and as files: ``benchmark.json`` and a self-contained ``report.html``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ha.history.benchmark import BenchmarkResult, FigureTable, Row
from ha.report import words
from ha.report.markup import Markup, el, fragment
from ha.report.page import footer, page, section
from ha.report.strips import ratios, strips
from ha.report.tables import fact_table, figure_cells, grid, sign_cell
from ha.report.terminal import mark, plain_table

__all__ = ["REPORT", "RESULT", "closing", "html", "render", "write"]

RESULT, REPORT = "benchmark.json", "report.html"


def write(result: BenchmarkResult, directory: Path) -> None:
    """Write both files. Raises OSError."""
    encoded = msgspec.json.format(msgspec.json.encode(result), indent=2)
    (directory / RESULT).write_bytes(encoded + b"\n")
    (directory / REPORT).write_text(html(result), encoding="utf-8")


def _verdict(result: BenchmarkResult) -> tuple[str, str]:
    if result.targets_met is None:
        return "✓", "Measured"
    return ("✓", "Targets met") if result.targets_met else ("✗", "Target missed")


def _target(row: Row) -> str:
    """``≥ 30``, ``≤ 4``; of the ratio ``≥ 2 x``."""
    bounds = [
        ("≥", row.at_least, ""),
        ("≤", row.at_most, ""),
        ("≥", row.ratio_at_least, " x"),
        ("≤", row.ratio_at_most, " x"),
    ]
    return ", ".join(f"{sign} {words.figure(value)}{unit}" for sign, value, unit in bounds if value is not None)


def _spread(values: Sequence[float]) -> str:
    return f"{words.figure(min(values))} to {words.figure(max(values))}" if len(values) > 1 else ""


def _sign(row: Row) -> tuple[str, str] | None:
    if row.met is None:
        return None
    return ("✓", "target met") if row.met else ("✗", "target missed")


def _cells(row: Row) -> list[str]:
    """One line: median, spread, the same of the reference, ratio, unit, target."""
    reference = "" if row.reference is None else words.figure(row.reference)
    spread = _spread(row.reference_rounds) if row.reference_rounds else ""
    ratio, ratios = words.times(row.ratio), _spread(row.ratio_rounds)
    return [words.figure(row.ours), _spread(row.ours_rounds), reference, spread, ratio, ratios, row.unit, _target(row)]


_HEADINGS = ["", "", "ours", "spread", "reference", "spread", "ratio", "spread", "unit", "target"]
_OURS_SPREAD, _REFERENCE_SPREAD, _RATIO_SPREAD = 3, 5, 7


def _used(rows: Iterable[Row], *, narrow: bool = False) -> list[int]:
    """The columns of `_HEADINGS` that any row fills, the first two always. Narrow: one spread at most, that of the
    ratios where there are any, for it says whether they can be trusted.
    """
    cells = [_cells(row) for row in rows]
    used = [0, 1, *(i + 2 for i in range(len(_HEADINGS) - 2) if any(line[i] for line in cells))]
    if narrow and _RATIO_SPREAD in used:
        used = [i for i in used if i not in (_OURS_SPREAD, _REFERENCE_SPREAD)]
    return used


# ---- terminal


def render(result: BenchmarkResult) -> RenderableType:
    """What `ha bench` prints about a result, but for the lines of `closing`."""
    parts: list[RenderableType] = [_head(result), _rows(result), *(_table(table) for table in result.tables)]
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def closing(result: BenchmarkResult) -> list[str]:
    """Where the report is and how to repeat it: to be printed last and as they are, never wrapped."""
    return [f"report    {result.run_dir}/{REPORT}", f"repeat    {result.repeat}"]


def _head(result: BenchmarkResult) -> Text:
    sign, word = _verdict(result)
    style = "bold red" if result.targets_met is False else "bold green"
    return Text.assemble(
        (f"{sign} {word}", style), (f"  {result.name}\n", "bold"), (f"{result.question.strip()}\n", "italic"),
        f"Medians of {words.plural(result.rounds, 'round')}" + f"; reference: {result.reference}."
    )  # fmt: skip


def _rows(result: BenchmarkResult) -> Table:
    used = _used(result.rows, narrow=True)
    table = plain_table(*(_HEADINGS[i] for i in used), right=len(used) - 2)
    table.columns[1].no_wrap = True
    for row in result.rows:
        sign = _sign(row)
        line: list[Text | str] = [mark(sign[0]) if sign else "", Text(row.name), *_cells(row)]
        table.add_row(*(line[i] for i in used))
    return table


def _table(table: FigureTable) -> Group:
    drawn = plain_table(*table.columns, right=len(table.columns) - table.figures_from)
    drawn.columns[0].no_wrap = True
    for column in drawn.columns[table.figures_from :]:
        column.no_wrap = False  # their headings may be long, and figures have no place to break
    for row in table.rows:
        drawn.add_row(*(Text(words.figure(cell)) for cell in row))
    return Group(Text(table.title, style="bold"), drawn)


# ---- page


def html(result: BenchmarkResult) -> str:
    """The page."""
    return page(f"{_verdict(result)[1]}: {result.name}", _body(result))


def _body(result: BenchmarkResult) -> Markup:
    sign, word = _verdict(result)
    grade = "fail" if result.targets_met is False else "pass"
    header = el(
        "header",
        el("span", f"{sign} {word}", class_=f"pill v-{grade}"),
        el("h1", result.name),
        el("p", result.question.strip(), class_="claim"),
        el("p", f"Medians of {words.plural(result.rounds, 'round')}. Reference: {result.reference}.", class_="lead"),
    )
    main = el(
        "main",
        section("Figures", None, _row_table(result), ratios(result.rows), strips(result.rows)),
        *(section(table.title, table.note or None, _figure_table(table)) for table in result.tables),
        section("How it was measured", None, _facts(result)),
    )
    return el("body", header, main, footer(f"The data of this page stands beside it: {RESULT}."))


def _row_table(result: BenchmarkResult) -> Markup:
    used = _used(result.rows)
    rows = []
    for row in result.rows:
        sign = _sign(row)
        first = sign_cell(*sign) if sign else el("td", "")
        line = [first, el("th", row.name, scope="row"), *figure_cells(*_cells(row))]
        rows.append([line[i] for i in used])
    return grid([_HEADINGS[i] for i in used], rows, signs=True, figures_from=2)


def _figure_table(table: FigureTable) -> Markup:
    rows = [
        [
            *(el("td", words.figure(cell)) for cell in row[: table.figures_from]),
            *figure_cells(*map(words.figure, row[table.figures_from :])),
        ]
        for row in table.rows
    ]
    return grid(table.columns, rows, figures_from=table.figures_from)


def _facts(result: BenchmarkResult) -> Markup:
    machine = result.machine
    place = [
        ("system", machine.system),
        ("cores", str(machine.cores)),
        ("memory", words.bytes_text(machine.memory_bytes)),
        ("Python", machine.python),
        *result.versions.items(),
    ]
    how = [
        ("started", result.started),
        ("duration", words.seconds(result.duration_s)),
        ("measure", result.measure),
        ("rounds", str(result.rounds)),
        ("commit", result.commit or "unknown"),
    ]
    parameters = msgspec.json.format(msgspec.json.encode(result.parameters), indent=2).decode()
    return fragment(
        el("p", "This command repeats it:", class_="lead"),
        el("pre", result.repeat),
        el(
            "div",
            el("div", el("h3", "Benchmark"), fact_table(how)),
            el("div", el("h3", "Machine and versions"), fact_table(place)),
            class_="columns",
        ),
        el("details", el("summary", "Parameters"), el("pre", parameters)),
    )
