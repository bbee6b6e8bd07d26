"""Clients that fill a store with keys, all of which must be there in the end."""

from __future__ import annotations

import pytest

from ha.experiment.simulation import run_scenario
from ha.history.store import Put
from ha.spec import Experiment, Scenario, Topology, Workload
from ha.spec.load import load, resolve


@pytest.mark.parametrize("value_bytes", [1, 1000])
def test_every_key_is_put_once_and_read_back(value_bytes: int) -> None:
    topology = load(resolve("etcd-3"))
    assert isinstance(topology, Topology)
    experiment = Experiment(
        name="fill",
        claim="Nothing is lost.",
        topologies=["etcd-3"],
        duration_s=1.0,
        workloads=[Workload(type="put", clients=6, rate_per_s=60.0, value_bytes=value_bytes)],
        faults=[],
    )
    run, _ = run_scenario(Scenario(name="fill", topology=topology, experiment=experiment), seed=1)
    puts = [o.store.request for o in run.operations if o.store and isinstance(o.store.request, Put)]
    assert len(puts) >= 55
    assert len({put.key for put in puts}) == len({put.value for put in puts}) == len(puts)
    assert all(len(put.value) == value_bytes for put in puts) == (value_bytes == 1000)
    assert all(put.value.startswith(put.key.replace("/", "-")) for put in puts)
    assert run.result.verdict == "pass", run.result.reason
    last = [o.store.answer for o in run.operations if o.type == "read" and o.store is not None]
    assert len(last) >= 3
    assert {answer and answer.count for answer in last} == {len(puts)}
