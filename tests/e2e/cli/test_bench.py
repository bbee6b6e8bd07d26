"""``ha bench store-throughput``: our store and the real etcd, side by side and in turns."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from ha.history.benchmark import BenchmarkResult
from tests.e2e.cli.ha import ha, processes_of
from tests.unit.etcd.support import etcd_binary

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SMALL = """
apiVersion: ha/v1
kind: Benchmark
name: small
question: How much is it?
measure: store-throughput
topology: etcd-3
timings: upstream
rounds: 2
duration: 300ms
value_bytes: 64
keys: 20
cases:
  - {operation: put, clients: 4, at_least: 0.000001}
  - {operation: read, clients: 6, ask: all}
  - {operation: serializable-read, clients: 1, at_least: 1000000}
"""


def test_a_store_is_measured_beside_the_real_one(tmp_path: Path) -> None:
    etcd_binary()  # there must be one
    file, out = tmp_path / "small.yaml", tmp_path / "run"
    file.write_text(SMALL)
    done = ha("bench", file, "--json", "--out", out)
    assert done.returncode == 1, done.stderr
    result = msgspec.convert(json.loads(done.stdout), BenchmarkResult)
    assert [row.name for row in result.rows] == ["4 x put", "6 x read, all members", "1 x serializable-read"]
    assert [row.met for row in result.rows] == [True, None, False]
    for row in result.rows:
        assert len(row.ours_rounds) == len(row.reference_rounds) == 2
        assert min(*row.ours_rounds, *row.reference_rounds) > 10
    assert result.versions["etcd"].startswith("3.")
    for table in result.tables:
        for line in table.rows:
            p50_ms, p99_ms, members_us, clients_share = map(float, line[1:])  # type: ignore[arg-type]
            assert 0 < p50_ms <= p99_ms
            assert members_us > 0
            assert 0 < clients_share <= 105
    assert "≥ 1,000,000 x" in (out / "report.html").read_text()
    assert (out / "reference" / "disks" / "etcd-1" / "etcd" / "data" / "member").is_dir()
    assert processes_of(tmp_path) == []
