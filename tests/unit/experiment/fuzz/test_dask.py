"""A Dask cluster as workers: a scheduler and a worker of it, each a process, as a user would start them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ha.experiment.fuzz import trial
from ha.experiment.fuzz.cases import Space
from ha.experiment.fuzz.dask import ClusterError, cluster
from ha.experiment.fuzz.workers import WorkerLostError, processes
from ha.spec import Topology
from ha.spec.load import load, resolve

_ROOT = Path(__file__).parents[4]


def _need_dask() -> None:
    if importlib.util.find_spec("distributed") is None:
        if os.environ.get("CI"):
            pytest.fail("distributed is missing, and CI must test with it")
        pytest.skip("Dask is not installed (uv sync --extra cluster)")


_PROGRAM = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster with one worker, which gives up on what has killed it once."""
    _need_dask()
    program = tmp_path / "cluster.py"
    program.write_text(_PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with subprocess.Popen(
        [sys.executable, program], cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        address = running.stdout.readline().decode().strip()
        assert address.startswith("tcp://")
        yield address
        running.communicate()


def pid() -> int:
    return os.getpid()


def end() -> None:
    os._exit(1)


@pytest.mark.timeout(240)
async def test_a_seed_comes_to_the_same_on_a_cluster_as_here(scheduler: str) -> None:
    topology = load(resolve("etcd-3"))
    assert isinstance(topology, Topology)
    space = Space(topology=topology)
    async with cluster(scheduler) as workers:
        assert workers.count == 1
        assert await workers.call(pid) != os.getpid()
        there = await workers.call(trial.judge, space, 7)
        with pytest.raises(WorkerLostError):
            await workers.call(end)
    async with processes(1) as workers:
        here = await workers.call(trial.judge, space, 7)
    assert there == here
    assert there.digest


async def test_a_cluster_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _need_dask()
    monkeypatch.setattr("ha.experiment.fuzz.dask._CONNECT_S", 0.5)
    with pytest.raises(ClusterError, match="no Dask scheduler answers"):
        async with cluster("tcp://127.0.0.1:9"):
            pass


async def test_what_to_install_is_told_where_dask_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"ha-testbed\[cluster\]"):
        async with cluster("tcp://127.0.0.1:9"):
            pass
