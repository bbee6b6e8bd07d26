"""``report.html``: one self-contained page.

Everything is in the file: style, script, uPlot, data. A content security policy forbids every request, so the
page is the same offline, in an archive and behind a proxy, and shows nobody's tracker. Its parts are built
by `ha.report.sections`, `timeline` and `topology` from the result; the script only draws the two charts, and
a table says the same without it.
"""

from __future__ import annotations

import importlib.resources

import msgspec

from ha.history.result import Run
from ha.report import sections, words
from ha.report.charts import charts
from ha.report.markup import Markup, el
from ha.report.timeline import timeline
from ha.report.topology import picture

__all__ = ["render"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

_RECOVERY = (
    "From the injection of the fault to the end of each phase. Elections, ejections, Leases and Nodes are seen by "
    "polling (every 25 ms, unless the experiment says otherwise) or by a watch, writes exactly: a first write "
    "may stand before the election that "
    "made it possible."
)


def render(run: Run) -> str:
    """The page."""
    result = run.result
    title = f"{words.VERDICT_WORDS[result.verdict][1]}: {result.experiment} on {result.topology}"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", _asset("vendor", "uPlot.min.css"), _asset("assets", "report.css")),
    )
    return "<!doctype html>\n" + el("html", head, _body(run), lang="en") + "\n"


def _body(run: Run) -> Markup:
    result = run.result
    drawn = charts(run)
    data = msgspec.json.encode(drawn).decode()
    main = el(
        "main",
        _section("Did it hold?", None, sections.judgements(result)),
        _section("The cluster", None, picture(run)),
        _section("What happened", _happened(run), timeline(run), sections.chart_figures(run, drawn)),
        _section("Recovery", _RECOVERY, sections.recovery(result)) if result.recoveries else None,
        _section("Faults and their evidence", None, sections.faults(result)),
        _section("Operations", None, sections.operations(result)),
        _section("How it was run", None, sections.cluster_facts(result)),
    )
    return el(
        "body",
        sections.header(result),
        main,
        _footer(),
        el("script", _script_safe(data), type="application/json", id="charts"),
        el("script", _script_safe(_license()), type="text/plain"),
        el("script", _asset("vendor", "uPlot.iife.min.js"), "\n", _asset("assets", "report.js")),
    )


def _section(title: str, lead: str | None, *content: Markup | None) -> Markup:
    return el("section", el("h2", title), el("p", lead, class_="lead") if lead else None, *content)


def _happened(run: Run) -> str:
    n = len(run.result.faults)
    shaded = {0: "", 1: " The fault is shaded."}.get(n, f" The {n} faults are shaded.")
    return f"Seconds since the run began.{shaded} Point at a bar for its words."


def _footer() -> Markup:
    text = (
        "The data of this page stands beside it: result.json, history.jsonl, events.jsonl. Charts: uPlot 1.6.32 (MIT)."
    )
    return el("footer", el("div", text))


def _asset(folder: str, name: str) -> Markup:
    text = importlib.resources.files("ha.report").joinpath(folder, name).read_text(encoding="utf-8")
    assert "</script" not in text
    assert "</style" not in text
    return Markup(text)


def _license() -> str:
    return "uPlot 1.6.32\n" + _asset("vendor", "uPlot.LICENSE")


def _script_safe(text: str) -> Markup:
    """What stands in a script element cannot end it."""
    return Markup(text.replace("<", "\\u003c"))
