"""What every run claims without saying so, in every world: the invariants of the store and of the cluster.

A checker has a say where there is something to judge: no claim about leases where nobody had one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from ha.check import (
    committed,
    convergence,
    exits,
    leaders,
    leases,
    locks,
    pods,
    store_model,
    takeovers,
    watch_cache,
    watch_guarantees,
)
from ha.check.store_facts import Facts
from ha.check.violation import Violation
from ha.experiment.recording import Recording
from ha.experiment.run import Observed
from ha.history import Event
from ha.history.result import Checker, Claim, FaultRecord, NodeRecord
from ha.spec import Scenario, Timings

__all__ = ["invariants"]

_Judged: TypeAlias = tuple[Claim, list[str]]

_SLACK_S = 5.0
"""For scheduling a Pod, starting it, and seeing that it is ready."""
_SHOWN = 10
"""More violations than this of one kind are counted."""


def invariants(
    scenario: Scenario, observed: Observed, recording: Recording, facts: Facts, faults: Sequence[FaultRecord]
) -> tuple[list[Claim], list[str]]:
    """A claim per invariant, and sentences that name what broke it. `facts`: of the operations on the store."""
    events, nodes = recording.events, observed.plan.records()
    found = [*_store(observed, recording, facts, faults), *_watches(observed, recording, facts)]
    found += _members(observed, events)
    if observed.plan.api_servers:
        found += _control_plane(scenario, observed, recording, faults)
    claims = [_healed(observed, faults), _no_crash(events, faults, nodes), *(claim for claim, _ in found)]
    return claims, [sentence for _, sentences in found for sentence in sentences]


def _store(observed: Observed, recording: Recording, facts: Facts, faults: Sequence[FaultRecord]) -> Iterator[_Judged]:
    """Of clients of the store itself. Whoever has an API server has somebody else who compacts."""
    if not facts.operations:
        return
    looked = any(read.store is not None for read in observed.final_reads)
    doubt = "" if looked else "nobody read what was left in the end"
    broken = store_model.violations(facts, sole=not observed.plan.api_servers)
    yield _judged("store-model", "every answer of the store is that of one store with one history", broken, doubt)
    if leases.concerns(facts):
        broken = leases.violations(facts, recording.events, faults)
        yield _judged("leases", "leases and their keys live as long as was promised, and no longer", broken, doubt)
    if locks.concerns(facts):
        yield _judged("locks", "no lock is certainly held by two, nor written under once lost", locks.violations(facts))


def _watches(observed: Observed, recording: Recording, facts: Facts) -> Iterator[_Judged]:
    if recording.watches:
        objects = [operation for operation in recording.operations if operation.store is None]
        sole = not observed.plan.api_servers
        broken = watch_guarantees.violations(recording.watches, facts, objects, sole=sole)
        doubt = "some watcher was not followed to the end" if watch_guarantees.unfinished(recording.watches) else ""
        what = "watches are ordered, complete and free of repetitions, over breaks as well"
        yield _judged("watch-guarantees", what, broken, doubt)


def _members(observed: Observed, events: Sequence[Event]) -> Iterator[_Judged]:
    yield _judged("leaders", "no two etcd members lead in one term", leaders.violations(events))
    if committed.concerns(events):
        what = "committed entries are the same on all members, and never change"
        yield _judged("committed", what, committed.violations(events))
    if observed.not_recovered is None:
        unseen = convergence.unseen(events, observed.plan.members)
        apart = convergence.incomparable(events)
        doubt = f"nobody asked {', '.join(unseen)}" if unseen else ""
        if apart:
            doubt = f"members told what they hold at revisions {', '.join(map(str, apart))}, never at the same one"
        what = "when healed, all etcd members come to hold the same"
        yield _judged("convergence", what, convergence.violations(events), doubt)


def _control_plane(
    scenario: Scenario, observed: Observed, recording: Recording, faults: Sequence[FaultRecord]
) -> Iterator[_Judged]:
    events, timings = recording.events, scenario.topology.timings
    early = takeovers.violations(events, recording.operations, timings.lease_duration)
    yield _judged("takeovers", "of components that take turns nobody takes over from one that may still act", early)
    if observed.not_recovered is None:
        unanswered = watch_cache.unanswered(events, list(observed.plan.api_servers))
        doubt = f"no answer of {', '.join(unanswered)}" if unanswered else ""
        what = "when healed, every API server's cache shows what the store holds"
        yield _judged("watch-cache", what, watch_cache.violations(events), doubt)
    broken = pods.violations(events, faults, observed.plan.records(), _eviction(timings))
    doubt = "nobody told of the Deployments in the end" if pods.unanswered(events) else ""
    yield _judged("pods", "Pods are bound once, replaced when lost, all there in the end", broken, doubt)


def _eviction(timings: Timings) -> pods.Eviction:
    """Another leader, the rate at which nodes are emptied, the toleration; before that perhaps the grace anew."""
    takeover_s = timings.lease_duration + 2 * timings.lease_retry_period
    within_s = takeover_s + timings.node_eviction_period + timings.pod_eviction_toleration + _SLACK_S
    return pods.Eviction(within_s, within_s + takeover_s + timings.node_monitor_grace + 2 * timings.node_monitor_period)


def _judged(checker: Checker, expectation: str, broken: Sequence[Violation], doubt: str = "") -> _Judged:
    """`doubt`: why finding nothing proves nothing."""
    if not broken:
        measured = doubt or "no violation"
        return Claim(checker=checker, expectation=expectation, measured=measured, held=None if doubt else True), []
    more = f", and {len(broken) - 1} more like it" if broken[1:] else ""
    claim = Claim(checker=checker, expectation=expectation, measured=broken[0].reason + more, held=False)
    return claim, [f"{checker}: {violation}" for violation in broken[:_SHOWN]]


def _healed(observed: Observed, faults: Sequence[FaultRecord]) -> Claim:
    """Nothing stays broken."""
    what = "when every fault is undone, the whole cluster is ready again" if faults else "the cluster stays ready"
    return Claim(
        checker="ready",
        expectation=what,
        measured="ready" if observed.not_recovered is None else observed.not_recovered,
        held=observed.not_recovered is None,
    )


def _no_crash(events: Sequence[Event], faults: Sequence[FaultRecord], nodes: Sequence[NodeRecord]) -> Claim:
    """Nothing ends by itself."""
    crashes = exits.unexplained(events, faults, nodes)
    first = (
        f"{len(crashes)}, first {crashes[0].process} on {crashes[0].node} at {crashes[0].at_s:.1f} s" if crashes else ""
    )
    what = "no component ends that no fault hit"
    return Claim(checker="crash", expectation=what, measured=first or "none", held=not crashes)
