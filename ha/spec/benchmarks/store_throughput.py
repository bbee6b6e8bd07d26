"""``measure: store-throughput``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, field

from ha.spec import rules
from ha.spec.benchmarks.base import TimedBenchmark
from ha.spec.model import Period

__all__ = ["Asked", "StoreOperation", "StoreThroughput", "ThroughputCase"]

StoreOperation: TypeAlias = Literal["put", "read", "serializable-read"]
Asked: TypeAlias = Literal["leader", "all"]


class ThroughputCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What clients ask, and how many of them at once."""

    operation: Annotated[
        StoreOperation,
        Meta(description="put: a value. read: one that is linearizable. serializable-read: one of any age."),
    ]
    clients: Annotated[int, Meta(ge=1, le=1024, description="Each asks again as soon as it is answered.")]
    ask: Annotated[
        Asked,
        Meta(description="Which members: the leader, which spares the others a way, or all, each by as many clients."),
    ] = "leader"
    at_least: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="The target: so many times what the real etcd takes.")
    ] = None

    @property
    def title(self) -> str:
        """What its row is called."""
        return f"{self.clients} x {self.operation}" + (", all members" if self.ask == "all" else "")


class StoreThroughput(TimedBenchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many requests a store takes in a second, beside the real etcd on the same machine: the same topology, the
    same clients, and every write synced by both.
    """

    topology: Annotated[str, Meta(description="A store alone: a path relative to this file, or a name.")]
    cases: Annotated[list[ThroughputCase], Meta(min_length=1, description="What is asked.")]
    duration_s: Annotated[Period, Meta(description="How long each case lasts in each round, on each of the two.")] = (
        field(name="duration", default=2.0)
    )
    value_bytes: Annotated[int, Meta(ge=1, le=1_000_000, description="How large each value is.")] = 1024
    keys: Annotated[int, Meta(ge=1, le=100_000, description="How many keys there are, all of them written before.")] = (
        1000
    )

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
                once = "each operation once for so many clients of the same members"
                report(f"cases[{i}]", f"{title} stands twice", allowed=once)
