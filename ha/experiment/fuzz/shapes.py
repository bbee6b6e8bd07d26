"""Which clusters a case may have: up to the given one, or its store alone; with which timings.

Whatever is drawn comes from a table whose first entry is the simplest, since that is where shrinking leads; an entry
that stands there several times is drawn as often.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from hypothesis import strategies as st

from ha.spec import NodeGroup, Role, Timings, TimingsName, Topology
from ha.spec.timings import FAST, UPSTREAM

__all__ = ["draw_core", "draw_topology", "pick", "unit_s"]

T = TypeVar("T")

_STORE_ALONE = [(2, True), (1, False)]
"""A store alone is simulated many times faster, and most of what can be lost is lost in it."""
_CALM = msgspec.structs.replace(FAST, etcd_heartbeat=0.05, etcd_election=0.25, load_balancer_check=0.25)
"""Fast, with half as many heartbeats to an election: what idles costs most of a simulation."""
_HASTY = msgspec.structs.replace(_CALM, node_monitor_grace=1.5, pod_eviction_toleration=1.0, container_backoff_max=4.0)
"""Nodes are given up, and their Pods moved, within the length of a case."""
_ODD_TICKS = msgspec.structs.replace(FAST, etcd_heartbeat=0.029, etcd_election=0.271, lease_retry_period=0.17)
_TIMINGS: list[tuple[int, tuple[TimingsName, Timings]]] = [
    (8, ("explicit", _CALM)),
    (2, ("fast", FAST)),
    (2, ("explicit", _ODD_TICKS)),
    (1, ("upstream", UPSTREAM)),
]
_TIMINGS_OF_PODS = [*_TIMINGS, (24, ("explicit", _HASTY))]


_SNAPSHOT_COUNTS = [(3, 10_000), (1, 100)]
_SNAPSHOT_COUNTS_ALONE = [*_SNAPSHOT_COUNTS, (1, 20), (1, 10), (2, 4)]
"""With few entries between two, members that were away are sent snapshots, and restarts begin with one."""
_SNAPSHOT_COUNTS_OF_STOCK = [(3, 20), (1, 100)]
"""Stock reads whatever it has, without a fault and without asking anybody. So it is searched with reads through its
log, for what it loses; some of that it loses when a snapshot meets a log.
"""


@st.composite
def pick(draw: st.DrawFn, table: Sequence[tuple[int, T]]) -> T:
    """An entry of a table of (weight, value), the simplest first."""
    return draw(st.sampled_from([value for weight, value in table for _ in range(weight)]))


@st.composite
def draw_topology(draw: st.DrawFn, largest: Topology) -> Topology:
    """A cluster that is no larger than `largest`, with its engine."""
    members = draw(pick(_counts(largest.count(largest.etcd_role))))
    alone = largest.count("control-plane") == 0 or draw(pick(_STORE_ALONE))
    counts: dict[Role, int] = {}
    if alone:
        counts["etcd"] = members
    elif largest.etcd.topology == "stacked":
        counts["control-plane"] = members
    else:
        counts["control-plane"] = draw(st.integers(1, largest.count("control-plane")))
        counts["etcd"] = members
    if not alone and largest.count("worker"):
        workers = largest.count("worker")
        counts["worker"] = draw(pick([(1 if count < workers else 2, count) for count in range(workers + 1)]))
    name, timings = draw(pick(_TIMINGS if alone else _TIMINGS_OF_PODS))
    external = "etcd" in counts
    is_stock = largest.etcd.engine == "pysyncobj-stock"
    ours = _SNAPSHOT_COUNTS_ALONE if alone else _SNAPSHOT_COUNTS
    snapshots = _SNAPSHOT_COUNTS_OF_STOCK if is_stock else ours
    return Topology(
        name=f"etcd-{members}" if alone else f"{largest.etcd.topology}-{members}",
        nodes=[NodeGroup(role=role, count=count) for role, count in counts.items() if count],
        etcd=msgspec.structs.replace(
            largest.etcd,
            topology="external" if external else "stacked",
            snapshot_count=draw(pick(snapshots)),
            reads="log" if is_stock else largest.etcd.reads,
        ),
        timings=timings,
        timings_name=name,
    )


def _counts(most: int) -> list[tuple[int, int]]:
    """How many members: mostly as many as survive one failure, or two."""
    return [(6 if count in (3, 5) else 1, count) for count in range(1, most + 1)]


@st.composite
def draw_core(draw: st.DrawFn, shape: Topology) -> list[str]:
    """Nodes that suffice to serve, and are healed first: a quorum of the members, an API server that can reach them,
    the load balancer. Drawn is who is left out; shrinking takes everybody in.
    """
    members = shape.names(shape.etcd_role)
    out = draw(_some(members, at_most=(len(members) - 1) // 2))
    if shape.etcd.topology == "external":
        servers = shape.names("control-plane")
        out += draw(_some(servers, at_most=max(0, len(servers) - 1)))
    workers = shape.names("worker")
    out += draw(_some(workers, at_most=len(workers)))
    everybody = [*members, *shape.names("control-plane"), *workers, *shape.names("load-balancer")]
    return [node for node in dict.fromkeys(everybody) if node not in out]


@st.composite
def _some(draw: st.DrawFn, nodes: Sequence[str], at_most: int) -> list[str]:
    """Up to so many of the nodes, mostly as many."""
    number = draw(pick([(1 if n < at_most else 3, n) for n in range(at_most + 1)]))
    left = list(nodes)
    return [left.pop(draw(st.integers(0, len(left) - 1))) for _ in range(number)]


def unit_s(shape: Topology) -> float:
    """What times of a schedule are counted in: some elections long."""
    return 1.0 if shape.timings_name == "upstream" else 0.25
