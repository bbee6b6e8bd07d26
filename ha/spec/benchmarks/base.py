"""What all benchmarks have in common: the question, and how often it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from ha.spec import rules
from ha.spec.model import Name, Topology
from ha.spec.timings import PRESETS

__all__ = [
    "Benchmark",
    "MeasureName",
    "OneTopologyBenchmark",
    "Preset",
    "TimedBenchmark",
    "below",
    "not_the_reference",
    "ours_alone",
    "timed",
    "with_real_etcd",
]

MeasureName: TypeAlias = Literal[
    "bring-up", "checker", "failover", "load-balancer", "memory", "mutants", "simulation-speed", "store-throughput"
]
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


class OneTopologyBenchmark(Benchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Measured on one topology, which each measure describes in its own words."""

    topology: str

    @property
    def shape(self) -> Topology:
        """The topology."""
        return self.topologies[self.topology]

    def references(self) -> Mapping[str, str]:
        """See `Benchmark`."""
        return {"topology": self.topology}


class TimedBenchmark(OneTopologyBenchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same, with timings that a file may set."""

    timings: Annotated[Preset | None, Meta(description="A preset; without it the timings of the topology.")] = None

    @property
    def shape(self) -> Topology:
        """The topology with the timings asked for."""
        return timed(self.topologies[self.topology], self.timings)


def timed(shape: Topology, timings: Preset | None) -> Topology:
    """With the timings of a preset, if one is given."""
    if timings is None:
        return shape
    return msgspec.structs.replace(shape, timings=PRESETS[timings], timings_name=timings)


def below(path: str, report: rules.Report, *, without: str = "") -> rules.Report:
    """Reports problems of what stands at a path, where fields are named without this beginning."""

    def prefixed(field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        report(f"{path}.{field.removeprefix(without)}", message, allowed=allowed, near=near)

    return prefixed


def with_real_etcd(shape: Topology) -> Topology:
    """What stands beside ours as the reference."""
    return msgspec.structs.replace(shape, etcd=msgspec.structs.replace(shape.etcd, engine="etcd"))


def not_the_reference(shape: Topology, path: str, report: rules.Report) -> None:
    """A topology with the real etcd, which is what ours is to be measured beside."""
    if shape.etcd.engine == "etcd":
        report(path, f"{shape.name!r} is on the real etcd, which is the reference", allowed="engine: pysyncobj")


def ours_alone(shape: Topology, path: str, report: rules.Report) -> None:
    """Anything else than a store of ours without a control plane."""
    if not shape.store_alone:
        report(path, f"{shape.name!r} has a control plane", allowed="nodes of role etcd only")
    not_the_reference(shape, path, report)
