"""The real HAProxy before the API servers of a cluster: it relays, notices, is killed and paused, and is never left."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from ha.history.result import Result
from ha.report import words
from tests.e2e.cli.ha import ha, processes_of, wait_gone
from tests.unit.balancer.test_haproxy import haproxy_binary

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SCENARIO = """
apiVersion: ha/v1
kind: Scenario
name: real-haproxy
topology:
  name: mine
  nodes: [{role: control-plane, count: 2}, {role: etcd}]
  etcd: {topology: external}
  load_balancer: {engine: haproxy}
  timings: fast
experiment:
  name: hits
  claim: Whoever asks through HAProxy is served.
  duration: 9s
  workloads:
    - {type: register, clients: 4, rate: 80}
  faults:
    - {fault: kill, target: control-plane-1, at: 1s, for: 2s}
    - {fault: pause, target: load-balancer, at: 4s, for: 500ms}
    - {fault: kill, target: {select: load-balancer, component: load-balancer}, at: 6s, for: 1s}
  expect:
    recovery: {load_balancer_detection: {at_most: 2s}}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """A run with the real HAProxy: result and run directory."""
    haproxy_binary()  # there must be one
    directory = tmp_path_factory.mktemp("real-haproxy")
    file = directory / "scenario.yaml"
    file.write_text(SCENARIO)
    ran = ha("run", file, "--json", "--seed", "3", "--out", directory / "run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout), directory / "run"


def test_everything_holds_and_every_fault_is_attested(done: tuple[dict, Path]) -> None:
    result, directory = done
    assert result["verdict"] == "pass"
    assert all(fault["attested"] and fault["evidence"] for fault in result["faults"])
    assert result["operations"]["write"]["ok"] > 100
    assert processes_of(directory) == []


def test_the_result_and_the_reports_say_which_haproxy_it_was(done: tuple[dict, Path]) -> None:
    result, directory = done
    version = result["versions"]["haproxy"]
    assert f"real world · HAProxy {version}" in words.world(msgspec.convert(result, Result))
    assert version in (directory / "report.html").read_text()


def test_it_notices_a_dead_backend_and_is_seen_to(done: tuple[dict, Path]) -> None:
    """The observer reads HAProxy's own statistics."""
    result, directory = done
    assert 0 < result["recoveries"][0]["phases_s"]["load_balancer_detection"] < 2
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    killed_s, booted_s = result["faults"][0]["injected_s"], result["faults"][0]["undone_s"]
    changes = [e for e in events if e["event"] == "backend" and e["backend"] == "control-plane-1"]
    assert any(not change["up"] and killed_s < change["at_s"] < booted_s for change in changes)
    assert any(change["up"] and change["at_s"] > booted_s for change in changes)


def test_it_is_the_process_of_the_load_balancers_node_and_started_again_when_killed(done: tuple[dict, Path]) -> None:
    _, directory = done
    log = (directory / "logs" / "load-balancer" / "load-balancer.log").read_text()
    assert log.count("haproxy.cfg") == 2
    assert "is DOWN" in log
    assert (directory / "disks" / "load-balancer" / "load-balancer" / "haproxy.cfg").is_file()


def test_a_cluster_with_haproxy_stays(tmp_path: Path) -> None:
    haproxy_binary()  # there must be one
    file = tmp_path / "t.yaml"
    nodes = "nodes: [{role: control-plane, count: 2}, {role: etcd}]\netcd: {topology: external}\ntimings: fast\n"
    file.write_text("apiVersion: ha/v1\nkind: Topology\nname: mine\n" + nodes)
    try:
        up = ha("up", file, "--load-balancer", "haproxy", "--json", home=tmp_path)
        assert up.returncode == 0, up.stderr
        status = ha("status", "--json", home=tmp_path)
        assert status.returncode == 0, status.stdout
        (cluster,) = json.loads(status.stdout)["clusters"]
        (front,) = [node for node in cluster["nodes"] if node["role"] == "load-balancer"]
        assert (cluster["healthy"], front["ready"]) == (True, "True")
    finally:
        ha("down", "--all", home=tmp_path)
    assert wait_gone(tmp_path, within_s=2) == []
