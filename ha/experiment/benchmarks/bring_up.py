"""How long a cluster takes from nothing until it is ready, beside the same cluster with the real etcd.

From before the world is opened, the zygote's imports included, until every member follows a leader, every API server
and Node is ready and a write is acknowledged. One cluster at a time, so that none takes the other's cores.
"""

from __future__ import annotations

from pathlib import Path

import trio

from ha.cluster import NotReadyError
from ha.experiment import environment
from ha.experiment.benchmarks import CannotMeasureError, Listener, Measure, Measured, row
from ha.experiment.benchmarks.clusters import cluster_up, with_real_etcd
from ha.experiment.failures import bare
from ha.spec import Topology
from ha.spec.benchmarks import BringUp

__all__ = ["MEASURE"]


def _measure(spec: BringUp, _jobs: int, listener: Listener, directory: Path) -> Measured:
    names = spec.topology_names
    ours: dict[str, list[float]] = {name: [] for name in names}
    theirs: dict[str, list[float]] = {name: [] for name in names}
    real = {name: with_real_etcd(spec.shape(name), name) for name in names}
    for i in range(spec.rounds):
        for j, name in enumerate(names):
            listener.step(i * len(names) + j, spec.rounds * len(names), f"round {i + 1}: {name}")
            both = [(spec.shape(name), ours, "ours"), (real[name], theirs, "reference")]
            for shape, found, side in both if i % 2 == 0 else reversed(both):
                found[name].append(_ready_s(shape, directory / f"{shape.name}-{i + 1}" / side))
            listener.note(f"ours {ours[name][-1]:.2f} s, with etcd {theirs[name][-1]:.2f} s")
    return Measured(
        rows=[
            row(spec.shape(name).name, "s", ours[name], theirs[name], ratio_at_most=spec.ratio_at_most)
            for name in names
        ],
        versions={"etcd": environment.versions(real[names[0]])["etcd"]},
    )


def _ready_s(shape: Topology, directory: Path) -> float:
    async def main() -> float:
        with bare():
            async with cluster_up(shape, directory) as up:
                return up.ready_s

    try:
        return trio.run(main)
    except NotReadyError as error:
        raise CannotMeasureError(str(error)) from error


MEASURE = Measure(
    name="bring-up",
    reference="the same cluster with the real etcd in our store's place",
    measure=_measure,
)
