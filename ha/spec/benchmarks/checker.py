"""``measure: checker``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, field

from ha.spec import rules
from ha.spec.benchmarks.base import Benchmark
from ha.spec.model import Period

__all__ = ["CheckerCase", "CheckerSpeed"]


class CheckerCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A history that is made up, of a store that is linearizable."""

    operations: Annotated[int, Meta(ge=100, le=10_000_000, description="How many.")]
    tells: Annotated[
        Literal["revisions", "values"], Meta(description="What its answers tell. Values alone need a search.")
    ] = "revisions"
    at_most_s: Annotated[Period | None, Meta(description="The target: how long a check may take.")] = field(
        name="at_most", default=None
    )
    memory_at_most_mib: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="The target: what it may take beside the history."),
    ] = None
    growth_at_most: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="The target: so many times what a tenth of the operations take, which is a case as well."),
    ] = None
    recorded: Annotated[
        str, Meta(max_length=60, description="What another checker took. It is shown, and never compared.")
    ] = ""

    @property
    def title(self) -> str:
        """What its row is called."""
        return f"{self.operations:,}, {self.tells}"


class CheckerSpeed(Benchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long it takes to check a history that is in memory, and how much memory."""

    cases: Annotated[list[CheckerCase], Meta(min_length=1, description="What is checked.")]
    seed: Annotated[int, Meta(ge=0, description="Of every history.")] = 1
    recorded_from: Annotated[
        str, Meta(max_length=500, description="Which checker the recorded figures are of, where and when.")
    ] = ""

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:  # noqa: ARG002  (the base's)
        """See `Benchmark`."""
        known = [(case.operations, case.tells) for case in self.cases]
        for i, case in enumerate(self.cases):
            if known[i] in known[:i]:
                report(f"cases[{i}]", f"{case.title} stands twice", allowed="each history once")
            tenth = case.operations // 10
            if case.growth_at_most is not None and (tenth, case.tells) not in known:
                report(f"cases[{i}].growth_at_most", f"no case has {tenth:,} operations", allowed="a case of a tenth")
