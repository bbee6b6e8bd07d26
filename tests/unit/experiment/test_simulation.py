"""One run in virtual time, without a directory: what fuzzing runs by the thousand."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import msgspec
import pytest
import trio

from ha.controlplane.scheduler.scheduler import Scheduler
from ha.experiment.simulation import HungError, run_scenario
from ha.spec import Experiment, Scenario, Topology, Workload
from ha.spec.load import load, resolve
from ha.workload import Load, NotSetUpError
from ha.world.sim import EscapeError


def undisturbed(**timings: float) -> Scenario:
    """Two seconds of a few clients of the smallest cluster."""
    shape = load(resolve("single-node"))
    assert isinstance(shape, Topology)
    experiment = Experiment(
        name="undisturbed",
        claim="It works.",
        topologies=["single-node"],
        duration_s=2.0,
        workloads=[Workload(type="register", clients=2, rate_per_s=20)],
        faults=[],
    )
    timings_of = msgspec.structs.replace(shape.timings, **timings)
    return Scenario(name="s", topology=msgspec.structs.replace(shape, timings=timings_of), experiment=experiment)


def test_without_a_directory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run, trace = run_scenario(undisturbed(), seed=1)
    assert run.result.verdict == "pass", run.result.reason
    assert run.result.trace_digest == trace.digest()
    assert (run.result.world, run.result.run_dir) == ("sim", "")
    assert run.operations
    assert list(tmp_path.iterdir()) == []


def test_a_directory_changes_nothing_of_what_happens(tmp_path: Path) -> None:
    alone, _ = run_scenario(undisturbed(), seed=2)
    written, _ = run_scenario(undisturbed(), seed=2, directory=tmp_path)
    assert written.result.trace_digest == alone.result.trace_digest
    assert written.operations == alone.operations
    assert written.events == alone.events


def test_durations_are_virtual_but_for_one() -> None:
    run, _ = run_scenario(undisturbed(), seed=3)
    assert run.result.duration_s > 2.0
    assert run.result.wall_s is not None
    assert 0 < run.result.wall_s < 60


def test_what_ran_before_in_this_process_does_not_matter() -> None:
    before, _ = run_scenario(undisturbed(), seed=4)
    run_scenario(undisturbed(etcd_election=0.3), seed=5)
    gc.collect()
    after, _ = run_scenario(undisturbed(), seed=4)
    assert after.result.trace_digest == before.result.trace_digest


def test_a_cluster_that_serves_nobody_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async def set_up(_self: Load) -> None:
        await trio.sleep(1)
        raise NotSetUpError("workload register: nobody answers")

    monkeypatch.setattr(Load, "set_up", set_up)
    run, _ = run_scenario(undisturbed(), seed=6)
    assert (run.result.verdict, run.result.convicted_by) == ("fail", ["ready"])
    assert "workload register: nobody answers" in run.result.reason


def test_a_component_that_looks_at_the_real_clock_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduler, "run", _looks_at_the_clock)
    with pytest.raises(EscapeError, match=r"time.time was called at .*test_simulation.py"):
        run_scenario(undisturbed(), seed=7)


async def _looks_at_the_clock(*_arguments: object, **_named: object) -> None:
    time.time()


def test_a_component_that_never_waits_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ha.world.sim.clock._STUCK_AFTER", 20_000)
    monkeypatch.setattr(Scheduler, "run", _never_waits)
    with pytest.raises(HungError, match=r"a component never waits: virtual time has stood still at .*_never_waits"):
        run_scenario(undisturbed(), seed=8)


async def _never_waits(*_arguments: object, **_named: object) -> None:
    while True:
        await trio.lowlevel.checkpoint()
