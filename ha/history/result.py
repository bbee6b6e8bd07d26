"""The result of a run: what ``result.json`` holds and every report shows. The schema is documented here.

Durations and times are seconds; times count from the beginning of the run. A field that does not apply to
the run (no worker was killed, so no Pod moved) is None, never zero.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ha.history import Event, Operation
from ha.history.act import Act

__all__ = [
    "PHASES",
    "ArrivalCounts",
    "Checker",
    "Checks",
    "Claim",
    "FaultRecord",
    "Machine",
    "NodeRecord",
    "OperationCounts",
    "Recovery",
    "Result",
    "Run",
    "Unavailability",
    "Verdict",
    "WatchCounts",
    "Window",
]

Verdict: TypeAlias = Literal["pass", "fail", "inconclusive"]

Checker: TypeAlias = Literal[
    "linearizability",
    "durability",
    "store-model",
    "leases",
    "locks",
    "leaders",
    "committed",
    "convergence",
    "watch-guarantees",
    "watch-cache",
    "takeovers",
    "pods",
    "crash",
    "ready",
    "liveness",
    "availability",
    "recovery",
]
"""What can convict a run: what was answered and kept, what the parts of the cluster made of it, how it went on."""

PHASES = (
    "load_balancer_detection",
    "raft_election",
    "first_write",
    "controller_manager_takeover",
    "scheduler_takeover",
    "node_not_ready",
    "pods_running_elsewhere",
)
"""Recovery phases in the order in which they usually end; keys of `Recovery.phases_s`."""


class OperationCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes of one group of operations, and latency of the ok ones in milliseconds (None: no ok)."""

    ok: int
    fail: int
    info: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


class WatchCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the watchers of one place were told: a member, any member, or the API."""

    watchers: int
    events: int
    bookmarks: int
    """Progress notifications, of etcd."""
    resumed: int
    """Watches that went on where the one before had come to."""
    lost: int
    """Watches that broke or were refused, not counting those that had come to their agreed end."""
    compacted: int
    """Watches that ended because what came next was compacted."""


class ArrivalCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How a workload kept its schedule. In an open loop an arrival is late when no client was free for it: that wait
    is not part of any latency (coordinated omission), so it stands here. `rate_per_s` None: a closed loop.
    """

    rate_per_s: float | None
    due: int | None = None
    """How many the rate asked for while the load ran; fewer are taken when the clients cannot keep up."""
    taken: int
    late: int
    lateness_max_s: float


class Window(msgspec.Struct, frozen=True):
    """An interval of the run."""

    start_s: float
    end_s: float


class Unavailability(msgspec.Struct, frozen=True, kw_only=True):
    """When one group of operations got no success: see `ha.check.availability` for the definition."""

    longest_s: float
    total_s: float
    windows: list[Window] = []
    open_ended: bool = False
    """The last window ended only because the load did: the longest may have been longer."""
    threshold_s: float | None = None
    """Only longer windows without success count."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """How one fault occurrence was recovered from: seconds from injection to the end of each of `PHASES`, None
    where the phase does not apply to the fault, or applies and did not end: then it stands in `not_reached`.
    """

    fault: int
    target: str
    phases_s: dict[str, float | None]
    not_reached: list[str] = []


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """Safety. `linearizable` is None when the search gave up (unknown), which fails a run."""

    linearizable: bool | None
    lost_writes: int
    explanation: list[str] = []
    """What convicted the run, naming operations; empty when nothing did."""
    method: str = ""
    """How linearizability was decided: by revision, by search, or both."""
    counterexample: list[Act] = []
    """The few operations that no order explains, if it was refuted."""


class FaultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence of a fault, with the evidence that it took effect and that it was undone."""

    index: int
    fault: str
    target: str
    nodes: list[str]
    processes: list[str] = []
    injected_s: float
    took_s: float = 0.0
    """How long the injection took: of a restart, all of it."""
    undone_s: float | None = None
    attested: bool
    evidence: dict[str, object] = {}
    undo_evidence: dict[str, object] = {}
    error: str | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation, of the experiment or of every run, against what was measured. `checker` judged it."""

    checker: Checker
    expectation: str
    measured: str
    held: bool | None
    """None: could not be measured; the run is inconclusive."""


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the topology."""

    name: str
    role: str
    address: str
    components: list[str]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran."""

    system: str
    cores: int
    memory_bytes: int
    python: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result, one JSON object."""

    schema: Literal["ha/result/v1"] = "ha/result/v1"
    verdict: Verdict
    reason: str
    """One sentence: why this verdict."""
    convicted_by: list[Checker] = []
    """Who found something that must not be; empty unless the verdict is fail, or a conviction was expected."""
    expected_conviction: Checker | None = None
    """Who must convict the engine for the claim to hold; None: nobody may."""
    topology: str
    experiment: str
    claim: str
    claims: list[Claim]
    checks: Checks
    arrivals: dict[str, ArrivalCounts] = {}
    """By workload."""
    operations: dict[str, OperationCounts]
    """By group: ``write`` (write, cas, create and delete) and ``read``."""
    watches: dict[str, WatchCounts] = {}
    """By place; empty without watchers."""
    unavailability: dict[str, Unavailability]
    recovery: dict[str, float | None]
    """Per phase of `PHASES`, the worst over all faults; None also when it did not end after one of them."""
    recoveries: list[Recovery]
    faults: list[FaultRecord]
    nodes: list[NodeRecord]
    world: str
    engine: str
    timings: str
    """``fast``, ``upstream`` or ``explicit``."""
    timings_s: dict[str, float]
    seed: int
    started: str
    """UTC, RFC 3339."""
    duration_s: float
    ready_s: float
    """From start until every API server was ready and every Node Ready."""
    memory_bytes: dict[str, int]
    """Proportional set size when ready, by ``node/process``."""
    memory_total_bytes: int
    versions: dict[str, str]
    machine: Machine
    mutant: str | None = None
    """The bug that was planted for the time of a simulation."""
    trace_digest: str | None = None
    """Of everything that happened in a simulation: equal for equal seeds. None in the real world."""
    wall_s: float | None = None
    """What a simulation took of real time; its other durations are virtual. None in the real world."""
    run_dir: str
    repeat: str
    """The command that repeats the run."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A result with what it was judged from: what a report draws."""

    result: Result
    operations: list[Operation]
    events: list[Event]
