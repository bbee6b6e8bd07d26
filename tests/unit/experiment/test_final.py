"""The looks at the healed cluster, on a simulated one: what is well is seen to be, and what is not is caught."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ha.controlplane.apiserver.cache import Entry, ResourceCache
from ha.etcd.mvcc import Store
from ha.experiment.simulation import run_scenario
from ha.history import CacheSample, DeploymentSample, MemberHash, PodsRunning
from ha.history.result import Run
from ha.spec import Experiment, Scenario, Topology, Workload
from ha.spec.load import load, resolve


def run(topology: str = "one-control-plane") -> Run:
    """Four quiet seconds."""
    shape = load(resolve(topology))
    assert isinstance(shape, Topology)
    experiment = Experiment(
        name="e",
        claim="It is well.",
        topologies=[topology],
        duration_s=4.0,
        workloads=[
            Workload(type="register", clients=2, rate_per_s=10.0, keys=2),
            Workload(type="deployment", replicas=2),
        ],
        faults=[],
    )
    return run_scenario(Scenario(name="s", topology=shape, experiment=experiment), seed=3)[0]


def test_a_cluster_that_is_well_is_seen_to_be() -> None:
    done = run()
    assert (done.result.verdict, done.result.convicted_by) == ("pass", [])
    (member,) = [event for event in done.events if isinstance(event, MemberHash)]
    assert (member.member, member.hash is not None, member.error) == ("control-plane-1", True, None)
    (cache,) = [event for event in done.events if isinstance(event, CacheSample)]
    assert (cache.objects, cache.behind, cache.error) == (2, {}, None)
    (web,) = [event for event in done.events if isinstance(event, DeploymentSample)]
    assert (web.name, web.replicas, web.ready) == ("web", 2, 2)
    running = {event.node: len(event.pods) for event in done.events if isinstance(event, PodsRunning)}
    assert running == {"control-plane-1": 0, "worker-1": 1, "worker-2": 1}


def test_a_cache_that_misses_a_change_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    put: Callable[[ResourceCache, Entry], None] = ResourceCache.put

    def forgets(self: ResourceCache, new: Entry) -> None:
        if not new.path.endswith("register-1") or self.get(new.path) is None:
            put(self, new)

    monkeypatch.setattr(ResourceCache, "put", forgets)
    result = run().result
    assert result.convicted_by == ["watch-cache"]
    assert "the API server on control-plane-1 stays behind on 1 object" in result.reason


def test_members_that_hold_different_things_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    hash_ = Store.hash
    monkeypatch.setattr(Store, "hash", lambda self, revision=0: hash_(self, revision) ^ id(self))
    shape = load(resolve("etcd-3"))
    assert isinstance(shape, Topology)
    workloads = [Workload(type="store", clients=3, rate_per_s=10.0, keys=2)]
    experiment = Experiment(name="e", claim="c", topologies=["etcd-3"], duration_s=2.0, workloads=workloads, faults=[])
    result = run_scenario(Scenario(name="s", topology=shape, experiment=experiment), seed=3)[0].result
    assert result.convicted_by == ["convergence"]
    assert "members hold 3 different things" in result.reason
