"""A search from the command line: what it finds is written to a file that fails again, in another process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.cli.ha import COMMAND, ha

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_FOUND = ("fuzz", "etcd-3", "--mutant", "lost-compare", "--jobs", "1")


def test_what_was_found_fails_again_in_a_fresh_process(tmp_path: Path) -> None:
    done = ha(*_FOUND, "--seed", "0", "--seeds", "100", "--json", cwd=tmp_path, timeout_s=250)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    [failure] = found["failures"]
    assert found["seeds"] == failure["seed"] + 1
    assert found["features"] > 10
    assert failure["repeats"]
    assert failure["faults"] <= 4
    assert re.search(rf"seed {failure['seed']} failed", done.stderr)
    again = ha("run", failure["repro"], "--json", cwd=tmp_path, timeout_s=250)
    assert again.returncode == 1, again.stderr
    result = json.loads(again.stdout)
    assert (result["convicted_by"], result["trace_digest"]) == (failure["kinds"], failure["digest"])
    text = (tmp_path / failure["repro"]).read_text()
    assert "mutant: lost-compare" in text
    assert f"# Digest of the trace: {failure['digest']}" in text


def test_nothing_found_is_no_failure(tmp_path: Path) -> None:
    done = ha("fuzz", "etcd-3", "--seed", "0", "--seeds", "2", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Nothing found on etcd-3: 2 seeds from 0" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_search_tells_what_it_knows_and_leaves_nothing(tmp_path: Path) -> None:
    command = [*COMMAND, "fuzz", "etcd-3", "--seed", "0", "--budget", "200s", "--jobs", "2", "--json"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    line = running.stderr.readline()
    assert " seeds, " in line, "every ten seconds it says how far it is"
    workers = _children(running.pid)
    assert len(workers) >= 2
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=30)
    assert running.returncode == 130, stderr
    found = json.loads(stdout)
    assert found["interrupted"] is True
    assert found["failures"] == []
    deadline = time.monotonic() + 5  # Python's own tracker of resources ends when it hears that everybody is gone
    while left := [worker for worker in workers if Path(f"/proc/{worker}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("kill-etcd-leader",), "is an Experiment; allowed: a Topology or a Scenario"),
        (
            ("stacked-3", "--engine", "etcd"),
            "stacked-3.yaml:10: etcd.engine: virtual time runs our own components only",
        ),
        (("stacked-3", "--mutant", "vote-twic"), "did you mean 'vote-twice'?"),
        (("stacked-3", "--seeds", "0"), "a whole number from 1 on"),
        (("stacked-3", "--budget", "60"), "a duration such as"),
        (("stacked-33",), "stacked-33"),
        (("etcd-3", "--cluster", "tcp://127.0.0.1:9", "--jobs", "2"), "not allowed with"),
    ],
)
def test_bad_input_is_told(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = ha("fuzz", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
