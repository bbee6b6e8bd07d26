"""What a worker does for a search: try the case of a seed, or shrink one that failed. Runs in any process.

Both are functions of their task, with one exception: how far shrinking gets within its time.
"""

from __future__ import annotations

import traceback
from time import monotonic  # noqa: TID251  (how long to shrink is the user's time, not the cluster's)
from typing import Literal

import msgspec

from ha.experiment.fuzz import drawing
from ha.experiment.fuzz.cases import Space, cases
from ha.experiment.fuzz.features import features
from ha.experiment.simulation import run_scenario
from ha.history.result import Verdict
from ha.spec import Scenario

__all__ = ["Judged", "Shrunk", "judge", "shrink"]


_GRAVEST = "durability"
"""What was acknowledged and is lost comes before all that is wrong besides; the rest as the result orders it."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one case."""

    seed: int
    verdict: Verdict | Literal["defect"]
    """defect: the testbed itself broke down."""
    kinds: list[str] = []
    """Which checkers convicted it, the gravest first; of a defect: the error's name."""
    reason: str
    virtual_s: float = 0.0
    struck: int = 0
    """Faults that took effect."""
    digest: str | None = None
    features: frozenset[int] = frozenset()

    @property
    def kind(self) -> str | None:
        """The gravest conviction; None when there is none."""
        return self.kinds[0] if self.kinds else None


class Shrunk(msgspec.Struct, frozen=True, kw_only=True):
    """The simplest case found, and how it was judged."""

    scenario: Scenario
    judged: Judged
    tried: int
    """Cases that were run on the way."""
    repeats: bool
    """Whether running it once more came to the same, event by event."""


def judge(space: Space, seed: int) -> Judged:
    """Draw the case of a seed and run it. Never raises for what a case may do."""
    return _judge(drawing.draw(cases(space, seed), seed), seed)


def shrink(space: Space, seed: int, kind: str, limit_s: float) -> Shrunk:
    """Find the simplest case that is convicted of `kind` as that of the seed is, within about `limit_s` seconds of
    real time.
    """
    judged: dict[bytes, Judged] = {}
    deadline = monotonic() + limit_s

    def fails(case: Scenario) -> bool:
        key = msgspec.json.encode(case)
        if key not in judged:
            if monotonic() > deadline:
                raise drawing.EnoughError
            judged[key] = _judge(case, seed)
        return kind in judged[key].kinds

    smallest = drawing.shrink(cases(space, seed), seed, fails)
    first = judged.get(msgspec.json.encode(smallest)) or _judge(smallest, seed)
    again = _judge(smallest, seed)
    return Shrunk(
        scenario=smallest,
        judged=again,
        tried=len(judged),
        repeats=(first.kinds, first.digest) == (again.kinds, again.digest),
    )


def _judge(case: Scenario, seed: int) -> Judged:
    try:
        run, _ = run_scenario(case, seed=seed)
    except Exception as error:  # noqa: BLE001  (a defect of ours, and like any other failure it has a seed)
        told = "".join(traceback.format_exception_only(error)).strip()
        return Judged(seed=seed, verdict="defect", kinds=[type(error).__name__], reason=told)
    return Judged(
        seed=seed,
        verdict=run.result.verdict,
        kinds=sorted(run.result.convicted_by, key=lambda kind: kind != _GRAVEST),
        reason=run.result.reason,
        virtual_s=run.result.duration_s,
        struck=sum(fault.attested for fault in run.result.faults),
        digest=run.result.trace_digest,
        features=features(run),
    )
