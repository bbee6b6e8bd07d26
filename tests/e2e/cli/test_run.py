"""``ha run`` from the outside: the verdict, the files, and that nothing stays behind."""

from __future__ import annotations

import json
import random
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.e2e.cli.ha import ha, processes_of, start, wait_gone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def default_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], Path, float]:
    """The main job, once: result, run directory, seconds."""
    directory = tmp_path_factory.mktemp("run") / "stacked-3"
    begun = time.monotonic()
    done = ha("run", "topologies/stacked-3.yaml", "--json", "--seed", "1", "--out", directory)
    taken_s = time.monotonic() - begun
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), directory, taken_s


def test_the_default_run_passes_with_evidence(default_run: tuple[dict, Path, float]) -> None:
    result, directory, _ = default_run
    assert result["verdict"] == "pass"
    assert result["checks"]["linearizable"] is True
    assert result["checks"]["lost_writes"] == 0
    assert result["operations"]["write"]["ok"] >= 1000
    assert {"fail", "info"} <= set(result["operations"]["write"])
    assert result["unavailability"]["write"]["longest_s"] <= result["unavailability"]["write"]["total_s"]
    assert result["seed"] == 1
    assert result["run_dir"] == str(directory)
    for fault in result["faults"]:
        assert fault["attested"] is True
        assert fault["evidence"]


def test_the_fault_hit_the_leader_and_every_phase_that_applies_was_measured(
    default_run: tuple[dict, Path, float],
) -> None:
    result, _, _ = default_run
    (victim,) = result["faults"][0]["nodes"]
    assert victim.startswith("control-plane-")
    for phase in ("load_balancer_detection", "raft_election", "first_write", "node_not_ready"):
        assert result["recovery"][phase] > 0, phase


def test_the_run_directory_holds_what_is_needed_to_argue(default_run: tuple[dict, Path, float]) -> None:
    result, directory, _ = default_run
    assert json.loads((directory / "result.json").read_text()) == result
    assert ET.parse(directory / "junit.xml").getroot().get("failures") in (None, "0")
    report = (directory / "report.html").read_text()
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert len(report) < 1_000_000
    operations = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    assert sum(o["outcome"] == "ok" for o in operations) >= result["operations"]["write"]["ok"]
    assert (directory / "inputs" / "stacked-3.yaml").is_file()
    assert (directory / "logs" / "control-plane-1" / "etcd.log").is_file()


def test_nothing_runs_when_it_is_over(default_run: tuple[dict, Path, float]) -> None:
    _, directory, _ = default_run
    assert processes_of(directory) == []


def test_the_report_command_shows_the_same_result(default_run: tuple[dict, Path, float]) -> None:
    result, directory, _ = default_run
    again = ha("report", directory, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == result


@pytest.mark.parametrize("moment", range(3))
def test_sigkill_of_the_supervisor_leaves_nothing(tmp_path: Path, moment: int) -> None:
    directory = tmp_path / "killed"
    run = start("run", "stacked-3", "--out", directory)
    time.sleep(random.Random(moment).uniform(0.3, 8))  # a random moment is the point: there is nothing to wait for
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert wait_gone(directory, within_s=2) == []


def test_ctrl_c_undoes_and_cleans(tmp_path: Path) -> None:
    directory = tmp_path / "interrupted"
    run = start("run", "stacked-3", "--out", directory)
    events = directory / "events.jsonl"
    deadline = time.monotonic() + 60
    while not (events.exists() and '"event":"fault"' in events.read_text()):
        assert time.monotonic() < deadline, "no fault was ever injected"
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) == 130
    assert processes_of(directory) == []
    faults = [json.loads(line) for line in events.read_text().splitlines() if '"event":"fault"' in line]
    assert [fault["action"] for fault in faults] == ["inject", "undo"]


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "twice"
    run = start("run", "stacked-3", "--out", directory)
    while not (directory / "events.jsonl").exists():
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=10) == 130
    assert wait_gone(directory, within_s=2) == []


def test_a_store_alone_is_judged_by_its_model(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = ha("run", "etcd-3", "--json", "--seed", "5", "--out", str(out), home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    held = {claim["checker"] for claim in result["claims"] if claim["held"]}
    assert {"store-model", "leases", "leaders", "convergence"} <= held
    assert not {"watch-cache", "pods"} & held
    assert result["operations"]["write"]["ok"] > 500
    assert (out / "report.html").stat().st_size > 10_000
