"""A case: one scenario, drawn by Hypothesis up to the size of the cluster that is put to the test.

What is drawn first counts most when it is shrunk: fewer nodes, then fewer faults, then shorter and simpler ones. The
seed of the run is that of the case, and does not change while it is shrunk.
"""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from ha.experiment.fuzz.schedules import draw_faults
from ha.experiment.fuzz.shapes import draw_core, draw_topology, pick, unit_s
from ha.spec import Experiment, Liveness, Scenario, Topology, Workload

__all__ = ["Space", "cases"]

_CLAIM = (
    "Whatever strikes, nothing acknowledged is lost and nothing contradicts itself; a healed core serves again, "
    "and once everything is healed, everything works."
)
_CLIENTS = [(1, 2), (3, 4), (1, 6)]
_RATE_PER_S = [(1, 10.0), (3, 20.0), (1, 50.0)]
_RATE_OF_API_PER_S = [(2, 10.0), (1, 20.0)]
"""What one request costs a simulation is many times that of the store."""
_SCALED_PER_S = [(1, None), (1, 3.0)]
_REPLICAS = [(1, 1), (8, 3), (1, 5)]
_KEYS = [(1, 1), (2, 3), (1, 10)]
_WATCHED = [(3, False), (2, True)]
_LOCKED = [(2, False), (1, True)]
_WATCHERS = [(1, 4), (2, 8), (1, 12)]


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched. The same space and seed give the same case in every process."""

    topology: Topology
    """The largest cluster of a case; its engine is that of all."""
    mutant: str | None = None
    """A bug to plant in every case."""


_OBSERVE_S = 0.2
"""Often enough to see who leads; more often, watching would be most of what a case does."""


@st.composite
def cases(draw: st.DrawFn, space: Space, seed: int) -> Scenario:
    """Scenarios for the simulated world."""
    shape = draw(draw_topology(space.topology))
    workloads = draw(_workloads(shape))
    core = draw(draw_core(shape))
    undisturbed = Experiment(
        name=f"fuzz-{seed}",
        claim=_CLAIM,
        topologies=[shape.name],
        duration_s=unit_s(shape),
        workloads=workloads,
        faults=[],
        missed_faults="ignored",
        liveness=Liveness(core=core, within_s=_within_s(shape)),
        observe_s=_OBSERVE_S,
    )
    disturbed = draw(draw_faults(undisturbed, shape, seed))
    return Scenario(
        name=f"fuzz-{seed}",
        topology=shape,
        experiment=msgspec.structs.replace(disturbed, workloads=[*workloads, *draw(_others())]),
        world="sim",
        seed=seed,
        mutant=space.mutant,
    )


@st.composite
def _workloads(draw: st.DrawFn, shape: Topology) -> list[Workload]:
    if not shape.count("control-plane"):
        return [draw(_clients("store"))]
    workloads = [draw(_clients("register"))]
    if draw(st.booleans()):
        workloads.append(draw(_clients("create")))
    if draw(pick([(1, False), (7, True)])):
        scaled = draw(pick(_SCALED_PER_S))
        workloads.append(Workload(type="deployment", replicas=draw(pick(_REPLICAS)), rate_per_s=scaled))
    if draw(pick([(3, False), (1, True)])):
        workloads.append(draw(_clients("store")))
    return workloads


@st.composite
def _others(draw: st.DrawFn) -> list[Workload]:
    """Who looks on, and who holds locks. They are drawn last, so that they change nothing of the rest of a case."""
    watching = [Workload(type="watch", clients=draw(pick(_WATCHERS)))] if draw(pick(_WATCHED)) else []
    return [*watching, draw(_clients("lock"))] if draw(pick(_LOCKED)) else watching


@st.composite
def _clients(draw: st.DrawFn, type_: str) -> Workload:
    rate = _RATE_PER_S if type_ == "store" else _RATE_OF_API_PER_S
    keyed = {} if type_ == "create" else {"keys": draw(pick(_KEYS))}
    return msgspec.convert(
        {"type": type_, "clients": draw(pick(_CLIENTS)), "rate": draw(pick(rate)), **keyed}, Workload
    )


def _within_s(shape: Topology) -> float:
    """A component that was killed again and again may be in its longest back-off when the core is healed."""
    timings = shape.timings
    return timings.container_backoff_max + 2 * timings.lease_duration + 20 * timings.etcd_election + 10.0
