"""An experiment's expectations against what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import msgspec

from ha.history.result import Checker, Claim, Recovery, Unavailability
from ha.spec import Bound, Expect

__all__ = ["evaluate"]


def evaluate(
    expect: Expect, unavailability: Mapping[str, Unavailability], recoveries: Sequence[Recovery]
) -> list[Claim]:
    """One `Claim` per bound, in the order of the file. `held` is None where nothing was measured: nobody asked
    for such an operation, or the phase applied to no fault. A phase that applied and never ended takes forever.
    Of several faults each must keep the bound; shown is the one that broke it, or the longest.
    """
    claims = []
    for group, bounds in expect.unavailability.items():
        found = unavailability.get(group)
        none = f"none over {found.threshold_s:g} s" if found and found.threshold_s and not found.windows else ""
        for bound, what, taken_s in (
            (bounds.longest, "longest", found.longest_s if found else None),
            (bounds.total, "total", found.total_s if found else None),
        ):
            if bound is not None:
                claim = _judge("availability", f"unavailability of {group}, {what}", bound, taken_s, none)
                claims.append(_lower_limit(claim, bound) if found and found.open_ended else claim)
    for phase, bound in expect.recovery.items():
        each_s = [inf if phase in one.not_reached else one.phases_s[phase] for one in recoveries]
        what = f"recovery, {phase.replace('_', ' ')}"
        judged = [_judge("recovery", what, bound, taken_s) for taken_s in _longest_first(each_s)]
        claims.append(next((claim for claim in judged if claim.held is False), judged[0]))
    return claims


def _lower_limit(claim: Claim, bound: Bound) -> Claim:
    """What was measured is only known to be as long as that: it keeps no upper limit."""
    unknown = claim.held is True and bound.at_most_s is not None
    measured = f"{claim.measured} or more: the load ended before it did"
    return msgspec.structs.replace(claim, measured=measured, held=None if unknown else claim.held)


def _longest_first(each_s: Sequence[float | None]) -> list[float | None]:
    measured = sorted((taken_s for taken_s in each_s if taken_s is not None), reverse=True)
    return [*measured] or [None]


def _judge(checker: Checker, what: str, bound: Bound, taken_s: float | None, none: str = "") -> Claim:
    """`none`: how to say that nothing was found to measure, where that is a finding."""
    limits = []
    if bound.at_least_s is not None:
        limits.append(f"at least {bound.at_least_s:g} s")
    if bound.at_most_s is not None:
        limits.append(f"at most {bound.at_most_s:g} s")
    expectation = f"{what}: {' and '.join(limits) or 'no limit'}"
    if taken_s is None:
        return Claim(checker=checker, expectation=expectation, measured="not measured", held=None)
    low = 0.0 if bound.at_least_s is None else bound.at_least_s
    high = inf if bound.at_most_s is None else bound.at_most_s
    measured = none or ("did not happen" if taken_s == inf else f"{taken_s:.3f} s")
    return Claim(checker=checker, expectation=expectation, measured=measured, held=low <= taken_s <= high)
