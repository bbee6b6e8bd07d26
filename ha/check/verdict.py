"""The verdict of a run, and the sentence that gives the reason.

*fail* when safety was broken or could not be established (a history that the search gave up on proves nothing),
or when a bound was broken; *inconclusive* when the run did not put the claim to the test: a fault that nothing
attests, a bound that could not be measured, a history that says nothing; *pass* otherwise. Failing comes first:
what was convicted stays convicted however little else was learned.
"""

from __future__ import annotations

from collections.abc import Sequence

from ha.check.durability import LostWrite
from ha.check.linearizability import Linearizability
from ha.check.summary import group_of
from ha.history import Operation
from ha.history.result import Claim, FaultRecord, Verdict

__all__ = ["judge"]


def judge(
    *,
    operations: Sequence[Operation],
    linearizability: Linearizability,
    lost: Sequence[LostWrite],
    unverified: Sequence[str],
    claims: Sequence[Claim],
    faults: Sequence[FaultRecord],
    faults_planned: bool,
    load_start_s: float,
) -> tuple[Verdict, str]:
    """Verdict and reason. `unverified`: keys of acknowledged writes that no final read covers."""
    failure = _failure(linearizability, lost, claims)
    if failure is not None:
        return "fail", failure
    doubt = _doubt(operations, unverified, claims, faults, load_start_s, faults_planned=faults_planned)
    if doubt is not None:
        return "inconclusive", doubt
    bounds = f" and {_count(len(claims), 'bound')} held" if claims else ""
    return "pass", f"The history is linearizable, nothing acknowledged was lost{bounds}."


def _failure(linearizability: Linearizability, lost: Sequence[LostWrite], claims: Sequence[Claim]) -> str | None:
    if linearizability.verdict is False:
        return f"The history is not linearizable: {linearizability.explanation[0]}."
    if lost:
        return f"{_count(len(lost), 'acknowledged write')} lost: {lost[0]}."
    if linearizability.verdict is None:
        return f"Linearizability could not be established: {linearizability.explanation[0]}."
    broken = [claim for claim in claims if claim.held is False]
    if broken:
        others = f" (and {len(broken) - 1} more)" if broken[1:] else ""
        return f"Bound broken: {broken[0].expectation}, measured {broken[0].measured}{others}."
    return None


def _doubt(
    operations: Sequence[Operation],
    unverified: Sequence[str],
    claims: Sequence[Claim],
    faults: Sequence[FaultRecord],
    load_start_s: float,
    *,
    faults_planned: bool,
) -> str | None:
    if faults_planned and not faults:
        return "No fault was injected."
    for fault in faults:
        if not fault.attested:
            reason = f": {fault.error}" if fault.error else ""
            return f"Fault {fault.index} ({fault.fault} {fault.target}) is not attested{reason}."
    for claim in claims:
        if claim.held is None:
            return f"Could not be measured: {claim.expectation}."
    first_fault_s = min((fault.injected_s for fault in faults), default=None)
    if not any(_shows_a_working_store(o, load_start_s, first_fault_s) for o in operations):
        return "Too few operations: no write succeeded under load before the first fault."
    if unverified:
        return f"No final read covers {_count(len(unverified), 'key')} of acknowledged writes, {unverified[0]} first."
    return None


def _shows_a_working_store(operation: Operation, load_start_s: float, first_fault_s: float | None) -> bool:
    return (
        operation.outcome == "ok"
        and group_of(operation) == "write"
        and operation.invoked_s >= load_start_s
        and (first_fault_s is None or (operation.completed_s or 0.0) < first_fault_s)
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
