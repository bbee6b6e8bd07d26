"""Pods: bound once, on one node, replaced when nothing but their node is lost, all there in the end."""

from __future__ import annotations

import pytest

from ha.check.pods import Eviction, unanswered, violations
from ha.history import DeploymentSample, Event, LeaseChange, NodeCondition, PodChange, PodsRunning
from ha.history.result import FaultRecord, NodeRecord

EVICTION = Eviction(within_s=10.0, anew_s=20.0)
NODES = [
    NodeRecord(name=name, role=role, address="", components=[])
    for name, role in (("control-plane-1", "control-plane"), ("worker-1", "worker"), ("worker-2", "worker"))
]
OWNER = "ReplicaSet/web-5d"


def pod(name: str, node: str, at_s: float = 1.0, *, ready: bool = True, deleted: bool = False) -> PodChange:
    return PodChange(
        at_s=at_s,
        namespace="ns",
        name=name,
        uid=f"uid-{name}",
        node=node,
        phase="Running",
        ready=ready,
        owner=OWNER,
        deleted=deleted,
    )


def node(name: str, ready: str, at_s: float) -> NodeCondition:
    return NodeCondition(at_s=at_s, node=name, ready=ready)


def lost(name: str = "worker-1", fault: str = "kill", start_s: float = 5.0, end_s: float | None = 40.0) -> FaultRecord:
    return FaultRecord(
        index=0, fault=fault, target=name, nodes=[name], injected_s=start_s, undone_s=end_s, attested=True
    )


def found(events: list[Event], *faults: FaultRecord, nodes: list[NodeRecord] = NODES) -> list[str]:
    return [violation.reason for violation in violations(events, faults, nodes, EVICTION)]


def test_a_pod_that_is_bound_once_is_acquitted() -> None:
    assert found([pod("a", "", 1), pod("a", "worker-1", 2), pod("a", "", 3), pod("a", "worker-1", 4)]) == []


def test_a_pod_that_is_bound_twice_is_convicted() -> None:
    events: list[Event] = [pod("a", "worker-1", 2), pod("a", "worker-2", 4)]
    assert found(events) == ["Pod ns/a was bound to worker-1 and then to worker-2"]


def test_a_pod_that_runs_on_two_nodes_is_convicted() -> None:
    running = [PodsRunning(at_s=9, node=name, pods=["uid-a"]) for name in ("worker-1", "worker-2")]
    assert found([pod("a", "worker-1"), *running]) == ["Pod ns/a runs on worker-1 and on worker-2"]
    assert found([pod("a", "worker-1"), running[0], PodsRunning(at_s=9, node="worker-2", pods=["uid-b"])]) == []


def test_a_deployment_that_stays_incomplete_is_convicted() -> None:
    short = DeploymentSample(at_s=9, name="web", replicas=4, ready=3)
    assert found([short]) == ["Deployment web stays at 3 of 4 replicas ready although every node is up"]
    whole = DeploymentSample(at_s=9, name="web", replicas=4, ready=5)
    silent = DeploymentSample(at_s=9, name="", replicas=0, ready=0, error="refused")
    assert found([whole, silent]) == []
    assert (unanswered([whole]), unanswered([silent])) == (False, True)


BEFORE: list[Event] = [
    *(node(n.name, "True", 1.0) for n in NODES),
    pod("a", "worker-1"),
    pod("b", "worker-2"),
]
AFTER: list[Event] = [
    node("worker-1", "Unknown", 10.0),
    pod("a", "worker-1", 10.0, ready=False),
    node("worker-1", "True", 41.0),
    DeploymentSample(at_s=50.0, name="web", replicas=2, ready=2),
]
NEVER = "1 Pods of ReplicaSet/web-5d were not replaced when worker-1 was lost"


def test_pods_of_a_lost_node_must_be_replaced() -> None:
    assert found([*BEFORE, *AFTER], lost()) == [NEVER]
    assert found([*BEFORE, *AFTER, pod("c", "worker-2", 19.9)], lost()) == []
    assert found([*BEFORE, *AFTER, pod("c", "worker-2", 20.1)], lost()) == [NEVER]
    assert found([*BEFORE, *AFTER, pod("c", "worker-2", 19.0, ready=False)], lost()) == [NEVER]


@pytest.mark.parametrize(
    "fault",
    [
        lost(end_s=19.0),  # it was back before it was due
        lost(fault="delay"),  # not every fault takes a node away
        lost(start_s=11.0),  # it was not Ready before
    ],
)
def test_a_node_that_was_not_lost_for_so_long_needs_no_replacement(fault: FaultRecord) -> None:
    assert found([*BEFORE, *AFTER], fault) == []


def test_what_another_fault_holds_up_begins_anew() -> None:
    events = [*BEFORE, *AFTER]
    other = lost("control-plane-1", start_s=8.0, end_s=15.0)
    assert found(events, lost(), other) == [NEVER]  # due at 35 s
    assert found([*events, pod("c", "worker-2", 34.0)], lost(), other) == []
    assert found(events, lost(), lost("control-plane-1", start_s=8.0, end_s=25.0)) == []
    assert found(events, lost(), lost("control-plane-1", start_s=8.0, end_s=None)) == []
    assert found(events, lost(), lost("control-plane-1", start_s=30.0, end_s=31.0)) == []


def leads(at_s: float, name: str = "kube-controller-manager") -> LeaseChange:
    return LeaseChange(at_s=at_s, name=name, holder=f"control-plane-1_{at_s}", revision=7, renewed_revision=0)


def test_whoever_leads_anew_counts_anew_what_pods_tolerate() -> None:
    """Found on a machine that was so busy that controller-managers could not renew their Lease, with no fault."""
    events = [*BEFORE, *AFTER]
    assert found([*events, leads(15.0)], lost()) == [NEVER]  # due at 35 s
    assert found([*events, leads(15.0), pod("c", "worker-2", 34.0)], lost()) == []
    assert found([*events, leads(15.0), leads(30.0)], lost()) == []  # not due before it was back
    assert found([*events, leads(5.0), leads(21.0)], lost()) == [NEVER]  # before it was lost, and after it was due
    assert found([*events, leads(15.0, "kube-scheduler"), pod("c", "worker-2", 34.0)], lost()) == [NEVER]


def test_another_node_that_is_not_ready_excuses() -> None:
    assert found([*BEFORE, *AFTER, node("worker-2", "Unknown", 15.0)], lost()) == []
    assert found([*BEFORE, *AFTER, node("worker-2", "False", 9.0), node("worker-2", "True", 9.5)], lost()) == [NEVER]


def test_pods_need_somewhere_to_go() -> None:
    alone = [n for n in NODES if n.name != "worker-2"]
    events = [event for event in [*BEFORE, *AFTER] if getattr(event, "node", "") != "worker-2"]
    assert found(events, lost(), nodes=alone) == []


def test_no_more_is_demanded_than_there_should_be() -> None:
    """A Pod that was one too many is not replaced; and what is not known is not demanded."""
    events = [*BEFORE, *AFTER[:-1]]
    assert found([*events, DeploymentSample(at_s=50.0, name="web", replicas=1, ready=1)], lost()) == []
    assert found([*events, DeploymentSample(at_s=50.0, name="web", replicas=2, ready=2, generation=2)], lost()) == []
    assert found(events, lost()) == []
