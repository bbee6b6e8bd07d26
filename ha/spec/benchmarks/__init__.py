"""``kind: Benchmark``: one question that figures answer.

`measure` says how it is measured, and brings fields of its own: one file here for each, `MEASURES` is their table.
What measures is found by the same name in `ha.experiment.benchmarks`; a test holds the two together.
"""

from __future__ import annotations

from ha.spec.benchmarks.base import Benchmark, MeasureName
from ha.spec.benchmarks.bring_up import BringUp
from ha.spec.benchmarks.checker import CheckerCase, CheckerSpeed
from ha.spec.benchmarks.failover import Failover, FailoverCase, FailoverFault
from ha.spec.benchmarks.load_balancer import BalancerCase, BalancerLoad, LoadBalancing
from ha.spec.benchmarks.memory import Memory
from ha.spec.benchmarks.mutants import Mutants
from ha.spec.benchmarks.simulation_speed import SimulationCase, SimulationSpeed
from ha.spec.benchmarks.store_throughput import StoreOperation, StoreThroughput, ThroughputCase

__all__ = [
    "MEASURES",
    "BalancerCase",
    "BalancerLoad",
    "Benchmark",
    "BringUp",
    "CheckerCase",
    "CheckerSpeed",
    "Failover",
    "FailoverCase",
    "FailoverFault",
    "LoadBalancing",
    "MeasureName",
    "Memory",
    "Mutants",
    "SimulationCase",
    "SimulationSpeed",
    "StoreOperation",
    "StoreThroughput",
    "ThroughputCase",
]

MEASURES: dict[MeasureName, type[Benchmark]] = {
    "bring-up": BringUp,
    "checker": CheckerSpeed,
    "failover": Failover,
    "load-balancer": LoadBalancing,
    "memory": Memory,
    "mutants": Mutants,
    "simulation-speed": SimulationSpeed,
    "store-throughput": StoreThroughput,
}
"""What a Benchmark file with this measure is."""
