"""The verdict of a run, and the sentence that gives the reason.

*fail* when safety was broken or could not be established (a history that the search gave up on proves nothing),
or when a bound was broken; *inconclusive* when the run did not put the claim to the test: a fault that nothing
attests, a bound that could not be measured, a history that says nothing; *pass* otherwise. A claim about whatever
strikes is put to the test by the faults that do. Failing comes first: what was convicted stays convicted however
little else was learned.

Where it is claimed that a checker convicts, the claim holds when it does. When it does not, the run fails, or is
inconclusive if the claim was not put to the test; whatever else was found decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf
from typing import get_args

from ha.check.durability import LostWrite
from ha.check.linearizability import Linearizability
from ha.check.summary import group_of
from ha.history import Operation
from ha.history.result import Checker, Claim, FaultRecord, Verdict
from ha.spec import Conviction

__all__ = ["convicted_by", "judge"]

_BOUNDS = ("availability", "recovery", "liveness")
"""Checkers whose claims are limits on durations."""


def judge(
    *,
    load: Sequence[Operation],
    standstills: Sequence[str],
    linearizability: Linearizability,
    lost: Sequence[LostWrite],
    unverified: Sequence[str],
    claims: Sequence[Claim],
    faults: Sequence[FaultRecord],
    faults_planned: int,
    faults_may_miss: bool,
    conviction: Conviction | None,
) -> tuple[Verdict, str]:
    """Verdict and reason. `load`: what was asked under load, set-up and final reads left out. `standstills`:
    sentences of `ha.check.load`. `unverified`: keys of acknowledged writes that no final read covers.
    `faults_planned`: the entries of the schedule, each of which makes one fault at least. `faults_may_miss`: the claim
    is about those that struck. `conviction`: who is claimed to convict the engine that ran; None: nobody.
    """
    findings = list(_findings(linearizability, lost, claims))
    if conviction is not None:
        found = next((told for checker, told in findings if checker == conviction.by), None)
        if found is not None:
            return "pass", f"As is claimed, {conviction.by} convicts {conviction.engine}: {found}"
    elif findings:
        return "fail", findings[0][1]
    struck = [] if faults_may_miss else faults
    missed = () if faults_may_miss else _missed(faults, faults_planned)
    doubt = next(chain(missed, _doubts(load, standstills, unverified, claims, struck)), None)
    if doubt is not None:
        return "inconclusive", doubt
    if conviction is not None:
        instead = f"; instead: {findings[0][1]}" if findings else "."
        return "fail", f"{conviction.by} does not convict {conviction.engine}, as is claimed{instead}"
    others = f" and {_count(len(claims), 'claim')} held" if claims else ""
    return "pass", f"The history is linearizable, nothing acknowledged was lost{others}."


def convicted_by(linearizability: Linearizability, lost: Sequence[LostWrite], claims: Sequence[Claim]) -> list[Checker]:
    """Everybody who convicts, each once, in the order in which `Checker` names them."""
    guilty = {claim.checker for claim in claims if claim.held is False}
    guilty |= {"linearizability"} if linearizability.verdict is not True else set()
    guilty |= {"durability"} if lost else set()
    return [checker for checker in get_args(Checker) if checker in guilty]


def _findings(
    linearizability: Linearizability, lost: Sequence[LostWrite], claims: Sequence[Claim]
) -> Iterator[tuple[Checker | None, str]]:
    """What fails a run, the gravest first: who found it (None: nobody could decide), and a sentence."""
    if linearizability.verdict is False:
        yield "linearizability", f"The history is not linearizable: {linearizability.explanation[0]}."
    if lost:
        yield "durability", f"{_count(len(lost), 'acknowledged write')} lost: {lost[0]}."
    if linearizability.verdict is None:
        yield None, f"Linearizability could not be established: {linearizability.explanation[0]}."
    broken = [claim for claim in claims if claim.held is False]
    others = f" (and {_count(len(broken) - 1, 'other claim')} not)" if broken[1:] else ""
    for claim in broken:
        what = "Bound broken" if claim.checker in _BOUNDS else "Does not hold"
        yield claim.checker, f"{what}: {claim.expectation}, measured {claim.measured}{others}."


def _missed(faults: Sequence[FaultRecord], planned: int) -> Iterator[str]:
    """Faults that did not strike, or that nothing shows to have struck."""
    if len(faults) < planned:
        yield f"Only {len(faults)} of {_count(planned, 'fault')} were injected."
    for fault in faults:
        if not fault.attested:
            reason = f": {fault.error}" if fault.error else ""
            yield f"Fault {fault.index} ({fault.fault} {fault.target}) is not attested{reason}."


def _doubts(
    load: Sequence[Operation],
    standstills: Sequence[str],
    unverified: Sequence[str],
    claims: Sequence[Claim],
    faults: Sequence[FaultRecord],
) -> Iterator[str]:
    """Why else the claim was not put to the test, the most telling reason first. `faults`: those whose cost counts."""
    for claim in claims:
        if claim.held is None:
            yield f"Could not be measured: {claim.expectation}."
    first_fault_s = min((fault.injected_s for fault in faults), default=inf)
    idle = _never_seen_to_work(load, first_fault_s)
    if idle is not None:
        yield f"Too few operations: no {idle} succeeded under load before the first fault."
    for standstill in standstills:
        yield f"The load stood still: {standstill}."
    if unverified:
        yield f"No final read covers {_count(len(unverified), 'key')} of acknowledged writes, {unverified[0]} first."


def _never_seen_to_work(load: Sequence[Operation], first_fault_s: float) -> str | None:
    """A group without success before the first fault: of writes, without which there is nothing to lose, or of
    anything else that clients asked for.
    """
    asked = {"write", *map(group_of, load)}
    worked = {
        group_of(o) for o in load if o.outcome == "ok" and o.completed_s is not None and o.completed_s < first_fault_s
    }
    return max(asked - worked, default=None)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
