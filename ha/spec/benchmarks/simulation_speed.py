"""``measure: simulation-speed``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, field

from ha.spec import rules
from ha.spec.benchmarks.base import Benchmark, Preset, below, timed
from ha.spec.model import Experiment, Period, Topology, Workload

__all__ = ["SimulationCase", "SimulationSpeed"]


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
        return timed(topologies[self.topology], self.timings)

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
            rules.simulated(case.shape(self.topologies), report, f"{path}.topology")
            rules.combination(case.shape(self.topologies), case.experiment(), below(path, report))
