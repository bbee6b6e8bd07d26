"""Benchmarks of whole processes beside the real etcd and the real HAProxy, small: what they tell, and leave behind."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import msgspec
import pytest

from ha.history.benchmark import BenchmarkResult, Row
from tests.e2e.cli.ha import ha, processes_of, start, wait_gone
from tests.unit.balancer.test_haproxy import haproxy_binary
from tests.unit.etcd.support import etcd_binary

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

HEADER = "apiVersion: ha/v1\nkind: Benchmark\nname: small\nquestion: How much is it?\n"
LOAD_BALANCER = """
measure: load-balancer
topology: stacked-3
rounds: 2
duration: 300ms
bulk_bytes: 1000000
cases:
  - {load: gets, connections: 1}
  - {load: gets, connections: 8, at_least: 0.000001}
  - {load: connections, connections: 4, at_least: 1000000}
  - {load: bulk, connections: 2}
"""
FAILOVER = """
measure: failover
topology: etcd-3
rounds: 2
cases:
  - {fault: kill, etcd_heartbeat: 50ms, etcd_election: 500ms, at_most: 20s, ratio_at_most: 1000000}
  - {fault: pause, etcd_heartbeat: 50ms, etcd_election: 500ms, at_most: 1ms}
"""
BRING_UP = "measure: bring-up\nrounds: 1\nof: [single-node, etcd-3]\n"
MEMORY = """
measure: memory
topology: one-control-plane
timings: upstream
rounds: 1
objects: 50
total_at_most_mib: 1
"""


def measured(tmp_path: Path, text: str, exit_code: int) -> dict[str, Row]:
    """The rows by name, of a benchmark that leaves nothing behind."""
    file, out = tmp_path / "small.yaml", tmp_path / "run"
    file.write_text(HEADER + text)
    done = ha("bench", file, "--json", "--out", out)
    assert done.returncode == exit_code, done.stderr
    assert processes_of(tmp_path) == []
    result = msgspec.convert(json.loads(done.stdout), BenchmarkResult)
    page = (out / "report.html").read_text()
    for row in result.rows:
        assert row.name in page
        assert len(row.ours_rounds) == len(row.reference_rounds) == result.rounds
    return {row.name: row for row in result.rows}


def test_a_load_balancer_is_measured_beside_haproxy(tmp_path: Path) -> None:
    haproxy_binary()  # there must be one
    rows = measured(tmp_path, LOAD_BALANCER, 1)
    later = rows.pop("added to one GET")
    assert list(rows) == ["gets, 1 at once", "gets, 8 at once", "connections, 4 at once", "bulk, 2 at once"]
    assert [row.met for row in rows.values()] == [None, True, False, None]
    for row in rows.values():
        assert min(*row.ours_rounds, *row.reference_rounds) > 0
    assert later.unit == "µs"


def test_a_store_is_measured_while_it_has_no_leader(tmp_path: Path) -> None:
    etcd_binary()  # there must be one
    rows = measured(tmp_path, FAILOVER, 1)
    kill, pause = rows["kill, 50ms/500ms"], rows["pause, 50ms/500ms"]
    assert (kill.met, pause.met) == (True, False)
    assert min(*pause.ours_rounds, *pause.reference_rounds) > 400, "silence is all that tells"
    assert kill.ours < pause.ours, "closed connections tell sooner"


def test_clusters_are_timed_until_they_are_ready(tmp_path: Path) -> None:
    etcd_binary()  # there must be one
    rows = measured(tmp_path, BRING_UP, 0)
    assert list(rows) == ["single-node", "etcd-3"]
    assert all(0.1 < value < 100 for row in rows.values() for value in (row.ours, row.reference or 0.0))


def test_memory_is_told_before_and_after_there_are_objects(tmp_path: Path) -> None:
    etcd_binary()  # there must be one
    rows = measured(tmp_path, MEMORY, 1)
    idle, full = rows["whole cluster, idle"], rows["whole cluster, with 50 objects"]
    assert 20 < idle.ours < full.ours < 1000
    assert (idle.met, full.met) == (None, False)
    assert rows["one etcd member, idle"].ours < idle.ours


@pytest.mark.parametrize("measure", [FAILOVER, LOAD_BALANCER], ids=["failover", "load-balancer"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, measure: str) -> None:
    etcd_binary(), haproxy_binary()  # there must be both
    file, out = tmp_path / "small.yaml", tmp_path / "run"
    file.write_text(HEADER + measure)
    bench = start("bench", file, "--out", out)
    deadline = time.monotonic() + 60
    while len(processes_of(out)) < 7:
        assert time.monotonic() < deadline, "nothing was started"
        time.sleep(0.02)
    bench.send_signal(signal.SIGINT)
    assert bench.wait(timeout=20) == 130
    assert wait_gone(out, within_s=2) == []


def test_haproxy_is_the_reference_and_is_not_measured_beside_itself(tmp_path: Path) -> None:
    file, topology = tmp_path / "small.yaml", tmp_path / "t.yaml"
    nodes = "nodes: [{role: control-plane, count: 2}]\nload_balancer: {engine: haproxy, binary: nowhere}\n"
    topology.write_text("apiVersion: ha/v1\nkind: Topology\nname: mine\n" + nodes)
    file.write_text(HEADER + LOAD_BALANCER.replace("stacked-3", "t.yaml"))
    done = ha("bench", file)
    assert done.returncode == 2
    assert "topology: 'mine' has HAProxy, which is the reference; allowed: engine: embedded" in done.stderr
