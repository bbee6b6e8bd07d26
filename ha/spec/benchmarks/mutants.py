"""``measure: mutants``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, field

from ha.spec import rules
from ha.spec.benchmarks.base import OneTopologyBenchmark
from ha.spec.model import Name, Period

__all__ = ["Mutants"]


class Mutants(OneTopologyBenchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether fuzzing finds each planted bug, how soon, by which checker, and how small the schedule gets. Each round
    begins at another seed; the first one's finding is shrunk.
    """

    topology: Annotated[str, Meta(description="What is searched: a path relative to this file, or a name.")]
    mutants: Annotated[list[Name], Meta(description="Which bugs; without it all of the corpus.")] = field(
        default_factory=list
    )
    within_s: Annotated[Period, Meta(description="How long one core may search in each round: the target.")] = field(
        name="within", default=60.0
    )
    shrink_s: Annotated[Period, Meta(description="How long one core may shrink what it found.")] = field(
        name="shrink", default=60.0
    )
    faults_at_most: Annotated[int, Meta(ge=0, description="The target for the median size of a shrunk schedule.")] = 4

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:  # noqa: ARG002  (the base's)
        """See `Benchmark`."""
        rules.simulated(self.shape, report, "topology")
