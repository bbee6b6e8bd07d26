"""From what a run recorded to its `Result`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from ha.check import (
    availability,
    claims,
    counterexample,
    durability,
    linearizability,
    recovery,
    store_durability,
    summary,
    verdict,
)
from ha.check.durability import LostWrite
from ha.check.linearizability import Linearizability
from ha.check.load import standstills
from ha.check.store_facts import Facts
from ha.experiment.environment import machine, versions
from ha.experiment.invariants import invariants
from ha.experiment.recording import Recording
from ha.experiment.run import Observed
from ha.history import Event, FaultEvent
from ha.history.columns import Columns
from ha.history.result import Checks, Claim, FaultRecord, Result, Run
from ha.spec import Conviction, Scenario
from ha.spec.durations import format_duration

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
    operations, reads = recording.operations, observed.final_reads
    load = [o for o in operations if observed.load_start_s <= o.invoked_s <= observed.load_end_s]
    # What the store itself answers has checkers of its own.
    objects, facts = [o for o in operations if o.store is None], Facts.of(operations)
    linear = linearizability.check_columns(columns := Columns.of(objects))
    lost = [*durability.lost_writes(objects, reads), *store_durability.lost_writes(facts, reads)]
    outages = availability.unavailability(load, observed.load_start_s, observed.load_end_s)
    faults, nodes = fault_records(recording.events), observed.plan.records()
    recoveries = recovery.recoveries(recording.events, load, nodes)
    always, explained = invariants(scenario, observed, recording, facts, faults)
    claimed = [*always, *_served(scenario, observed), *claims.evaluate(scenario.experiment.expect, outages, recoveries)]
    topology, conviction = scenario.topology, _conviction(scenario)
    decision, reason = verdict.judge(
        load=load,
        standstills=standstills(load, observed.load_start_s, observed.load_end_s, _allowed_pauses_s(scenario)),
        linearizability=linear,
        lost=lost,
        unverified=durability.unverified_keys(objects, reads) + store_durability.unverified_keys(facts, reads),
        claims=claimed,
        faults=faults,
        faults_planned=sum(len(f.occurrences_s(scenario.experiment.duration_s)) for f in scenario.experiment.faults),
        faults_may_miss=scenario.experiment.missed_faults == "ignored",
        conviction=conviction,
    )
    result = Result(
        verdict=decision,
        reason=reason,
        convicted_by=verdict.convicted_by(linear, lost, claimed),
        expected_conviction=conviction.by if conviction is not None else None,
        topology=topology.name,
        experiment=scenario.experiment.name,
        claim=scenario.experiment.claim,
        claims=claimed,
        checks=_checks(linear, columns, lost, explained),
        arrivals=observed.arrivals,
        operations=summary.counts(load),
        watches=summary.watch_counts(recording.watches),
        unavailability=outages,
        recovery=recovery.worst(recoveries),
        recoveries=recoveries,
        faults=faults,
        nodes=nodes,
        world=world,
        mutant=scenario.mutant,
        engine=topology.etcd.engine,
        timings=topology.timings_name,
        timings_s=msgspec.structs.asdict(topology.timings),
        seed=seed,
        started=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=recording.now_s(),
        ready_s=observed.ready_s,
        memory_bytes=observed.memory_bytes,
        memory_total_bytes=sum(observed.memory_bytes.values()),
        versions=versions(topology),
        machine=machine(),
        run_dir=str(recording.directory or ""),
        repeat=repeat,
    )
    return Run(result=result, operations=operations, events=sorted(recording.events, key=lambda event: event.at_s))


def _conviction(scenario: Scenario) -> Conviction | None:
    """The one that is claimed of the engine that runs."""
    claimed = scenario.experiment.expect.conviction
    return claimed if claimed is not None and claimed.engine == scenario.topology.etcd.engine else None


def _checks(linear: Linearizability, columns: Columns, lost: Sequence[LostWrite], explained: Sequence[str]) -> Checks:
    return Checks(
        linearizable=linear.verdict,
        lost_writes=len(lost),
        explanation=[*linear.explanation, *map(str, lost), *explained],
        method=linear.method,
        counterexample=counterexample.of_operations(linear, columns) if linear.verdict is False else [],
    )


def fault_records(events: Sequence[Event]) -> list[FaultRecord]:
    """One record per occurrence, its injection joined with its undoing, which may have come in parts: first of the
    core, then of the rest. Attested means that all was seen.
    """
    injected = {e.index: e for e in events if isinstance(e, FaultEvent) and e.action == "inject"}
    undone = [e for e in events if isinstance(e, FaultEvent) and e.action == "undo"]
    return [
        _fault_record(inject, [undo for undo in undone if undo.index == index])
        for index, inject in sorted(injected.items())
    ]


def _fault_record(inject: FaultEvent, undone: Sequence[FaultEvent]) -> FaultRecord:
    return FaultRecord(
        index=inject.index,
        fault=inject.fault,
        target=inject.target,
        nodes=inject.nodes,
        processes=inject.processes,
        injected_s=inject.at_s,
        took_s=inject.took_s,
        undone_s=undone[-1].at_s if undone else None,
        attested=inject.attested and all(undo.attested for undo in undone),
        evidence=inject.evidence,
        undo_evidence={what: seen for undo in undone for what, seen in undo.evidence.items()},
        error=next((event.error for event in (inject, *undone) if event.error), None),
    )


def _allowed_pauses_s(scenario: Scenario) -> dict[str, float]:
    """How long each workload may ask nothing: until its requests time out, and until the arrival after next."""
    timeout_s = scenario.topology.timings.client_timeout
    return {
        workload.type: timeout_s + _HICCUP_S + (2 / workload.rate_per_s if workload.rate_per_s else 0.0)
        for workload in scenario.experiment.workloads
        if workload.type not in ("deployment", "watch")  # they ask nothing
    }


def _served(scenario: Scenario, observed: Observed) -> Iterator[Claim]:
    """What an experiment with a core claims of it."""
    liveness = scenario.experiment.liveness
    if liveness is not None:
        within = format_duration(liveness.within_s)
        yield Claim(
            checker="liveness",
            expectation=f"while the rest stays broken, the core ({', '.join(liveness.core)}) serves within {within}",
            measured="it does" if observed.core_failed is None else observed.core_failed,
            held=observed.core_failed is None,
        )
