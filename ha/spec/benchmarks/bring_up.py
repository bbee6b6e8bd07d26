"""``measure: bring-up``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, field

from ha.spec import rules
from ha.spec.benchmarks.base import Benchmark, Preset, not_the_reference, timed
from ha.spec.model import Topology

__all__ = ["BringUp"]


class BringUp(Benchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long it takes from nothing until a cluster is ready: every etcd member follows a leader, every API server and
    Node is ready, a write is acknowledged. Beside it stands the same cluster with the real etcd in our store's place.
    """

    topology_names: Annotated[
        list[str],
        Meta(min_length=1, description="Which clusters: paths relative to this file, or names of the catalogue."),
    ] = field(name="of")
    timings: Annotated[Preset | None, Meta(description="A preset; without it the timings of the topologies.")] = None

    def shape(self, name: str) -> Topology:
        """A topology with the timings asked for."""
        return timed(self.topologies[name], self.timings)

    def references(self) -> Mapping[str, str]:
        """See `Benchmark`."""
        return {f"of[{i}]": name for i, name in enumerate(self.topology_names)}

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:  # noqa: ARG002  (the base's)
        """See `Benchmark`."""
        for i, name in enumerate(self.topology_names):
            if name in self.topology_names[:i]:
                report(f"of[{i}]", f"{name!r} stands twice", allowed="each topology once")
            not_the_reference(self.topologies[name], f"of[{i}]", report)
