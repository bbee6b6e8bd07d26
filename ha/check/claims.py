"""An experiment's expectations against what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from ha.check.recovery import worst
from ha.history.result import Claim, Recovery, Unavailability
from ha.spec import Bound, Expect

__all__ = ["evaluate"]


def evaluate(
    expect: Expect, unavailability: Mapping[str, Unavailability], recoveries: Sequence[Recovery]
) -> list[Claim]:
    """One `Claim` per bound, in the order of the file. `held` is None where nothing was measured: nobody asked
    for such an operation, or the phase applied to no fault. A phase that applied and never ended takes forever.
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
                claims.append(_judge(f"unavailability of {group}, {what}", bound, taken_s, none))
    for phase, bound in expect.recovery.items():
        claims.append(_judge(f"recovery, {phase.replace('_', ' ')}", bound, _taken(recoveries, phase)))
    return claims


def _taken(recoveries: Sequence[Recovery], phase: str) -> float | None:
    if any(phase in recovery.not_reached for recovery in recoveries):
        return inf
    return worst(recoveries)[phase]


def _judge(what: str, bound: Bound, taken_s: float | None, none: str = "") -> Claim:
    """`none`: how to say that nothing was found to measure, where that is a finding."""
    limits = []
    if bound.at_least_s is not None:
        limits.append(f"at least {bound.at_least_s:g} s")
    if bound.at_most_s is not None:
        limits.append(f"at most {bound.at_most_s:g} s")
    expectation = f"{what}: {' and '.join(limits) or 'no limit'}"
    if taken_s is None:
        return Claim(expectation=expectation, measured="not measured", held=None)
    low = 0.0 if bound.at_least_s is None else bound.at_least_s
    high = inf if bound.at_most_s is None else bound.at_most_s
    measured = none or ("did not happen" if taken_s == inf else f"{taken_s:.3f} s")
    return Claim(expectation=expectation, measured=measured, held=low <= taken_s <= high)
