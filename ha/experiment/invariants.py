"""What every run claims without saying so, in every world: the invariants of the store and of the cluster.

A checker has a say where there is something to judge: no claim about leases where nobody had one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ha.check import exits, store_model
from ha.check.violation import Violation
from ha.experiment.recording import Recording
from ha.experiment.run import Observed
from ha.history import Event
from ha.history.result import Checker, Claim, FaultRecord, NodeRecord

__all__ = ["invariants"]

_SHOWN = 10
"""More violations than this of one kind are counted."""


def invariants(
    observed: Observed, recording: Recording, faults: Sequence[FaultRecord]
) -> tuple[list[Claim], list[str]]:
    """A claim per invariant, and sentences that name what broke it."""
    found = [*_store(observed, recording)]
    claims = [_healed(observed, faults), _no_crash(recording.events, faults, observed.plan.records())]
    claims += [claim for claim, _ in found]
    return claims, [sentence for _, sentences in found for sentence in sentences]


def _store(observed: Observed, recording: Recording) -> list[tuple[Claim, list[str]]]:
    """Of clients of the store itself. Whoever has an API server has somebody else who compacts."""
    asked = [operation for operation in recording.operations if operation.store is not None]
    if not asked:
        return []
    broken = store_model.violations(asked, sole=not observed.plan.api_servers)
    looked = any(read.store is not None for read in observed.final_reads)
    what = "every answer of the store is that of one store with one history"
    return [_claim("store-model", what, broken, "" if looked else "nobody read what was left in the end")]


def _claim(checker: Checker, expectation: str, broken: Sequence[Violation], doubt: str = "") -> tuple[Claim, list[str]]:
    """`doubt`: why finding nothing proves nothing."""
    if not broken:
        measured = doubt or "nothing else"
        return Claim(checker=checker, expectation=expectation, measured=measured, held=None if doubt else True), []
    more = f" (and {len(broken) - 1} more)" if broken[1:] else ""
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
