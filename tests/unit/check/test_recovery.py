from __future__ import annotations

from itertools import permutations
from typing import get_args

import pytest

from ha.check.recovery import recoveries, worst
from ha.history import BackendChange, FaultEvent, LeaseChange, MemberSample, NodeCondition, PodChange
from ha.history.result import PHASES, NodeRecord, Recovery
from ha.spec.model import FaultName
from tests.unit.check.ops import op

CP1, CP2, W1, W2 = "control-plane-1", "control-plane-2", "worker-1", "worker-2"
NODES = [
    NodeRecord(name=name, role=name.rpartition("-")[0], address=f"127.0.0.{i}", components=[])
    for i, name in enumerate((CP1, CP2, W1, W2), start=1)
]


def inject(at_s, *nodes, processes=(), index=0, fault="kill", links=()):
    return FaultEvent(
        at_s=at_s,
        index=index,
        action="inject",
        fault=fault,
        links=list(links),
        target="x",
        nodes=list(nodes),
        processes=list(processes),
        attested=True,
    )


def member(at_s, node, term, leader, *, reachable=True):
    return MemberSample(at_s=at_s, member=node, node=node, reachable=reachable, term=term, leader=leader)


def backend(at_s, name, *, up):
    return BackendChange(at_s=at_s, backend=name, up=up, reason="")


def pod(at_s, uid, node, *, ready=True, deleted=False, owner="ReplicaSet/web"):
    return PodChange(
        at_s=at_s,
        namespace="default",
        name=uid,
        uid=uid,
        node=node,
        phase="Running",
        ready=ready,
        owner=owner,
        deleted=deleted,
    )


def one(events, operations=()):
    (recovery,) = recoveries(events, operations, NODES)
    return recovery


def test_nothing_applies_to_a_fault_that_hit_nothing_that_mattered():
    recovery = one([inject(10, W1)])
    assert recovery == Recovery(fault=0, target="x", phases_s=dict.fromkeys(PHASES))


def test_fault_without_victims_is_left_out():
    assert recoveries([inject(10)], [], NODES) == []


def test_detection_ends_when_the_last_victim_is_ejected():
    up = [backend(1, CP1, up=True), backend(1, "127.0.0.2:6443", up=True)]
    ejected = [backend(10.2, CP1, up=False), backend(10.5, "127.0.0.2:6443", up=False)]
    assert one([*up, inject(10, CP1), *ejected]).phases_s["load_balancer_detection"] == pytest.approx(0.2)
    assert one([*up, inject(10, CP1, CP2), *ejected]).phases_s["load_balancer_detection"] == pytest.approx(0.5)


def test_ejection_of_another_backend_is_no_detection():
    recovery = one([backend(1, CP1, up=True), backend(1, CP2, up=True), inject(10, CP1), backend(11, CP2, up=False)])
    assert recovery.phases_s["load_balancer_detection"] is None
    assert recovery.not_reached == ["load_balancer_detection"]


def test_backend_that_was_out_already_needs_no_detection():
    recovery = one([backend(1, CP1, up=True), backend(2, CP1, up=False), inject(10, CP1)])
    assert recovery.not_reached == []


def test_election_is_timed_when_the_leader_was_hit():
    before = [member(1, CP1, 3, CP1), member(1, CP2, 3, CP1)]
    after = [
        member(10.1, CP1, None, None, reachable=False),
        member(10.4, CP2, 4, None),
        member(10.9, CP2, 4, CP2),
    ]
    assert one([*before, inject(10, CP1), *after]).phases_s["raft_election"] == pytest.approx(0.9)
    assert one([*before, inject(10, CP2), *after]).phases_s["raft_election"] is None


def test_same_leader_in_a_higher_term_is_an_election():
    before = [member(1, CP1, 3, CP1)]
    assert one([*before, inject(10, CP1), member(12, CP1, 4, CP1)]).phases_s["raft_election"] == pytest.approx(2)


def test_same_leader_in_the_same_term_is_none():
    recovery = one([member(1, CP1, 3, CP1), inject(10, CP1), member(12, CP1, 3, CP1)])
    assert recovery.not_reached == ["raft_election"]


def test_component_fault_concerns_that_component_only():
    before = [member(1, CP1, 3, CP1), backend(1, CP1, up=True), LeaseChange(at_s=1, name="kube-scheduler", holder=CP1)]
    recovery = one([*before, inject(10, CP1, processes=[f"{CP1}/kube-apiserver"]), backend(10.3, CP1, up=False)])
    assert recovery.phases_s["load_balancer_detection"] == pytest.approx(0.3)
    assert recovery.phases_s["raft_election"] is None
    assert recovery.not_reached == []


def test_write_that_still_succeeds_before_the_fault_takes_effect_is_no_recovery():
    steady = [op("write", "a", i / 100, i / 100 + 0.005) for i in range(1003)]
    outage = [op("write", "a", 10.03, 11.03, "info"), op("write", "a", 11.1, 12.5)]
    assert one([inject(10, W1)], steady + outage).phases_s["first_write"] == pytest.approx(2.5)
    assert one([inject(10, W1)], steady + outage[:1]).not_reached == ["first_write"]


def test_fault_that_stops_no_write_is_over_with_the_next_one():
    steady = [op("write", "a", i / 100, i / 100 + 0.005) for i in range(1500)]
    assert one([inject(9.999, W1)], steady).phases_s["first_write"] == pytest.approx(0.006)


def test_first_write_is_one_that_was_invoked_after_the_injection():
    operations = [
        op("write", "a", 9.9, 10.1),
        op("read", "a", 10.1, 10.2),
        op("cas", "a", 10.1, 10.3, "fail"),
        op("create", "b", 10.2, 11.5),
        op("write", "a", 11.0, 11.25),
    ]
    assert one([inject(10, W1)], operations).phases_s["first_write"] == pytest.approx(1.25)
    assert one([inject(12, W1)], operations).not_reached == ["first_write"]


