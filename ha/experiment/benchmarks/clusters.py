"""Clusters of the real world for the time of a measurement, ours and one with the real etcd in our store's place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from ha.cluster import Cluster, Plan, View, node_names, plan
from ha.cluster.observer import Observer
from ha.experiment import worlds
from ha.history import Event
from ha.spec import Topology
from ha.spec.benchmarks import base
from ha.world import Host, World

__all__ = ["Up", "cluster_up", "with_real_etcd"]

_READY_S = 120.0
_LOOK_S = 0.025
_SEED = 1


class Up(NamedTuple):
    """A cluster that is ready. `ready_s`: how long that took, from nothing."""

    world: World
    layout: Plan
    cluster: Cluster
    host: Host
    view: View
    ready_s: float

    @property
    def engine(self) -> str:
        """Of its store."""
        return self.layout.topology.etcd.engine


def with_real_etcd(topology: Topology, name: str) -> Topology:
    """The same, with the etcd of this machine. `name`: where it came from. Raises SpecError."""
    return worlds.equipped(base.with_real_etcd(topology), name)


@asynccontextmanager
async def cluster_up(
    topology: Topology, directory: Path, *, emit: Callable[[Event], None] | None = None
) -> AsyncIterator[Up]:
    """A cluster with its init systems, until the context is left; `emit` is told what is seen of it. Raises
    NotReadyError.
    """
    begun_s = trio.current_time()
    nodes = list(node_names(topology))
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(worlds.real(nodes=nodes, directory=directory, seed=_SEED))
        layout = plan(topology, {node: world.address(node) for node in nodes}, cluster_token=directory.name)
        cluster = Cluster(world, layout)
        host = await stack.enter_async_context(world.client("bench"))
        async with trio.open_nursery() as nursery:
            await nursery.start(cluster.supervise)
            if emit is not None:
                observer = Observer(
                    host, layout, emit=emit, now_s=lambda: trio.current_time() - begun_s, poll_s=_LOOK_S
                )
                nursery.start_soon(observer.run)
            await cluster.boot_all()
            await cluster.wait_ready(host, timeout_s=_READY_S)
            ready_s = trio.current_time() - begun_s
            yield Up(world, layout, cluster, host, View(host, layout), ready_s)
            nursery.cancel_scope.cancel()
