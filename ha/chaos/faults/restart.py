"""An orderly restart: SIGTERM, wait for the end, start again. What a rolling upgrade does to a node."""

from __future__ import annotations

from ha.chaos.faults.kill import wait_running
from ha.chaos.targets import Victim
from ha.cluster import Cluster
from ha.world import Evidence, NotAttestedError

__all__ = ["FAULT"]


class _Restart:
    name = "restart"
    summary = "SIGTERM to a node or a process, then started again; attested by the exit and by the new process"
    instant = True

    async def inject(self, cluster: Cluster, victim: Victim) -> Evidence:
        if victim.process is not None:
            exited = await cluster.signal(victim.node, "terminate", process=victim.process)
            return {**exited, **await wait_running(cluster, victim.node, victim.process)}
        exited = await _shut_down(cluster, victim.node)
        process = await cluster.boot(victim.node)
        return {**exited, "booted": {process.name: process.pid}}

    async def undo(self, cluster: Cluster, victim: Victim) -> Evidence:  # noqa: ARG002  (the protocol's)
        raise AssertionError(f"a restart of {victim} is over when it was injected")


async def _shut_down(cluster: Cluster, node: str) -> Evidence:
    try:
        terminated = await cluster.signal(node, "terminate")
    except NotAttestedError:
        terminated = {"terminated": "not all within a second; killed the rest"}
    if await cluster.world.processes(node):
        return {**terminated, **await cluster.power_off(node)}
    return terminated


FAULT = _Restart()
