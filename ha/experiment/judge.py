"""From what a run recorded to its `Result`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ha.check import availability, claims, durability, linearizability, recovery, summary, verdict
from ha.check.durability import LostWrite
from ha.check.linearizability import Linearizability
from ha.check.load import standstills
from ha.experiment.environment import machine, versions
from ha.experiment.invariants import invariants
from ha.experiment.recording import Recording
from ha.experiment.run import Observed
from ha.history import Event, FaultEvent
from ha.history.result import Checks, FaultRecord, Result, Run
from ha.spec import Scenario

__all__ = ["judge"]

_HICCUP_S = 2.0
"""How long a loaded machine may stand still itself."""


def judge(
    scenario: Scenario,
    observed: Observed,
    recording: Recording,
    *,
    seed: int,
    started: datetime,
    world: str,
    repeat: str,
) -> Run:
    """The run with its result. `started` in UTC; `repeat` is the command that repeats the run."""
    operations = recording.operations
    final_reads = observed.final_reads
    load = [o for o in operations if observed.load_start_s <= o.invoked_s <= observed.load_end_s]
    nodes = observed.plan.records()
    objects = [o for o in operations if o.store is None]  # the others have a checker of their own
    linear = linearizability.check(objects)
    lost = durability.lost_writes(objects, final_reads)
    outages = availability.unavailability(load, observed.load_start_s, observed.load_end_s)
    recoveries = recovery.recoveries(recording.events, load, nodes)
    faults = fault_records(recording.events)
    always, explained = invariants(scenario, observed, recording, faults)
    claimed = [*always, *claims.evaluate(scenario.experiment.expect, outages, recoveries)]
    decision, reason = verdict.judge(
        load=load,
        standstills=standstills(load, observed.load_start_s, observed.load_end_s, _allowed_pauses_s(scenario)),
        linearizability=linear,
        lost=lost,
        unverified=durability.unverified_keys(objects, final_reads),
        claims=claimed,
        faults=faults,
        faults_planned=sum(len(f.occurrences_s(scenario.experiment.duration_s)) for f in scenario.experiment.faults),
    )
    topology = scenario.topology
    result = Result(
        verdict=decision,
        reason=reason,
        convicted_by=verdict.convicted_by(linear, lost, claimed),
        topology=topology.name,
        experiment=scenario.experiment.name,
        claim=scenario.experiment.claim,
        claims=claimed,
        checks=_checks(linear, lost, explained),
        arrivals=observed.arrivals,
        operations=summary.counts(load),
        unavailability=outages,
        recovery=recovery.worst(recoveries),
        recoveries=recoveries,
        faults=faults,
        nodes=nodes,
        world=world,
        engine=topology.etcd.engine,
        timings=topology.timings_name,
        timings_s=msgspec.structs.asdict(topology.timings),
        seed=seed,
        started=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=recording.now_s(),
        ready_s=observed.ready_s,
        memory_bytes=observed.memory_bytes,
        memory_total_bytes=sum(observed.memory_bytes.values()),
        versions=versions(),
        machine=machine(),
        run_dir=str(recording.directory or ""),
        repeat=repeat,
    )
    events = sorted(recording.events, key=lambda event: event.at_s)
    return Run(result=result, operations=operations, events=events)


def _checks(linear: Linearizability, lost: Sequence[LostWrite], explained: Sequence[str]) -> Checks:
    return Checks(
        linearizable=linear.verdict,
        lost_writes=len(lost),
        explanation=[*linear.explanation, *map(str, lost), *explained],
        method=linear.method,
    )


def fault_records(events: Sequence[Event]) -> list[FaultRecord]:
    """One record per occurrence, its injection joined with its undoing. Attested means both were seen."""
    injected = {e.index: e for e in events if isinstance(e, FaultEvent) and e.action == "inject"}
    undone = {e.index: e for e in events if isinstance(e, FaultEvent) and e.action == "undo"}
    return [_fault_record(inject, undone.get(index)) for index, inject in sorted(injected.items())]


def _fault_record(inject: FaultEvent, undo: FaultEvent | None) -> FaultRecord:
    return FaultRecord(
        index=inject.index,
        fault=inject.fault,
        target=inject.target,
        nodes=inject.nodes,
        processes=inject.processes,
        injected_s=inject.at_s,
        undone_s=undo.at_s if undo else None,
        attested=inject.attested and (undo is None or undo.attested),
        evidence=inject.evidence,
        undo_evidence=undo.evidence if undo else {},
        error=inject.error or (undo.error if undo else None),
    )


def _allowed_pauses_s(scenario: Scenario) -> dict[str, float]:
    """How long each workload may ask nothing: until its requests time out, and until the arrival after next."""
    timeout_s = scenario.topology.timings.client_timeout
    return {
        workload.type: timeout_s + _HICCUP_S + (2 / workload.rate_per_s if workload.rate_per_s else 0.0)
        for workload in scenario.experiment.workloads
        if workload.type != "deployment"  # it asks nothing
    }
