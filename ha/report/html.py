"""``report.html``: one self-contained page.

Everything is in the file: style, script, uPlot, data. A content security policy forbids every request, so the
page is the same offline, in an archive and behind a proxy, and shows nobody's tracker. Its parts are built
by `ha.report.sections`, `timeline` and `topology` from the result; the script only draws the two charts, and
a table says the same without it.
"""

from __future__ import annotations

import msgspec

from ha.history.result import Run
from ha.report import sections, words
from ha.report.charts import charts
from ha.report.markup import Markup, el
from ha.report.page import asset, footer, page, script_safe, section
from ha.report.timeline import timeline
from ha.report.topology import picture

__all__ = ["render"]

_RECOVERY = (
    "From the injection of the fault to the end of each phase. Elections, ejections, Leases and Nodes are seen by "
    "polling (every 25 ms, unless the experiment says otherwise) or by a watch, writes exactly: a first write "
    "may stand before the election that "
    "made it possible."
)

_WATCHES = (
    "What watchers were told, by where they watched. A watch of the API ends every few seconds, as agreed, and is "
    "resumed like one that was lost."
)


def render(run: Run) -> str:
    """The page."""
    result = run.result
    title = f"{words.VERDICT_WORDS[result.verdict][1]}: {result.experiment} on {result.topology}"
    return page(title, _body(run), styles=[asset("vendor", "uPlot.min.css")])


def _body(run: Run) -> Markup:
    result = run.result
    drawn = charts(run)
    data = msgspec.json.encode(drawn).decode()
    main = el(
        "main",
        section("Did it hold?", None, sections.judgements(result)),
        section("The cluster", None, picture(run)),
        section("What happened", _happened(run), timeline(run), sections.chart_figures(run, drawn)),
        section("Recovery", _RECOVERY, sections.recovery(result)) if result.recoveries else None,
        section("Faults and their evidence", None, sections.faults(result)),
        section("Operations", None, sections.operations(result)),
        section("Watches", _WATCHES, sections.watches(result)) if result.watches else None,
        section("How it was run", None, sections.cluster_facts(result)),
    )
    return el(
        "body",
        sections.header(result),
        main,
        footer(
            "The data of this page stands beside it: result.json, history.jsonl, watches.jsonl, events.jsonl. "
            "Charts: uPlot 1.6.32 (MIT)."
        ),
        el("script", script_safe(data), type="application/json", id="charts"),
        el("script", script_safe(_license()), type="text/plain"),
        el("script", asset("vendor", "uPlot.iife.min.js"), "\n", asset("assets", "report.js")),
    )


def _happened(run: Run) -> str:
    n = len(run.result.faults)
    shaded = {0: "", 1: " The fault is shaded."}.get(n, f" The {n} faults are shaded.")
    return f"Seconds since the run began.{shaded} Point at a bar for its words."


def _license() -> str:
    return "uPlot 1.6.32\n" + asset("vendor", "uPlot.LICENSE")
