import io

import msgspec
import pytest
import trio
from rich.console import Console

from ha.history import FaultEvent, PhaseEvent
from ha.history.result import ArrivalCounts, Claim, Result, Unavailability, WatchCounts
from ha.report import terminal, words
from ha.report.progress import Progress
from tests.unit.report.sample import sample

RESULT = sample().result


def printed(result: Result, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(terminal.render(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_terminal_says_everything_that_the_verdict_rests_on() -> None:
    text = printed(RESULT, width=200)
    for expected in [
        "✓ Passed  kill-etcd-leader on stacked-3",
        "Unavailability of write, longest: at most 5 s",
        "none lost",
        "2,090",
        "Raft elects a leader",
        "312 ms",
        "kill etcd-leader → control-plane-2",
        "control-plane-2: SIGKILL, 3 exited",
        "2.21 s, 278 MiB in all (PSS)",
    ]:
        assert expected in text


def test_what_is_copied_from_the_terminal_stands_apart_and_whole() -> None:
    long = msgspec.structs.replace(RESULT, run_dir="/" + "d" * 200, repeat="ha run [x] " + "y" * 200)
    assert terminal.closing(long) == [f"report    {long.run_dir}/report.html", f"repeat    {long.repeat}"]
    assert "report.html" not in printed(long, width=500)
    assert "ha run" not in printed(long, width=500)


def test_evidence_of_many_victims_names_three_of_them() -> None:
    seen = {f"worker-{i}/kubelet": {"signal": "SIGSTOP", "stopped": {"kubelet": 17 + i}} for i in range(5)}
    faults = [msgspec.structs.replace(RESULT.faults[0], evidence=dict(seen))]
    text = printed(msgspec.structs.replace(RESULT, faults=faults), width=120)
    assert "worker-2/kubelet: SIGSTOP, kubelet stopped" in text
    assert "worker-3" not in text
    assert "and 2 more" in text


def test_figures_are_whole_at_eighty_columns() -> None:
    text = printed(RESULT, width=80)
    assert "2,090        95        38   11.9 ms   290 ms        620 ms   620 ms" in text
    assert max(map(len, text.splitlines())) <= 80
    none = {"write": Unavailability(longest_s=0.0, total_s=0.0, threshold_s=0.1)}
    text = printed(msgspec.structs.replace(RESULT, unavailability=none), width=80)
    assert "write   2,090        95        38   11.9 ms   290 ms      ≤ 100 ms       —" in text


def test_what_watchers_were_told_is_shown_by_place() -> None:
    told = WatchCounts(watchers=2, events=1234, bookmarks=7, resumed=3, lost=1, compacted=0)
    text = printed(msgspec.structs.replace(RESULT, watches={"etcd-1": told}), width=80)
    assert "etcd-1              2    1,234           7         3      1           0" in text
    assert "watches at" not in printed(RESULT)


def test_brackets_in_a_claim_are_printed_as_they_are() -> None:
    claims = [Claim(checker="ready", expectation="[bold]x[/bold]", measured="[/]", held=False)]
    text = printed(msgspec.structs.replace(RESULT, claims=claims, claim="[red]really[/red]"))
    assert "✗   [bold]x[/bold]" in text
    assert "[red]really[/red]" in text


def test_many_faults_are_shown_by_the_worst_of_each_phase() -> None:
    many = [msgspec.structs.replace(RESULT.recoveries[0], fault=i) for i in range(9)]
    never = msgspec.structs.replace(many[8], not_reached=["pods_running_elsewhere"])
    text = printed(msgspec.structs.replace(RESULT, recoveries=[*many[:8], never]))
    assert "worst of all" in text
    assert "not before the end" in text


def test_who_convicts_a_run_is_named() -> None:
    failed = msgspec.structs.replace(RESULT, verdict="fail", convicted_by=["leaders", "store-model"])
    assert "convicted by leaders, store-model" in printed(failed)
    assert "convicted" not in printed(RESULT)


def test_a_conviction_that_is_claimed_is_told_first() -> None:
    text = printed(
        msgspec.structs.replace(
            RESULT, expected_conviction="durability", engine="pysyncobj-stock", convicted_by=["durability"]
        )
    )
    assert text.index("Claimed: durability convicts") < text.index("No acknowledged write is lost")
    assert "convicted by durability" in text


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_every_verdict_has_a_sign(verdict: str) -> None:
    result = msgspec.convert(msgspec.to_builtins(RESULT) | {"verdict": verdict}, Result)
    assert printed(result)[0] in "✗?"


def fault(action: str, *, attested: bool = True) -> FaultEvent:
    return msgspec.convert(
        {
            "event": "fault", "at_s": 5.0, "index": 0, "action": action, "fault": "kill", "target": "etcd-leader",
            "nodes": ["control-plane-2"], "attested": attested,
        },
        FaultEvent,
    )  # fmt: skip


async def test_progress_without_a_terminal_is_one_line_per_phase_and_fault(
    autojump_clock: trio.testing.MockClock,
) -> None:
    console = Console(file=io.StringIO(), width=80)
    with Progress(console) as progress:
        progress.event(PhaseEvent(at_s=0, phase="up"))
        await trio.sleep(2.5)
        progress.event(PhaseEvent(at_s=2.5, phase="load"))
        for operation in sample().operations[:50]:
            progress.operation(operation)
        await trio.sleep(3)
        progress.event(fault("inject"))
        progress.event(fault("undo"))
        progress.event(fault("inject", attested=False))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "   0.0 s  Cluster comes up",
        "   2.5 s  Clients at work",
        "   5.5 s    kill etcd-leader → control-plane-2",
        "   5.5 s    undo kill of etcd-leader → control-plane-2",
        "   5.5 s    kill etcd-leader → control-plane-2: not attested",
    ]


async def test_progress_on_a_terminal_counts_and_ends_with_every_phase_ticked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None, _environ={"TERM": "xterm"})
    async with trio.open_nursery() as nursery:
        with Progress(console) as progress:
            nursery.start_soon(progress.run)
            progress.event(PhaseEvent(at_s=0, phase="up"))
            await trio.sleep(2)
            progress.event(PhaseEvent(at_s=2, phase="load"))
            for operation in sample().operations[:50]:
                progress.operation(operation)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
    assert isinstance(console.file, io.StringIO)
    end = console.file.getvalue()[-400:]
    assert "✓  Cluster comes up    2.0 s" in end
    assert "✓  Clients at work     1.0 s" in end
    assert "50 ok · 0 refused · 0 unknown" in end


def test_requests_that_clients_had_no_time_for_are_told() -> None:
    """An open loop that delivers half its rate is not one of that rate."""
    half = ArrivalCounts(rate_per_s=100, due=500, taken=275, late=270, lateness_max_s=2.2)
    text = words.schedule({"create": half})
    assert text == "275 requests, 100/s in an open loop; 225 that were due never asked; 270 asked late, 2.20 s at most"


def test_of_hundreds_of_sentences_the_first_are_printed_and_the_rest_counted() -> None:
    lost = [f"acknowledged, then gone: number {i}." for i in range(246)]
    text = printed(msgspec.structs.replace(RESULT, checks=msgspec.structs.replace(RESULT.checks, explanation=lost)))
    assert text.count("then gone") == words.SENTENCES
    assert "number 19." in text
    assert "and 226 more, in the report" in text
