"""``measure: failover``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, field

from ha.spec import rules
from ha.spec.benchmarks.base import OneTopologyBenchmark, below, ours_alone, with_real_etcd
from ha.spec.durations import format_duration
from ha.spec.model import Period, Topology

__all__ = ["Failover", "FailoverCase", "FailoverFault"]

FailoverFault: TypeAlias = Literal["kill", "pause"]


class FailoverCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens to the leader, and the timings that both stores are told."""

    fault: Annotated[
        FailoverFault,
        Meta(description="kill: its node dies, so that its connections close. pause: it freezes, and they do not."),
    ]
    etcd_heartbeat_s: Annotated[Period, Meta(description="Heartbeat of the leader.")] = field(name="etcd_heartbeat")
    etcd_election_s: Annotated[Period, Meta(description="Silence after which members stand for election.")] = field(
        name="etcd_election"
    )
    at_most_s: Annotated[Period | None, Meta(description="The target for the median of ours.")] = field(
        name="at_most", default=None
    )
    ratio_at_most: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="The target: so many times what the real etcd takes.")
    ] = None

    @property
    def title(self) -> str:
        """What its row is called."""
        return f"{self.fault}, {format_duration(self.etcd_heartbeat_s)}/{format_duration(self.etcd_election_s)}"

    def shape(self, topology: Topology) -> Topology:
        """The topology with these timings."""
        timings = msgspec.structs.replace(
            topology.timings, etcd_heartbeat=self.etcd_heartbeat_s, etcd_election=self.etcd_election_s
        )
        return msgspec.structs.replace(topology, timings=timings, timings_name="explicit")


class Failover(OneTopologyBenchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long nobody's write is acknowledged when a store loses its leader, beside the real etcd with equal timeouts.
    Each round is one fault on either store.
    """

    topology: Annotated[str, Meta(description="A store alone: a path relative to this file, or a name.")]
    cases: Annotated[list[FailoverCase], Meta(min_length=1, description="What happens, with which timings.")]
    every_s: Annotated[Period, Meta(description="A write is sent so often, to each member in turn.")] = field(
        name="every", default=0.002
    )

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:  # noqa: ARG002  (the base's)
        """See `Benchmark`."""
        ours_alone(self.shape, "topology", report)
        if self.shape.count("etcd") < 3:
            report("topology", f"{self.shape.name!r} does not survive its leader", allowed="three etcd hosts or more")
        titles = [case.title for case in self.cases]
        for i, case in enumerate(self.cases):
            if case.title in titles[:i]:
                report(f"cases[{i}]", f"{case.title} stands twice", allowed="each fault once with these timings")
            rules.topology(with_real_etcd(case.shape(self.shape)), below(f"cases[{i}]", report, without="timings."))
