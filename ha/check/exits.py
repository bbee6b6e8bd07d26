"""Looks for components that ended although no fault hit them: a crash that the kubelet mends is a crash still.

A component's end is explained by a fault that hit it, or its whole node, and was in force or undone less than `GRACE_S`
before: one that ends processes, or a failing disk, on which a store must stop. Slow or broken links, slow disks and
wrong clocks end nothing. Those that lead by a Lease end themselves when they lose it, wherever the fault was: that is
how leader election works, and no crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from ha.history import ComponentExit, Event
from ha.history.result import FaultRecord, NodeRecord
from ha.spec.faults import INSTANT

__all__ = ["GRACE_S", "unexplained"]

GRACE_S = 1.0

_ENDING = {"kill", "pause", "restart", "disk-full", "disk-error", "bit-flip", "wipe-disk", "torn-write"}
_LED_BY_LEASE = {"kube-scheduler", "kube-controller-manager", "cloud-controller-manager"}


def unexplained(
    events: Sequence[Event], faults: Sequence[FaultRecord], nodes: Sequence[NodeRecord]
) -> list[ComponentExit]:
    """Ends of components (not of Pods) that no fault explains, in order."""
    components = {node.name: set(node.components) - _LED_BY_LEASE for node in nodes}
    return [
        event
        for event in events
        if isinstance(event, ComponentExit)
        and event.process in components.get(event.node, ())
        and not any(_explains(fault, event) for fault in faults)
    ]


def _explains(fault: FaultRecord, event: ComponentExit) -> bool:
    hit = f"{event.node}/{event.process}" in fault.processes if fault.processes else event.node in fault.nodes
    return fault.fault in _ENDING and hit and fault.injected_s <= event.at_s <= _over_s(fault) + GRACE_S


def _over_s(fault: FaultRecord) -> float:
    if fault.fault in INSTANT:
        return fault.injected_s + fault.took_s
    return inf if fault.undone_s is None else fault.undone_s
