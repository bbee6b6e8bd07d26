"""How long a cluster takes from nothing until it is ready, beside the same cluster with the real etcd.

From before the world is opened, the zygote's imports included, until every member follows a leader, every API server
and Node is ready and a write is acknowledged. One cluster at a time, so that none takes the other's cores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import trio

from ha.cluster import NotReadyError
from ha.experiment import environment
from ha.experiment.benchmarks import CannotMeasureError, Listener, Measure, Measured, row
from ha.experiment.benchmarks.clusters import cluster_up, with_real_etcd
from ha.experiment.failures import bare
from ha.history import Event, MemberSample, NodeCondition, ReadyChange
from ha.history.benchmark import FigureTable
from ha.spec import Topology
from ha.spec.benchmarks import BringUp

__all__ = ["MEASURE"]


_STORE, _API_SERVERS, _NODES, _READY = "store", "API servers", "Nodes", "ready"
_Phases = dict[str, float]
"""Seconds from the beginning until all of a kind were first seen to be ready, by what they are."""


def _measure(spec: BringUp, _jobs: int, listener: Listener, directory: Path) -> Measured:
    names = spec.topology_names
    ours: dict[str, list[_Phases]] = {name: [] for name in names}
    theirs: dict[str, list[_Phases]] = {name: [] for name in names}
    real = {name: with_real_etcd(spec.shape(name), name) for name in names}
    for i in range(spec.rounds):
        for j, name in enumerate(names):
            listener.step(i * len(names) + j, spec.rounds * len(names), f"round {i + 1}: {name}")
            both = [(spec.shape(name), ours, "ours"), (real[name], theirs, "reference")]
            for shape, found, side in both if i % 2 == 0 else reversed(both):
                found[name].append(_brought_up(shape, directory / f"{shape.name}-{i + 1}" / side))
            listener.note(f"ours {ours[name][-1][_READY]:.2f} s, with etcd {theirs[name][-1][_READY]:.2f} s")
    return Measured(
        rows=[row(spec.shape(name).name, "s", *(_ready(found[name]) for found in (ours, theirs))) for name in names],
        tables=[_table({spec.shape(name).name: (ours[name], theirs[name]) for name in names})],
        versions={"etcd": environment.versions(real[names[0]])["etcd"]},
    )


def _ready(rounds: Sequence[_Phases]) -> list[float]:
    return [phases[_READY] for phases in rounds]


def _brought_up(shape: Topology, directory: Path) -> _Phases:
    seen: dict[str, dict[str, float]] = {_STORE: {}, _API_SERVERS: {}, _NODES: {}}

    def see(event: Event) -> None:
        match event:
            case MemberSample(leader=str()):
                seen[_STORE].setdefault(event.node, event.at_s)
            case ReadyChange(ready=True):
                seen[_API_SERVERS].setdefault(event.node, event.at_s)
            case NodeCondition(ready="True"):
                seen[_NODES].setdefault(event.node, event.at_s)

    async def main() -> float:
        with bare():
            async with cluster_up(shape, directory, emit=see) as up:
                return up.ready_s

    try:
        ready_s = trio.run(main)
    except NotReadyError as error:
        raise CannotMeasureError(str(error)) from error
    return {what: max(at.values()) for what, at in seen.items() if at} | {_READY: ready_s}


def _table(found: Mapping[str, tuple[Sequence[_Phases], Sequence[_Phases]]]) -> FigureTable:
    phases = [_STORE, _API_SERVERS, _NODES, _READY]
    rows: list[list[str | float | int | None]] = [
        [name, side, *(_middle([one[phase] for one in rounds if phase in one]) for phase in phases)]
        for name, both in found.items()
        for side, rounds in zip(("ours", "with etcd"), both, strict=True)
    ]
    return FigureTable(
        title="Seconds until all of them were ready",
        note="Medians over the rounds, seen by asking every 25 ms. Store: every member follows a leader.",
        columns=["", "", *phases],
        figures_from=2,
        rows=rows,
    )


def _middle(values: Sequence[float]) -> float | None:
    return round(median(values), 2) if values else None


MEASURE = Measure(
    name="bring-up",
    reference="the same cluster with the real etcd in our store's place",
    measure=_measure,
)
