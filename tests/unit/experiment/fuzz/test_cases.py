from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from ha.experiment.fuzz.cases import Space, cases
from ha.experiment.fuzz.drawing import draw
from ha.experiment.fuzz.schedules import VOCABULARY
from ha.experiment.worlds import FAULTS
from ha.spec import Scenario, Topology
from ha.spec.load import check_world, load, resolve
from ha.spec.write import dump

_SEEDS = range(300)


def _space(name: str) -> Space:
    topology = load(resolve(name))
    assert isinstance(topology, Topology)
    return Space(topology=topology, mutant=None)


@cache
def _drawn(name: str) -> list[Scenario]:
    space = _space(name)
    return [draw(cases(space, seed), seed) for seed in _SEEDS]


@pytest.mark.parametrize("name", ["stacked-3", "external-3", "etcd-3", "single-node"])
def test_every_case_is_a_file_that_loads_as_the_same_case(name: str, tmp_path: Path) -> None:
    """So each is valid: no target that is not there, no fault beyond the end, a core that can serve."""
    for case in _drawn(name)[:30]:
        file = tmp_path / "case.yaml"
        file.write_text(dump(case))
        assert load(file) == case
        check_world(case, FAULTS, (), path=file)


def test_no_case_is_larger_than_the_topology_that_is_searched() -> None:
    space = _space("external-3").topology
    for case in _drawn("external-3"):
        for role in ("control-plane", "worker", "etcd"):
            assert case.topology.count(role) <= space.count(role)
        assert case.experiment.duration_s < 120


def test_cases_differ_in_all_that_they_are_made_of() -> None:
    drawn = _drawn("stacked-3")
    faults = [fault for case in drawn for fault in case.experiment.faults]
    assert {fault.fault for fault in faults} == {kind for _, kind in VOCABULARY}
    assert set(FAULTS["sim"]) - {kind for _, kind in VOCABULARY} == {"torn-write"}, "power cuts tear writes as well"
    assert {w.type for case in drawn for w in case.experiment.workloads} == {
        "register",
        "create",
        "deployment",
        "store",
        "lock",
        "watch",
    }
    assert {case.topology.timings_name for case in drawn} == {"fast", "explicit", "upstream"}
    assert 0.6 < sum(case.topology.store_alone for case in drawn) / len(drawn) < 0.9
    assert {case.topology.count(case.topology.etcd_role) for case in drawn} == {1, 2, 3}
    assert any(fault.every_s for fault in faults)
    assert any(fault.for_s is None for fault in faults)
    assert {fault.target.component for fault in faults} >= {None, "etcd", "kube-apiserver", "kubelet"}


def test_most_cases_have_few_kinds_of_faults_and_several_of_each() -> None:
    """Swarm testing: a kind that is left out cannot get in the way of the others."""
    many = [case.experiment.faults for case in _drawn("stacked-3") if len(case.experiment.faults) >= 4]
    assert len(many) > 30
    kinds = [Counter(fault.fault for fault in faults) for faults in many]
    assert sum(max(kind.values()) >= 2 for kind in kinds) > 0.8 * len(kinds)


def test_in_many_cases_members_come_and_go_and_in_some_their_disks_are_slow() -> None:
    """Elections, restarts and snapshots meet only when there are many of them, and little is lost of fast disks."""
    drawn = [case.experiment.faults for case in _drawn("etcd-3")]
    again = [faults for faults in drawn if any(f.every_s and f.fault in ("kill", "partition", "pause") for f in faults)]
    slow = [faults for faults in again if any(f.fault == "slow-disk" and f.for_s is None for f in faults)]
    assert len(again) > len(drawn) / 3
    assert len(slow) > len(again) / 4


def test_in_some_cases_a_leader_comes_back_that_is_none_any_more() -> None:
    cases_of_leaders = {
        fault.target.select: (case, fault)
        for case in _drawn("stacked-3")
        for fault in case.experiment.faults
        if fault.target.select.endswith(("scheduler-leader", "manager-leader"))
        and (fault.for_s or 0) > case.topology.timings.lease_duration
    }
    assert cases_of_leaders.keys() >= {"scheduler-leader", "controller-manager-leader"}


def test_in_some_cases_a_node_is_lost_until_its_pods_must_run_elsewhere() -> None:
    lost = [
        case
        for case in _drawn("stacked-3")
        if any((fault.for_s or 0) > 13 for fault in case.experiment.faults) and case.topology.timings_name == "explicit"
    ]
    assert len(lost) > 3
    for case in lost:
        assert any(workload.type == "deployment" for workload in case.experiment.workloads)


def test_faults_come_soon_after_each_other() -> None:
    gaps = [
        later.at_s - earlier.at_s
        for case in _drawn("etcd-3")
        for faults in [sorted(case.experiment.faults, key=lambda fault: fault.at_s)]
        for earlier, later in pairwise(faults)
        if case.topology.timings_name == "fast"
    ]
    assert sum(gap < 0.1 for gap in gaps) > len(gaps) / 5


def test_cores_leave_somebody_out() -> None:
    drawn = _drawn("stacked-3")
    out = [
        set(case.topology.names(case.topology.etcd_role)) - set(case.experiment.liveness.core)
        for case in drawn
        if case.experiment.liveness is not None and case.topology.count(case.topology.etcd_role) == 3
    ]
    assert {frozenset(nodes) for nodes in out if nodes} >= {frozenset({f"etcd-{i}"}) for i in (1, 2, 3)}
    assert sum(map(bool, out)) > len(out) / 2
