"""A benchmark's result in the terminal and on its page."""

from __future__ import annotations

import msgspec
from rich.console import Console

from ha.experiment.benchmarks import row
from ha.history.benchmark import BenchmarkResult, FigureTable, Row
from ha.history.result import Machine
from ha.report.benchmark import html, render
from ha.report.strips import ratios

FASTER = row("puts of sixty-four clients", "req/s", [100.0, 400.0], [50.0, 100.0], ratio_at_least=2)
SLOWER = row("pause", "ms", [30.0, 60.0], [20.0, 30.0], ratio_at_most=1.1)
ALONE = row("speed", "1/s", [5.0, 7.0], at_least=1)


def result(*rows: Row) -> BenchmarkResult:
    return BenchmarkResult(
        name="b",
        question="Is it?",
        measure="failover",
        reference="etcd",
        rounds=2,
        parameters={},
        rows=list(rows),
        tables=[FigureTable(title="T", columns=["", "a heading of many words"], rows=[["kube-controller-manager", 1]])],
        targets_met=False,
        machine=Machine(system="x", cores=2, memory_bytes=1, python="3.11"),
        versions={},
        commit=None,
        started="2026-01-01T00:00:00Z",
        duration_s=1.0,
        run_dir="r",
        repeat="ha bench b",
    )


def printed(*rows: Row) -> str:
    console = Console(width=100, record=True, file=None, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        console.print(render(result(*rows)))
    return capture.get()


def test_a_line_tells_the_ratio_and_its_spread_and_breaks_no_name() -> None:
    line = next(line for line in printed(FASTER, SLOWER).splitlines() if "sixty-four" in line)
    assert "puts of sixty-four clients" in line
    assert "3 x" in line
    assert "2.00 to 4.00" in line
    assert "≥ 2 x" in line
    assert "kube-controller-manager" in printed(FASTER)


def test_without_a_reference_the_spread_is_that_of_the_figure() -> None:
    assert "5.00 to 7.00" in printed(ALONE)


def test_targets_of_ratios_have_a_direction() -> None:
    page = html(result(FASTER, SLOWER))
    assert "≥ 2 x" in page
    assert "≤ 1.10 x" in page


def test_ratios_are_drawn_for_rows_with_a_reference_and_missed_targets_stand_out() -> None:
    drawn = str(ratios([FASTER, SLOWER, ALONE]))
    assert drawn.count("d-same") == 2
    assert drawn.count("<circle") == 4
    assert drawn.count('class="d-missed"') == 3, "two rounds and their median"
    assert "speed" not in drawn
    assert "1.75 x" in drawn


def test_a_ratio_that_no_logarithm_can_show_is_left_out() -> None:
    """What is added to an answer may be less than nothing in a round, by chance."""
    below = msgspec.structs.replace(SLOWER, ours_rounds=[-1.0, 60.0])
    assert ratios([below]) is None
    assert "pause" in html(result(below))
