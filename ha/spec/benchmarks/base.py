"""What all benchmarks have in common: the question, and how often it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from ha.spec import rules
from ha.spec.model import Name, Topology
from ha.spec.timings import PRESETS

__all__ = ["Benchmark", "MeasureName", "Preset", "below", "timed"]

MeasureName: TypeAlias = Literal["load-balancer", "mutants", "simulation-speed", "store-throughput"]
Preset: TypeAlias = Literal["fast", "upstream"]


class Benchmark(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question, how it is measured, and how often. Each measure has fields of its own beside these."""

    name: Annotated[Name, Meta(description="Name of the benchmark.")]
    question: Annotated[str, Meta(min_length=1, description="What is asked, in plain words.")]
    measure: Annotated[MeasureName, Meta(description="How it is answered.")]
    rounds: Annotated[
        int, Meta(ge=1, le=100, description="How often everything is measured, in turns; medians are told.")
    ] = 5
    topologies: Annotated[dict[str, Topology], Meta(extra={"derived": True})] = {}
    """What the file refers to, by the names that it gives."""

    def references(self) -> Mapping[str, str]:
        """The topologies that the file names, each by the path of its field."""
        return {}

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:
        """Report what types cannot say, once `topologies` is filled. `present`: the paths that the file sets."""


def timed(shape: Topology, timings: Preset | None) -> Topology:
    """With the timings of a preset, if one is given."""
    if timings is None:
        return shape
    return msgspec.structs.replace(shape, timings=PRESETS[timings], timings_name=timings)


def below(path: str, report: rules.Report) -> rules.Report:
    """Reports problems of what stands at a path."""

    def prefixed(field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        report(f"{path}.{field}", message, allowed=allowed, near=near)

    return prefixed
