"""SIGKILL, as a power cut (a whole node) or the OOM killer (one process) deals it.

Undone by booting the node; a single process is brought back by whoever looks after it (a static pod by its
kubelet, the first process of a node by its init system), and undoing waits until that has happened.
"""

from __future__ import annotations

import trio

from ha.chaos.targets import Victim
from ha.cluster import Cluster
from ha.world import Evidence, NotAttestedError

__all__ = ["FAULT", "wait_running"]


class _Kill:
    name = "kill"
    summary = "SIGKILL to every process of a node, or to one; attested by the exits that the parent reaped"
    instant = False

    async def inject(self, cluster: Cluster, victim: Victim) -> Evidence:
        if victim.process is None:
            return await cluster.power_off(victim.node)
        return await cluster.signal(victim.node, "kill", process=victim.process)

    async def undo(self, cluster: Cluster, victim: Victim) -> Evidence:
        if victim.process is None:
            process = await cluster.boot(victim.node)
            return {"booted": {process.name: process.pid}}
        return await wait_running(cluster, victim.node, victim.process)


async def wait_running(cluster: Cluster, node: str, process: str) -> Evidence:
    """Until a process runs again. Raises NotAttestedError after twice the longest back-off."""
    limit_s = 2 * cluster.plan.topology.timings.container_backoff_max
    with trio.move_on_after(limit_s):
        while True:
            for info in await cluster.world.processes(node):
                if info.name == process:
                    return {"running": {process: info.pid}}
            await trio.sleep(0.02)
    raise NotAttestedError(f"{process} on {node} did not come back within {limit_s:g} s")


FAULT = _Kill()