@pytest.mark.parametrize(
    ("lease", "phase"),
    [("kube-scheduler", "scheduler_takeover"), ("kube-controller-manager", "controller_manager_takeover")],
)
def test_takeover_is_timed_when_the_holder_was_hit(lease, phase):
    events = [
        LeaseChange(at_s=1, name=lease, holder=f"{CP1}_aa"),
        inject(10, CP1),
        LeaseChange(at_s=11, name=lease, holder=""),
        LeaseChange(at_s=12, name=lease, holder=f"{CP2}_bb"),
    ]
    assert one(events).phases_s[phase] == pytest.approx(2)
    assert one([events[0], inject(10, CP2), *events[2:]]).phases_s[phase] is None
    assert one(events[:3]).not_reached == [phase]


def test_node_is_not_ready_when_its_condition_says_so():
    ready = [NodeCondition(at_s=1, node=n, ready="True") for n in (W1, W2)]
    unknown = NodeCondition(at_s=15, node=W1, ready="Unknown")
    assert one([*ready, inject(10, W1), unknown]).phases_s["node_not_ready"] == pytest.approx(5)
    assert one([*ready, inject(10, W1, W2), unknown]).not_reached == ["node_not_ready"]


def test_pods_run_elsewhere_when_as_many_more_are_ready_there():
    before = [pod(1, "a", W1), pod(1, "b", W1), pod(1, "c", W2), pod(1, "static", W1, owner=f"Node/{W1}")]
    after = [
        pod(15, "a", W1, ready=False),
        pod(16, "d", W2, ready=False),
        pod(17, "d", W2),
        pod(18, "e", W2),
        pod(19, "b", W1, deleted=True),
    ]
    assert one([*before, inject(10, W1), *after]).phases_s["pods_running_elsewhere"] == pytest.approx(8)
    assert one([*before, inject(10, W1), *after[:3]]).not_reached == ["pods_running_elsewhere"]
    assert one([*before, inject(10, CP1), *after]).phases_s["pods_running_elsewhere"] is None


def test_what_follows_a_second_hit_on_the_same_victim_belongs_to_that():
    events = [NodeCondition(at_s=1, node=W1, ready="True"), inject(10, W1), inject(20, W1, index=1)]
    events.append(NodeCondition(at_s=25, node=W1, ready="Unknown"))
    first, second = recoveries(events, [], NODES)
    assert first.not_reached == ["node_not_ready"]
    assert second.phases_s["node_not_ready"] == pytest.approx(5)


def test_worst_is_the_longest_of_each_phase():
    measured = [
        Recovery(fault=i, target="x", phases_s={**dict.fromkeys(PHASES), "first_write": taken})
        for i, taken in enumerate((1.0, 3.0, None))
    ]
    assert worst(measured) == {**dict.fromkeys(PHASES), "first_write": 3.0}


def test_worst_is_no_figure_when_one_recovery_never_ended():
    ended = Recovery(fault=0, target="x", phases_s={**dict.fromkeys(PHASES), "first_write": 1.0})
    endless = Recovery(fault=1, target="x", phases_s=dict.fromkeys(PHASES), not_reached=["first_write"])
    assert worst([ended, endless])["first_write"] is None


STORE = [NodeRecord(name=f"m{i}", role="etcd", address="", components=["etcd"]) for i in (1, 2, 3)]
APART_1 = [(a, b) for a, b in permutations(("m1", "m2", "m3"), 2) if "m1" in (a, b)]


@pytest.mark.parametrize("target", [["m1"], ["m2", "m3"]])
def test_the_leader_apart_from_the_majority_calls_for_an_election_whoever_the_target_is(target):
    events = [*(member(1, m, 3, "m1") for m in ("m1", "m2", "m3")), member(11, "m2", 4, "m2")]
    cut = inject(10, *target, fault="partition", links=APART_1)
    (recovery,) = recoveries([*events, cut], [], STORE)
    assert recovery.phases_s["raft_election"] == pytest.approx(1)


def test_a_follower_apart_from_the_majority_calls_for_none():
    events = [*(member(1, m, 3, "m2") for m in ("m1", "m2", "m3")), member(11, "m2", 4, "m2")]
    (recovery,) = recoveries([*events, inject(10, "m1", fault="partition", links=APART_1)], [], STORE)
    assert recovery.phases_s["raft_election"] is None
    assert recovery.not_reached == []


@pytest.mark.parametrize("fault", ["delay", "slow-disk", "clock-offset", "bit-flip", "reset"])
def test_what_only_slows_or_disturbs_takes_nothing_over(fault):
    before = [member(1, CP1, 3, CP1), backend(1, CP1, up=True), NodeCondition(at_s=1, node=CP1, ready="True")]
    recovery = one([*before, inject(10, CP1, fault=fault)])
    assert recovery.not_reached == []


def test_a_member_whose_disk_fails_is_succeeded():
    before = [member(1, CP1, 3, CP1), member(1, CP2, 3, CP1), backend(1, CP1, up=True)]
    recovery = one([*before, inject(10, CP1, fault="disk-full"), member(10.5, CP2, 4, CP2)])
    assert recovery.phases_s["raft_election"] == pytest.approx(0.5)
    assert recovery.not_reached == []


@pytest.mark.parametrize("fault", get_args(FaultName))
def test_every_fault_is_measured(fault):
    recovery = one([inject(10, CP1, fault=fault)], [op("write", "a", 11, 12)])
    assert set(recovery.phases_s) == set(PHASES)
    assert recovery.phases_s["first_write"] == pytest.approx(2)
