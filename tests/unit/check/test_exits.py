"""A component that ends without a fault that explains it is found."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from ha.check.exits import _ENDING, unexplained
from ha.history import ComponentExit
from ha.history.result import FaultRecord, NodeRecord
from ha.spec.model import FaultName

NODES = [
    NodeRecord(
        name="control-plane-1",
        role="control-plane",
        address="127.1.1.10",
        components=["etcd", "kube-apiserver", "kube-scheduler", "kubelet"],
    )
]


def ended(process, at_s=5.0, node="control-plane-1"):
    return ComponentExit(at_s=at_s, node=node, process=process, pid=1, code=1, signal=None)


def killed(undone_s=8.0, processes=(), nodes=("control-plane-1",), fault="kill"):
    return FaultRecord(
        index=0,
        fault=fault,
        target="x",
        nodes=list(nodes),
        processes=list(processes),
        injected_s=4.0,
        undone_s=undone_s,
        attested=True,
    )


def test_a_crash_without_a_fault_is_unexplained():
    assert unexplained([ended("etcd")], [], NODES) == [ended("etcd")]


def test_a_fault_in_force_explains_what_it_hit():
    assert unexplained([ended("etcd"), ended("kubelet", 8.5)], [killed()], NODES) == []


@pytest.mark.parametrize("at_s", [3.9, 9.1])
def test_a_fault_explains_nothing_before_and_long_after_it(at_s):
    assert unexplained([ended("etcd", at_s)], [killed()], NODES) != []


def test_a_fault_of_one_process_explains_no_other():
    fault = killed(processes=["control-plane-1/kube-apiserver"])
    assert unexplained([ended("kube-apiserver"), ended("etcd")], [fault], NODES) == [ended("etcd")]


def test_a_fault_of_another_node_explains_nothing():
    assert unexplained([ended("etcd")], [killed(nodes=("control-plane-2",))], NODES) != []


def test_losing_a_lease_and_the_end_of_a_pod_are_no_crash():
    assert unexplained([ended("kube-scheduler"), ended("default_web-1_pause")], [], NODES) == []


@pytest.mark.parametrize("fault", ["disk-full", "disk-error", "bit-flip"])
def test_a_store_ends_on_a_failing_disk_again_and_again(fault):
    ends = [ended("etcd", at_s) for at_s in (4.1, 5.2, 7.3, 8.4)]
    assert unexplained(ends, [killed(fault=fault, processes=["control-plane-1/etcd"])], NODES) == []
    assert unexplained([ended("kubelet")], [killed(fault=fault, processes=["control-plane-1/etcd"])], NODES) != []


@pytest.mark.parametrize("fault", sorted(set(get_args(FaultName)) - _ENDING))
def test_bad_links_slow_disks_and_wrong_clocks_end_nothing(fault):
    assert fault in {
        "bandwidth",
        "bridge-partition",
        "clock-offset",
        "clock-rate",
        "delay",
        "partition",
        "refuse",
        "reset",
        "ring-partition",
        "slow-disk",
    }
    assert unexplained([ended("etcd")], [killed(fault=fault)], NODES) == [ended("etcd")]


def test_a_restart_explains_ends_until_it_is_complete():
    fault = msgspec.structs.replace(killed(fault="restart", undone_s=None), took_s=2.0)
    assert unexplained([ended("etcd", 6.5)], [fault], NODES) == []
    assert unexplained([ended("etcd", 7.5)], [fault], NODES) != []
