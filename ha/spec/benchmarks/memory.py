"""``measure: memory``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from ha.spec import rules
from ha.spec.benchmarks.base import TimedBenchmark, not_the_reference

__all__ = ["Memory"]


class Memory(TimedBenchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a cluster takes of the machine's memory (proportional set size: pages that processes share are divided among
    them), when it has just become ready and when it holds many objects; beside it the same cluster with the real etcd.
    """

    topology: Annotated[str, Meta(description="A path relative to this file, or a name of the catalogue.")]
    objects: Annotated[int, Meta(ge=1, le=100_000, description="How many ConfigMaps are created.")] = 2000
    object_bytes: Annotated[int, Meta(ge=1, le=100_000, description="How much data each holds.")] = 1024
    total_at_most_mib: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="The target for the whole cluster, with the objects.")
    ] = None

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:  # noqa: ARG002  (the base's)
        """See `Benchmark`."""
        not_the_reference(self.shape, "topology", report)
        if self.shape.store_alone:
            report("topology", f"{self.shape.name!r} has no API server to create objects", allowed="a control plane")
