"""The files that users write, as frozen types. Parsing and checking: `ha.spec.load`."""

from __future__ import annotations

from ha.spec.model import (
    Bound,
    Engine,
    Etcd,
    EtcdTopology,
    Expect,
    Experiment,
    Fault,
    FaultName,
    NodeGroup,
    OperationBounds,
    Role,
    Scenario,
    Spec,
    Target,
    Timings,
    Topology,
    Workload,
)

__all__ = [
    "Bound",
    "Engine",
    "Etcd",
    "EtcdTopology",
    "Expect",
    "Experiment",
    "Fault",
    "FaultName",
    "NodeGroup",
    "OperationBounds",
    "Role",
    "Scenario",
    "Spec",
    "Target",
    "Timings",
    "Topology",
    "Workload",
]
