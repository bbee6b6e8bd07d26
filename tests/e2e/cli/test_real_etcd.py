"""The real etcd as the store of a cluster: killed, paused, restarted, booted again, with evidence, and never left."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import msgspec
import pytest

from ha.history.result import Result
from ha.report import words
from tests.e2e.cli.ha import ha, processes_of, start, wait_gone
from tests.unit.etcd.support import etcd_binary

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SCENARIO = """
apiVersion: ha/v1
kind: Scenario
name: real-etcd
topology:
  name: mine
  nodes: {nodes}
  etcd: {{topology: {topology}, engine: etcd, binary: {binary}, snapshot_count: 500}}
  timings: {{preset: fast, etcd_heartbeat: 100ms, etcd_election: 1s, store_request_timeout: 2s}}
experiment:
  name: hits
  claim: The real etcd survives it.
  duration: {duration}
  workloads:
    - {{type: register, clients: 4, rate: 80}}
    - {{type: create, clients: 4, rate: 40}}
    - {{type: watch, clients: 4}}
  faults: {faults}
  expect: {{unavailability: {{write: {{longest: {{at_most: 10s}}}}}}}}
"""
STACKED = {
    "topology": "stacked",
    "nodes": "[{role: control-plane, count: 3}]",
    "duration": "10s",
    "faults": """
    - {fault: kill, target: {select: control-plane-1, component: kubelet}, at: 500ms, for: 2s}
    - {fault: pause, target: {select: etcd-leader, component: etcd}, at: 1s, for: 1500ms}
    - {fault: restart, target: {select: etcd-leader, component: etcd}, at: 3500ms}
    - {fault: kill, target: etcd-leader, at: 7s, for: 2s}
""",
}
EXTERNAL = {
    "topology": "external",
    "nodes": "[{role: control-plane}, {role: etcd, count: 3}]",
    "duration": "8s",
    "faults": """
    - {fault: kill, target: {select: etcd-followers, take: one, component: etcd}, at: 1s, for: 1s}
    - {fault: delay, latency: 20ms, target: control-plane, from: etcd, at: 1200ms, for: 1s}
    - {fault: kill, target: all, at: 3s, for: 1s}
""",
}


@pytest.fixture(scope="module", params=[STACKED, EXTERNAL], ids=["stacked", "external"])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """A run on the real etcd: result and run directory."""
    directory = tmp_path_factory.mktemp("real-etcd")
    file = directory / "scenario.yaml"
    file.write_text(SCENARIO.format(binary=etcd_binary(), **request.param))
    ran = ha("run", file, "--json", "--seed", "3", "--out", directory / "run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout), directory / "run"


def test_everything_holds_and_every_fault_is_attested(done: tuple[dict, Path]) -> None:
    result, _ = done
    assert result["verdict"] == "pass"
    assert all(fault["attested"] and fault["evidence"] for fault in result["faults"])
    judged = {claim["checker"] for claim in result["claims"] if claim["held"]}
    assert {"leaders", "convergence", "watch-cache", "crash", "ready", "availability", "watch-guarantees"} <= judged
    assert result["operations"]["write"]["ok"] > 200


def test_the_result_and_the_reports_say_which_etcd_it_was(done: tuple[dict, Path]) -> None:
    result, directory = done
    version = result["versions"]["etcd"]
    assert (result["engine"], version[:2]) == ("etcd", "3.")
    assert f"real world · etcd {version}" in words.world(msgspec.convert(result, Result))
    assert version in (directory / "report.html").read_text()


def test_each_member_is_etcd_itself_and_keeps_its_data_and_log_in_its_place(done: tuple[dict, Path]) -> None:
    result, directory = done
    hosts = [node["name"] for node in result["nodes"] if "etcd" in node["components"]]
    assert len(hosts) == 3
    for host in hosts:
        assert "ready to serve client requests" in (directory / "logs" / host / "etcd.log").read_text()
        assert (directory / "disks" / host / "etcd" / "data" / "member" / "wal").is_dir()
    assert processes_of(directory) == []


def test_faults_of_etcd_hit_the_member_that_led(done: tuple[dict, Path]) -> None:
    """The observer tells who led by what the members' own Raft says."""
    result, directory = done
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    led = [event for event in events if event["event"] == "member" and event["leader"] == event["member"]]
    for fault in (fault for fault in result["faults"] if fault["target"].startswith("etcd-leader")):
        before = [event["member"] for event in led if event["at_s"] < fault["injected_s"]]
        assert fault["nodes"] == [before[-1]]
    terms = [event["term"] for event in led]
    assert len(set(terms)) > 1
    assert len({(event["term"], event["member"]) for event in led}) == len(set(terms))


def test_a_kubelet_that_was_killed_adopts_the_etcd_that_runs(done: tuple[dict, Path]) -> None:
    result, directory = done
    log = (directory / "logs" / result["nodes"][0]["name"] / "kubelet.log").read_text()
    adopted = [line for line in log.splitlines() if "adopted a running container" in line and "_etcd_0" in line]
    hit = result["faults"][0]["processes"] == ["control-plane-1/kubelet"]  # only where the topology is stacked
    assert len(adopted) == (1 if hit else 0)


def test_sigkill_of_the_supervisor_leaves_no_etcd(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    etcd = f"etcd: {{topology: external, engine: etcd, binary: {etcd_binary()}}}"
    file.write_text(f"apiVersion: ha/v1\nkind: Topology\nname: mine\nnodes: [{{role: etcd, count: 3}}]\n{etcd}\n")
    directory = tmp_path / "run"
    run = start("run", file, "--out", directory)
    logs = [directory / "logs" / f"etcd-{i}" / "etcd.log" for i in (1, 2, 3)]
    deadline = time.monotonic() + 30
    while not all(log.exists() and "ready to serve client requests" in log.read_text() for log in logs):
        assert time.monotonic() < deadline, "etcd did not start"
        time.sleep(0.02)
    assert len(processes_of(directory)) > 6
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert wait_gone(directory, within_s=2) == []


def test_a_cluster_on_the_real_etcd_stays(tmp_path: Path) -> None:
    etcd_binary()  # there must be one
    try:
        up = ha("up", "single-node", "--engine", "etcd", "--json", home=tmp_path)
        assert up.returncode == 0, up.stderr
        assert json.loads(up.stdout)["engine"] == "etcd"
        status = ha("status", "--json", home=tmp_path)
        assert status.returncode == 0, status.stdout
        (cluster,) = json.loads(status.stdout)["clusters"]
        assert (cluster["healthy"], cluster["etcd_leader"]) == (True, "control-plane-1")
    finally:
        ha("down", "--all", home=tmp_path)
    assert wait_gone(tmp_path, within_s=2) == []
