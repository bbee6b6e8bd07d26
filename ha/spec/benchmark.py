"""``kind: Benchmark``: one question that figures answer.

`measure` says how it is measured, and brings fields of its own: a struct here for each, `MEASURES` is their table.
What measures is found by the same name in `ha.experiment.benchmarks`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, field

from ha.spec import rules
from ha.spec.model import Experiment, Name, Period, Topology, Workload
from ha.spec.timings import PRESETS

__all__ = [
    "MEASURES",
    "Benchmark",
    "MeasureName",
    "Mutants",
    "SimulationCase",
    "SimulationSpeed",
    "StoreOperation",
    "StoreThroughput",
    "ThroughputCase",
]

MeasureName: TypeAlias = Literal["mutants", "simulation-speed", "store-throughput"]
StoreOperation: TypeAlias = Literal["put", "read", "serializable-read"]
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


def _timed(shape: Topology, timings: Preset | None) -> Topology:
    """With the timings of a preset, if one is given."""
    if timings is None:
        return shape
    return msgspec.structs.replace(shape, timings=PRESETS[timings], timings_name=timings)


class SimulationCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A cluster that nothing disturbs, with some clients or none."""

    name: Annotated[str, Meta(min_length=1, max_length=60, description="What its row is called.")]
    topology: Annotated[str, Meta(description="A path relative to this file, or a name of the catalogue.")]
    timings: Annotated[Preset | None, Meta(description="A preset; without it the timings of the topology.")] = None
    workloads: Annotated[list[Workload], Meta(description="The clients; without it there are none.")] = []
    duration_s: Annotated[Period, Meta(description="Virtual time that is measured, once the cluster is ready.")] = (
        field(name="duration")
    )
    at_least: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="The target: virtual seconds for each second of a core.")
    ] = None

    def shape(self, topologies: Mapping[str, Topology]) -> Topology:
        """The topology with the timings asked for."""
        return _timed(topologies[self.topology], self.timings)

    def experiment(self) -> Experiment:
        """The load alone."""
        return Experiment(
            name="undisturbed",
            claim="Nothing happens.",
            topologies=[self.topology],
            duration_s=self.duration_s,
            workloads=self.workloads,
            faults=[],
            observe_s=1.0,  # what is measured is the cluster, not the watching of it
        )


class SimulationSpeed(Benchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many virtual seconds are simulated in each second that one core is busy with it. Beside it stands trio's
    event loop alone, with as many steps of tasks that do nothing.
    """

    cases: Annotated[list[SimulationCase], Meta(min_length=1, description="What is simulated.")]
    seed: Annotated[int, Meta(ge=0, description="Of every simulation, so that each round does the same.")] = 1

    def references(self) -> Mapping[str, str]:
        """See `Benchmark`."""
        return {f"cases[{i}].topology": case.topology for i, case in enumerate(self.cases)}

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:
        """See `Benchmark`."""
        names = [case.name for case in self.cases]
        for i, case in enumerate(self.cases):
            path = f"cases[{i}]"
            if case.name in names[:i]:
                report(f"{path}.name", f"{case.name!r} stands twice", allowed="a name of its own for each case")
            rules.workload_fields(case.workloads, path, present, report)
            rules.simulated(case.shape(self.topologies), f"{path}.topology", report)
            rules.combination(case.shape(self.topologies), case.experiment(), _below(path, report))


class Mutants(Benchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether fuzzing finds each planted bug, how soon, by which checker, and how small the schedule gets. Each round
    begins at another seed; the first one's finding is shrunk.
    """

    topology: Annotated[str, Meta(description="What is searched: a path relative to this file, or a name.")]
    mutants: Annotated[list[Name], Meta(description="Which bugs; without it all of the corpus.")] = []
    within_s: Annotated[Period, Meta(description="How long one core may search in each round: the target.")] = field(
        name="within", default=60.0
    )
    shrink_s: Annotated[Period, Meta(description="How long one core may shrink what it found.")] = field(
        name="shrink", default=60.0
    )
    faults_at_most: Annotated[int, Meta(ge=0, description="The target for the median size of a shrunk schedule.")] = 4

    def references(self) -> Mapping[str, str]:
        """See `Benchmark`."""
        return {"topology": self.topology}

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:  # noqa: ARG002  (the base's)
        """See `Benchmark`."""
        rules.simulated(self.topologies[self.topology], "topology", report)


class ThroughputCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What clients ask, and how many of them at once."""

    operation: Annotated[
        StoreOperation,
        Meta(description="put: a value. read: one that is linearizable. serializable-read: one of any age."),
    ]
    clients: Annotated[int, Meta(ge=1, le=1024, description="Each asks again as soon as it is answered.")]
    at_least: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="The target: so many times what the real etcd takes.")
    ] = None

    @property
    def title(self) -> str:
        """What its row is called."""
        return f"{self.clients} x {self.operation}"


class StoreThroughput(Benchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many requests a store takes in a second, beside the real etcd on the same machine: the same topology, the
    same clients, and every write synced by both.
    """

    topology: Annotated[str, Meta(description="A store alone: a path relative to this file, or a name.")]
    timings: Annotated[Preset | None, Meta(description="A preset; without it the timings of the topology.")] = None
    cases: Annotated[list[ThroughputCase], Meta(min_length=1, description="What is asked.")]
    duration_s: Annotated[Period, Meta(description="How long each case lasts in each round, on each of the two.")] = (
        field(name="duration", default=2.0)
    )
    value_bytes: Annotated[int, Meta(ge=1, le=1_000_000, description="How large each value is.")] = 1024
    keys: Annotated[int, Meta(ge=1, le=100_000, description="How many keys there are, all of them written before.")] = (
        1000
    )

    @property
    def shape(self) -> Topology:
        """The topology with the timings asked for."""
        return _timed(self.topologies[self.topology], self.timings)

    def references(self) -> Mapping[str, str]:
        """See `Benchmark`."""
        return {"topology": self.topology}

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:  # noqa: ARG002  (the base's)
        """See `Benchmark`."""
        shape = self.topologies[self.topology]
        if not shape.store_alone:
            report("topology", f"{shape.name!r} has a control plane", allowed="nodes of role etcd only")
        if shape.etcd.engine == "etcd":
            report("topology", f"{shape.name!r} is the real etcd, which is the reference", allowed="engine: pysyncobj")
        titles = [case.title for case in self.cases]
        for i, title in enumerate(titles):
            if title in titles[:i]:
                report(f"cases[{i}]", f"{title} stands twice", allowed="each operation once for so many clients")


def _below(path: str, report: rules.Report) -> rules.Report:
    """Reports problems of what stands at a path."""

    def prefixed(field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        report(f"{path}.{field}", message, allowed=allowed, near=near)

    return prefixed


MEASURES: dict[MeasureName, type[Benchmark]] = {
    "mutants": Mutants,
    "simulation-speed": SimulationSpeed,
    "store-throughput": StoreThroughput,
}
"""What a Benchmark file with this measure is."""
