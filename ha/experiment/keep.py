"""A cluster that stays: brought up, described in a state file, and kept until it is told to go."""

from __future__ import annotations

from pathlib import Path

import msgspec
import trio

from ha.cluster import Cluster, node_names, plan
from ha.cluster.kubeconfig import kubeconfig
from ha.experiment import byhand
from ha.experiment.run import OpenWorld
from ha.history.result import NodeRecord
from ha.spec import Topology
from ha.world import Address

__all__ = ["ClusterState", "keep"]

_READY_LIMIT_S = 60.0


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """What ``cluster.json`` says of a cluster that is up. `pid` is the process that keeps it."""

    name: str
    pid: int
    pid_started: str
    """Guards against a reused pid: the process's start time as the system gives it."""
    topology: str
    etcd: str
    engine: str
    timings: str
    endpoint: str | None
    """The control-plane endpoint; None, like `kubeconfig`, of a store alone."""
    kubeconfig: str | None
    directory: str
    ready_s: float
    nodes: list[NodeRecord]
    members: dict[str, str]
    api_servers: dict[str, str]
    balancer_stats: str | None
    chaos: str
    """Where its keeper takes faults by hand: see `ha.experiment.byhand`."""
    shape: Topology


async def keep(
    topology: Topology,
    name: str,
    *,
    open_world: OpenWorld,
    directory: Path,
    seed: int,
    pid: int,
    pid_started: str,
) -> None:
    """Bring a cluster up, write cluster.json and (unless it is a store alone) kubeconfig into `directory`, stay until
    cancelled.
    """
    begun = trio.current_time()
    nodes = list(node_names(topology))
    state_file = directory / "cluster.json"
    async with open_world(nodes=nodes, directory=directory, seed=seed) as world:
        layout = plan(topology, {node: world.address(node) for node in nodes}, cluster_token=f"ha-{name}")
        cluster = Cluster(world, layout)
        async with trio.open_nursery() as nursery:
            await nursery.start(cluster.supervise)
            await cluster.boot_all()
            async with world.client("up") as host:
                await cluster.wait_ready(host, timeout_s=_READY_LIMIT_S)
                config = directory / "kubeconfig"
                if layout.endpoint is not None:
                    config.write_text(kubeconfig(layout, name), encoding="utf-8")
                state = ClusterState(
                    name=name,
                    pid=pid,
                    pid_started=pid_started,
                    topology=topology.name,
                    etcd=topology.etcd.topology,
                    engine=topology.etcd.engine,
                    timings=topology.timings_name,
                    endpoint=str(layout.endpoint) if layout.endpoint else None,
                    kubeconfig=str(config) if layout.endpoint else None,
                    directory=str(directory),
                    ready_s=round(trio.current_time() - begun, 3),
                    nodes=layout.records(),
                    members={node: str(address) for node, address in layout.members.items()},
                    api_servers={node: str(address) for node, address in layout.api_servers.items()},
                    balancer_stats=str(layout.balancer_stats) if layout.balancer_stats else None,
                    chaos=str(Address(host.address, byhand.PORT)),
                    shape=topology,
                )
                listener = await host.net.listen(byhand.PORT)
                try:
                    _publish(state_file, state)
                    await byhand.serve(cluster, host, listener)
                finally:
                    state_file.unlink(missing_ok=True)


def _publish(path: Path, state: ClusterState) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    draft.replace(path)
