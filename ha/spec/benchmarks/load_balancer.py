"""``measure: load-balancer``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, field

from ha.spec import rules
from ha.spec.benchmarks.base import TimedBenchmark
from ha.spec.model import Period

__all__ = ["BalancerCase", "BalancerLoad", "LoadBalancing"]

BalancerLoad: TypeAlias = Literal["gets", "connections", "bulk"]


class BalancerCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What clients do, and on how many connections at once."""

    load: Annotated[
        BalancerLoad,
        Meta(
            description="gets: small answers on connections that are kept. connections: each request on a new one. "
            "bulk: large answers."
        ),
    ]
    connections: Annotated[int, Meta(ge=1, le=512, description="Each asks again as soon as it is answered.")]
    at_least: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="The target: so many times what HAProxy does.")
    ] = None

    @property
    def title(self) -> str:
        """What its row is called."""
        return f"{self.load}, {self.connections} at once"


class LoadBalancing(TimedBenchmark, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a load balancer relays for each second that one core is busy with it, beside the real HAProxy before the
    same backends: the balancers are those of the topology, the backends answer anything at once. And how much later an
    answer comes than from a backend itself.
    """

    topology: Annotated[str, Meta(description="Whose load balancer: a path relative to this file, or a name.")]
    cases: Annotated[list[BalancerCase], Meta(min_length=1, description="What is relayed.")]
    duration_s: Annotated[Period, Meta(description="How long each case lasts in each round, on each way.")] = field(
        name="duration", default=1.5
    )
    response_bytes: Annotated[int, Meta(ge=1, le=60_000, description="The body of a small answer.")] = 912
    bulk_bytes: Annotated[int, Meta(ge=100_000, le=1_000_000_000, description="The body of a large one.")] = 16_000_000

    def check(self, present: Mapping[str, int], report: rules.Report) -> None:  # noqa: ARG002  (the base's)
        """See `Benchmark`."""
        shape = self.topologies[self.topology]
        if not shape.count("load-balancer"):
            report("topology", f"{shape.name!r} has no load balancer", allowed="several control planes")
        if shape.load_balancer.engine == "haproxy":
            report("topology", f"{shape.name!r} has HAProxy, which is the reference", allowed="engine: embedded")
        titles = [case.title for case in self.cases]
        for i, title in enumerate(titles):
            if title in titles[:i]:
                report(f"cases[{i}]", f"{title} stands twice", allowed="each load once on so many connections")
