"""What reports say of a simulation: that it was one, how to repeat it, and nothing that it does not have."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from ha.history import FaultEvent, Operation, PhaseEvent
from ha.history.result import FaultRecord, Result, Run
from ha.report import html, junit, terminal, words
from ha.report.progress import SimulationProgress
from tests.unit.report.sample import sample
from tests.unit.report.test_html import Page

REAL = sample()
DIGEST = "1b1d93fb0f932491f2d7ab7fea9d462e"
SIMULATED = msgspec.structs.replace(
    REAL.result, world="sim", wall_s=5.25, trace_digest=DIGEST, memory_bytes={}, memory_total_bytes=0
)


def printed(result: Result) -> str:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(terminal.render(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def page(result: Result) -> Page:
    return Page(html.render(Run(result=result, operations=REAL.operations, events=REAL.events)))


def test_terminal_tells_virtual_from_real_time_and_no_memory() -> None:
    text = printed(SIMULATED)
    assert "simulated world, 17.4 s of virtual time in 5.25 s" in text
    assert DIGEST in text
    assert "MiB" not in text
    assert DIGEST not in printed(REAL.result)
    assert "virtual" not in printed(REAL.result)


def test_page_tells_virtual_from_real_time_and_no_memory() -> None:
    seen = page(SIMULATED).words
    for expected in ["It was simulated", "Simulated 17.4 s in 5.25 s of real time", "took for real 5.25 s", DIGEST]:
        assert expected in seen
    assert "PSS" not in seen
    assert "It was simulated" not in page(REAL.result).words
    assert "PSS" in page(REAL.result).words


def test_junit_names_digest_and_real_time() -> None:
    def properties(result: Result) -> dict[str | None, str | None]:
        root = ET.fromstring(junit.render(Run(result=result, operations=[], events=[])))
        return {one.get("name"): one.get("value") for one in root.iter("property")}

    found = properties(SIMULATED)
    assert (found["world"], found["trace_digest"], found["wall_s"]) == ("sim", DIGEST, "5.250")
    assert not {"trace_digest", "wall_s"} & properties(REAL.result).keys()


def test_a_planted_bug_is_named_everywhere() -> None:
    mutant = msgspec.structs.replace(SIMULATED, mutant="vote-twice")
    assert "vote-twice, a bug that was planted" in printed(mutant)
    assert "A bug was planted for this run: vote-twice ." in page(mutant).words
    assert b'name="mutant" value="vote-twice"' in junit.render(Run(result=mutant, operations=[], events=[]))
    assert "planted" not in printed(SIMULATED) + page(SIMULATED).words


CUT = {"kind": "Cut", "links": ["a → b", "b → a"]}


@pytest.mark.parametrize(
    ("evidence", "ended", "glance"),
    [
        ({"links": {"in_force": CUT}}, {}, "cut of 2 links"),
        ({"links": {"in_force": CUT}}, {"links": {"lifted": CUT, "bytes_held": 4118, "connections_held": 0}},
         "cut of 2 links, 4,118 bytes held"),
        ({"a": {"in_force": {"kind": "SlowDisk", "node": "a", "latency_s": 0.03}}}, {}, "a: slow disk, latency 30 ms"),
        ({"a": {"in_force": {"kind": "ClockOffset", "offset_s": -30.0}}}, {}, "a: clock offset, offset -30.0 s"),
        ({"links": {"in_force": {"kind": "Bandwidth", "bytes_per_s": 20000, "links": ["a → b"]}}}, {},
         "bandwidth of 1 link, 20,000 bytes/s"),
        ({"a": {"file": "etcd/raft/journal"}}, {"a": {"byte": 246835, "bit": 3, "process_group": 20219}},
         "a: file etcd/raft/journal, byte 246835, bit 3"),
    ],
)  # fmt: skip
def test_disturbances_are_worded(evidence: dict[str, object], ended: dict[str, object], glance: str) -> None:
    assert words.evidence_summary(evidence, ended) == glance


def test_page_lists_the_links_that_were_cut() -> None:
    fault = msgspec.structs.replace(REAL.result.faults[0], fault="partition", evidence={"links": {"in_force": CUT}})
    assert "in force: cut of 2 links: a → b, b → a" in page(msgspec.structs.replace(SIMULATED, faults=[fault])).words


@pytest.mark.parametrize(
    ("fault", "undone_s", "evidence", "until_s"),
    [
        ("kill", 9.0, {"a": 1}, 9.0),
        ("kill", None, {"a": 1}, 20.0),
        ("reset", None, {"a": 1}, 5.0),
        ("kill", None, {}, 5.0),
    ],
)
def test_a_fault_is_in_force_until_it_is_undone(
    fault: str, undone_s: float | None, evidence: dict[str, object], until_s: float
) -> None:
    record = FaultRecord(
        index=0,
        fault=fault,
        target="a",
        nodes=["a"],
        injected_s=5.0,
        undone_s=undone_s,
        attested=True,
        evidence=evidence,
    )
    assert words.in_force_until_s(record, 20.0) == until_s


class Watched:
    """A terminal that counts how often it was drawn on, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.console = Console(
            file=io.StringIO(), width=100, force_terminal=True, color_system=None, _environ={"TERM": "xterm"}
        )

    def text(self) -> str:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()


def test_progress_of_a_simulation_counts_its_own_time_and_compares_it_with_real_time() -> None:
    watched = Watched()
    with SimulationProgress(watched.console, load_s=14.0, real_clock=lambda: watched.now_s) as progress:
        progress.event(PhaseEvent(at_s=0.0, phase="up"))
        progress.event(PhaseEvent(at_s=0.3, phase="faults"))
        watched.now_s += 2
        progress.event(FaultEvent(
            at_s=8.0, index=0, action="inject", fault="kill", target="etcd-leader", nodes=["a"], attested=True
        ))  # fmt: skip
    assert "  8.0 s  of 14.3 s, and recovery, 4.0 \N{MULTIPLICATION SIGN} real time" in watched.text()


def test_progress_of_a_simulation_is_redrawn_at_most_ten_times_a_second_of_real_time() -> None:
    def drawn(step_s: float) -> int:
        watched = Watched()
        with SimulationProgress(watched.console, load_s=14.0, real_clock=lambda: watched.now_s) as progress:
            progress.event(PhaseEvent(at_s=0.0, phase="up"))
            for operation in operations:
                watched.now_s += step_s
                progress.operation(operation)
        return watched.text().count("Cluster comes up")

    operations: list[Operation] = REAL.operations[:100]
    assert len(operations) == 100
    assert drawn(step_s=0.001) <= 4
    assert drawn(step_s=0.2) >= 100


def test_progress_of_a_simulation_without_a_terminal_is_one_line_per_phase_and_fault() -> None:
    console = Console(file=io.StringIO(), width=80)
    with SimulationProgress(console, load_s=14.0) as progress:
        progress.event(PhaseEvent(at_s=0.0, phase="up"))
        progress.event(PhaseEvent(at_s=2.5, phase="load"))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == ["   0.0 s  Cluster comes up", "   2.5 s  Clients at work"]
