"""The parts of the page below the verdict, each from a result to markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ha.history.result import PHASES, FaultRecord, Recovery, Result, Run, Unavailability
from ha.report import words
from ha.report.charts import Chart, table
from ha.report.counterexample import picture
from ha.report.markup import Markup, el, fragment
from ha.report.tables import SIGN_CLASSES, fact_table, figure_cells, grid, sign_cell
from ha.spec.faults import INSTANT

__all__ = [
    "chart_figures",
    "cluster_facts",
    "faults",
    "header",
    "judgements",
    "operations",
    "recovery",
    "tiles",
    "watches",
]

_FEW = 3
"""More faults than this are folded away."""
_IN_VIRTUAL_TIME = (
    "It was simulated: the components are those of the real world, but time, network, disks and processes are "
    "virtual, and the seed decides everything. With these versions the same command gives the same digest, of all that "
    "was sent, written and logged, in every process. Times are virtual, but for \u201ctook for real\u201d."
)


def header(result: Result) -> Markup:
    """Verdict, claim and reason."""
    sign, word = words.VERDICT_WORDS[result.verdict]
    return el(
        "header",
        el("span", f"{sign} {word}", class_=f"pill v-{result.verdict}"),
        el("h1", result.experiment, " ", el("small", f"on {result.topology}")),
        el("p", result.claim.strip(), class_="claim"),
        el("p", result.reason, class_="lead"),
        el("p", "Convicted by ", el("b", ", ".join(result.convicted_by)), ".") if result.convicted_by else None,
        el("p", "A bug was planted for this run: ", el("b", result.mutant), ".") if result.mutant is not None else None,
        tiles(result),
    )


def tiles(result: Result) -> Markup:
    """The figures that one looks for first."""
    write = result.operations.get("write")
    unanswered = f"writes; {words.count(write.fail)} refused, {words.count(write.info)} unknown" if write else "writes"
    shown = [
        ("Acknowledged", words.count(write.ok) if write else "none", unanswered),
        (
            "Lost",
            words.count(result.checks.lost_writes),
            "acknowledged writes; " + words.linearizable(result.checks.linearizable),
        ),
        ("Longest write outage", *_outage_tile(result.unavailability.get("write"))),
        ("Write latency", words.milliseconds(write.p50_ms if write else None), _tail(result)),
        ("Ready in", words.seconds(result.ready_s), _machines(result)),
        _cost(result),
    ]
    return el(
        "dl",
        [el("div", el("dt", name), el("dd", value, el("small", small))) for name, value, small in shown],
        class_="tiles",
    )


def _cost(result: Result) -> tuple[str, str, str]:
    """What the run took of this machine."""
    if result.wall_s is not None:
        return "Simulated", words.seconds(result.duration_s), f"in {words.seconds(result.wall_s)} of real time"
    return "Memory", words.bytes_text(result.memory_total_bytes), "all processes, PSS"


def _outage_tile(gone: Unavailability | None) -> tuple[str, str]:
    if gone is not None and not gone.windows and gone.threshold_s is not None:
        return "none", f"longer than {words.seconds(gone.threshold_s)}"
    longest, total = words.outage(gone)
    return longest, f"{total} in all" if gone is not None else ""


def _machines(result: Result) -> str:
    balancers = sum(node.role == "load-balancer" for node in result.nodes)
    nodes = words.plural(len(result.nodes) - balancers, "node")
    if not balancers:
        return nodes
    return f"{nodes} and " + ("a load balancer" if balancers == 1 else f"{balancers} load balancers")


def _tail(result: Result) -> str:
    write = result.operations.get("write")
    return f"median; p99 {words.milliseconds(write.p99_ms)}" if write and write.p99_ms is not None else ""


def judgements(result: Result) -> Markup:
    """Safety and claims."""
    rows = [_judgement(expectation, found, words.held(ok)) for expectation, found, ok in words.judgements(result)]
    return fragment(
        grid(["", "Expectation", "Measured"], rows, signs=True),
        _explanation(result.checks.explanation),
        _counterexample(result) if result.checks.counterexample else None,
    )


def _explanation(lines: Sequence[str]) -> Markup:
    shown, more = lines[: words.SENTENCES], lines[words.SENTENCES :]
    listed = [el("ul", [el("li", line) for line in part], class_="explanation") for part in (shown, more) if part]
    if more:
        listed[1] = el("details", el("summary", f"{words.count(len(more))} more"), listed[1])
    return fragment(listed)


def _counterexample(result: Result) -> Markup:
    note = "In red the answer that no order of these operations explains; dashed what is of unknown outcome."
    drawn = picture(result.checks.counterexample, "Not linearizable", "s")
    return el("figure", el("div", drawn, class_="scroll"), el("figcaption", note))


def _judgement(expectation: str, measured: str, mark: tuple[str, str]) -> list[Markup]:
    return [sign_cell(*mark), el("td", expectation), el("td", measured)]


def operations(result: Result) -> Markup:
    """Outcomes, latency and unavailability by group."""
    rows = []
    for group, counts in sorted(result.operations.items(), reverse=True):
        figures = figure_cells(
            words.count(counts.ok),
            words.count(counts.fail),
            words.count(counts.info),
            words.milliseconds(counts.p50_ms),
            words.milliseconds(counts.p99_ms),
            words.milliseconds(counts.max_ms),
            *words.outage(result.unavailability.get(group)),
        )
        rows.append([el("th", group, scope="row"), *figures])
    headings = ["", "ok", "refused", "unknown", "p50", "p99", "max", "longest outage", "outages in all"]
    return grid(headings, rows, figures_from=1)


def watches(result: Result) -> Markup:
    """What watchers were told, by where they watched."""
    rows = [
        [el("th", place, scope="row"), *figure_cells(*words.watched(found))] for place, found in result.watches.items()
    ]
    return grid(["", *words.WATCH_COLUMNS], rows, figures_from=1)


def chart_figures(run: Run, charts: Mapping[str, Chart]) -> Markup:
    """Places for the charts, and the same figures as a table."""
    drawn = [
        el(
            "figure",
            el("h3", chart.title),
            el("div", "", class_="plot", role="img", aria_label=_chart_words(name, run.result), data_chart=name),
            el("noscript", el("p", "The chart needs JavaScript; the table below has its figures.")),
            class_="chart",
        )
        for name, chart in charts.items()
    ]
    return fragment(drawn, el("details", el("summary", "The figures of both charts as a table"), _figure_table(run)))


def _chart_words(name: str, result: Result) -> str:
    if name == "throughput":
        total = {o: sum(getattr(c, o) for c in result.operations.values()) for o in ("ok", "fail", "info")}
        return f"Answers per second: in all {total['ok']} succeeded, {total['fail']} refused, {total['info']} unknown."
    parts = [
        f"{group}: median {words.milliseconds(c.p50_ms)}, 99th percentile {words.milliseconds(c.p99_ms)}, "
        f"highest {words.milliseconds(c.max_ms)}"
        for group, c in result.operations.items()
    ]
    return "Latency over time. " + "; ".join(parts) + "."


def _figure_table(run: Run) -> Markup:
    rows = []
    for row in table(run):
        rates = [f"{row.per_s[outcome]:.0f}" for outcome in ("ok", "fail", "info")]
        latencies = [words.milliseconds(value) for group in ("write", "read") for value in row.latency_ms[group]]
        rows.append([el("th", f"{row.start_s:g} s", scope="row", class_="mono"), *figure_cells(*rates, *latencies)])
    headings = ["from", "ok/s", "refused/s", "unknown/s", "write p50", "write p99", "read p50", "read p99"]
    return grid(headings, rows, figures_from=1)


def recovery(result: Result) -> Markup:
    """Horizontal bars: how long each phase took, for each fault; first the worst of all, when they are many."""
    taken = [value for r in result.recoveries for value in r.phases_s.values() if value is not None]
    longest_s = max([value for value in taken if value != float("inf")], default=0.0) or 1.0
    each = [_recovery(one, longest_s, alone=len(result.recoveries) == 1) for one in result.recoveries]
    if len(each) <= _FEW:
        return fragment(each)
    never = sorted({phase for one in result.recoveries for phase in one.not_reached})
    worst = Recovery(fault=-1, target="", phases_s=result.recovery, not_reached=never)
    return fragment(
        el("h3", "The worst of all"),
        _recovery(worst, longest_s, alone=True),
        el("details", el("summary", f"Each of the {len(each)} faults"), each),
    )


def _recovery(one: Recovery, longest_s: float, *, alone: bool) -> Markup:
    cells: list[Markup] = []
    for phase in PHASES:
        value = None if phase in one.not_reached else one.phases_s.get(phase)
        if value is None and phase not in one.not_reached:
            continue
        cells.append(el("div", words.PHASE_NAMES[phase]))
        cells.append(_phase_bar(phase, value, longest_s))
    missing = [words.PHASE_NAMES[p] for p in PHASES if one.phases_s.get(p) is None and p not in one.not_reached]
    return fragment(
        None if alone else el("h3", f"Fault {one.fault}: {one.target}"),
        el("div", *cells, class_="bars") if cells else None,
        el("p", "Not concerned: " + ", ".join(missing) + ".", class_="note") if missing else None,
    )


def _phase_bar(phase: str, value: float | None, longest_s: float) -> Markup:
    if value is None or value == float("inf"):
        return el("div", el("span", words.NOT_REACHED, class_="no"), class_="cell")
    share = max(0.4, value / longest_s * 82)
    bar = el(
        "svg",
        el("title", f"{words.PHASE_NAMES[phase]}: {words.seconds(value)}"),
        el("rect", x=0, y=0, width="100%", height=14, rx=3, class_="bar"),
        role="img",
        style=f"width:{share:.2f}%",
    )
    return el("div", bar, el("span", words.seconds(value)), class_="cell")


def faults(result: Result) -> Markup:
    """Each fault with the evidence that it took effect and that it was undone."""
    if not result.faults:
        return el("p", "The experiment injects no fault.", class_="lead")
    return fragment(_fault(fault, fold=len(result.faults) > _FEW) for fault in result.faults)


def _fault(fault: FaultRecord, *, fold: bool) -> Markup:
    sign, word = ("✓", "took effect") if fault.attested else ("?", "not attested: the run is inconclusive")
    undone = words.seconds(fault.undone_s) if fault.undone_s is not None else "not"
    if fault.undone_s is None and fault.fault in INSTANT:
        undone = "nothing to undo"
    facts = [("injected at", words.seconds(fault.injected_s)), ("undone at", undone), ("nodes", ", ".join(fault.nodes))]
    if fault.processes:
        facts.append(("processes", ", ".join(fault.processes)))
    facts += [(f"evidence, {victim}", words.phrase(shown)) for victim, shown in fault.evidence.items()]
    facts += [(f"undone, {victim}", words.phrase(shown)) for victim, shown in fault.undo_evidence.items()]
    if fault.error:
        facts.append(("error", fault.error))
    heading = [words.fault_title(fault), "  ", el("span", f"{sign} {word}", class_=SIGN_CLASSES[sign])]
    listed = el("dl", [fragment(el("dt", k), el("dd", v)) for k, v in facts])
    if fold:
        return el("details", el("summary", *heading), listed, class_="fault")
    return el("section", el("h3", *heading), listed, class_="fault")


def cluster_facts(result: Result) -> Markup:
    """Where and with what it ran, and how to run it again."""
    machine = result.machine
    has_balancer = any(node.role == "load-balancer" for node in result.nodes)
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
        ("world", result.world),
        ("etcd", result.engine),
        *([("load balancer", words.load_balancer(result))] if has_balancer else []),
        ("seed", str(result.seed)),
        ("load", words.schedule(result.arrivals)),
    ]
    if result.wall_s is not None and result.trace_digest is not None:
        how += [("took for real", words.seconds(result.wall_s)), ("digest", result.trace_digest)]
    return fragment(
        el("p", "This command repeats the run:", class_="lead"),
        el("pre", result.repeat),
        el("p", _IN_VIRTUAL_TIME, class_="note") if result.wall_s is not None else None,
        el("p", "Its files are in ", el("code", result.run_dir), "."),
        el(
            "div",
            el("div", el("h3", "Run"), fact_table(how)),
            el("div", el("h3", "Machine and versions"), fact_table(place)),
            el("div", el("h3", f"Timings: {result.timings}"), fact_table(_timings(result))),
            class_="columns facts",
        ),
        _memory(result) if result.memory_bytes else None,
    )


def _memory(result: Result) -> Markup:
    memory = sorted(result.memory_bytes.items(), key=lambda item: (-item[1], item[0]))
    total = words.bytes_text(result.memory_total_bytes)
    return el(
        "details",
        el("summary", f"Memory when ready: {total} in {len(memory)} processes (PSS)"),
        el("div", *(fact_table([(k, words.bytes_text(v))]) for k, v in memory), class_="columns"),
    )


def _timings(result: Result) -> Iterable[tuple[str, str]]:
    return ((name.replace("_", " "), words.seconds(value)) for name, value in result.timings_s.items())
