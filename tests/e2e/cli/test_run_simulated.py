"""``ha run --world sim`` from the outside."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.e2e.cli.ha import COMMAND, ha, processes_of

pytestmark = pytest.mark.timeout(200)
SCENARIO = Path("tests/determinism/scenario.yaml")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """The main job, once: result, run directory."""
    directory = tmp_path_factory.mktemp("run") / "stacked-3"
    done = ha("run", "topologies/stacked-3.yaml", "--world", "sim", "--seed", "7", "--json", "--out", directory)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout), directory


def test_a_simulation_gives_the_same_kind_of_verdict(simulated: tuple[dict, Path]) -> None:
    result, _ = simulated
    assert (result["verdict"], result["world"], result["seed"]) == ("pass", "sim", 7)
    assert result["checks"]["linearizable"] is True
    assert result["operations"]["write"]["ok"] >= 1000
    assert result["faults"][0]["attested"] is True
    assert result["recovery"]["first_write"] > 0
    assert result["recovery"]["node_not_ready"] > 0
    assert result["duration_s"] > 14
    assert result["memory_bytes"] == {}
    assert len(result["trace_digest"]) == 32


def test_a_simulation_leaves_what_is_needed_to_argue(simulated: tuple[dict, Path]) -> None:
    result, directory = simulated
    assert json.loads((directory / "result.json").read_text()) == result
    properties = {one.get("name"): one.get("value") for one in ET.parse(directory / "junit.xml").iter("property")}
    assert properties["trace_digest"] == result["trace_digest"]
    assert "It was simulated" in (directory / "report.html").read_text()
    assert len((directory / "history.jsonl").read_text().splitlines()) > 1000
    log = (directory / "logs" / "control-plane-1" / "etcd.log").read_text()
    assert "serving clients address=10.0.0.1:2379" in log
    assert json.loads((directory / "trace.json").read_text())["digest"] == result["trace_digest"]


def test_the_command_that_it_names_repeats_it(simulated: tuple[dict, Path], tmp_path: Path) -> None:
    result, directory = simulated
    words = result["repeat"].removeprefix("uv run ").split()
    assert words[:2] == ["ha", "run"]
    again = ha(*words[1:], "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    second = json.loads((tmp_path / "again" / "result.json").read_text())
    for field in ("started", "wall_s", "run_dir"):
        del result[field], second[field]
    assert second == result
    for file in ("history.jsonl", "events.jsonl", "trace.json", "logs/control-plane-2/kubelet.log"):
        assert (tmp_path / "again" / file).read_bytes() == (directory / file).read_bytes(), file


def test_a_scenario_file_is_checked_for_determinism_by_another_process(tmp_path: Path) -> None:
    done = ha("run", SCENARIO, "--seed", "3", "--check-determinism", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a second process did exactly the same" in done.stderr
    assert not (tmp_path / "run" / "again").exists()


UNLIKE = """
import sys
from ha.cli.main import main
from ha.world.sim.trace import Trace

add = Trace.add

def unlike(self, now, who, what):
    add(self, now, who, what + b"!" if now > 2.5 else what)

Trace.add = unlike
sys.exit(main(sys.argv[1:]))
"""


def test_two_runs_that_part_are_told_apart_by_the_second(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    arguments = ["run", SCENARIO, "--seed", "3", "--check-determinism", "--out", directory]
    done = subprocess.run(
        [sys.executable, "-c", UNLIKE, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 3
    assert "their traces part in second 2 of virtual time (between 2 s and 3 s)" in done.stderr
    assert (directory / "again" / "trace.json").exists()


NEVER_READY = """
apiVersion: ha/v1
kind: Scenario
name: never-ready
topology:
  name: never-ready
  nodes: [{role: etcd, count: 2}]
  etcd: {topology: external}
  timings: {etcd_election: 2h}
experiment: store-cold-restart
world: sim
seed: 1
"""


def test_a_cluster_that_does_not_come_up_in_virtual_time_fails(tmp_path: Path) -> None:
    (tmp_path / "never.yaml").write_text(NEVER_READY)
    done = ha("run", tmp_path / "never.yaml", "--json", "--out", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert (result["verdict"], result["convicted_by"]) == ("fail", ["ready"])
    assert "not ready after 60 s" in result["reason"]


@pytest.mark.parametrize("moment", range(3))
def test_ctrl_c_ends_a_simulation(tmp_path: Path, moment: int) -> None:
    directory = tmp_path / "run"
    run = subprocess.Popen(
        [*COMMAND, "run", "stacked-3", "--world", "sim", "--out", str(directory)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (directory / "history.jsonl").exists():
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.02)
    time.sleep(random.Random(moment).uniform(0, 3))  # a random moment is the point: there is nothing to wait for
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 130, said
    assert f"ha: interrupted: nothing left running; what was recorded: {directory}" in said
    assert "Traceback" not in said
    assert processes_of(directory) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stacked-3", "--check-determinism"], "--check-determinism: the real world is never the same twice"),
        ([SCENARIO, "--seed", "-1"], "'-1' is no integer from 0 to"),
        ([SCENARIO, "--world", "moon"], "invalid choice: 'moon'"),
        ([SCENARIO, "--engine", "paxos"], "invalid choice: 'paxos'"),
    ],
)
def test_what_a_world_cannot_do_is_refused_before_anything_starts(
    tmp_path: Path, arguments: list[str | Path], says: str
) -> None:
    done = ha("run", *arguments, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_validate_knows_what_the_world_of_a_scenario_can_do(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    text = SCENARIO.read_text().replace("world: sim", "world: real") + "mutant: vote-twice\n"
    real.write_text(text)
    unknown = tmp_path / "unknown.yaml"
    unknown.write_text(SCENARIO.read_text() + "mutant: no-such-bug\n")
    done = ha("validate", SCENARIO, real, unknown)
    assert done.returncode == 2
    assert f"{SCENARIO}: Scenario a-bit-of-everything: valid" in done.stdout
    assert f"{real}:{text.count(chr(10))}: mutant: bugs are planted in the simulated world only" in done.stderr
    assert "mutant: unknown mutant 'no-such-bug'" in done.stderr


def test_an_experiment_alone_runs_on_the_first_topology_that_it_names(tmp_path: Path) -> None:
    done = ha("run", "cold-restart", "--world", "sim", "--seed", "1", "--json", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["topology"] == "single-node"
