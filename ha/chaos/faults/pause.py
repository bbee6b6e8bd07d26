"""SIGSTOP: processes stand still with their sockets open, as under a stalled hypervisor or a swap storm."""

from __future__ import annotations

from ha.chaos.targets import Victim
from ha.cluster import Cluster
from ha.world import Evidence

__all__ = ["FAULT"]


class _Pause:
    name = "pause"
    summary = "SIGSTOP to every process of a node, or to one; attested by their state in the process table"
    instant = False

    async def inject(self, cluster: Cluster, victim: Victim) -> Evidence:
        return await cluster.signal(victim.node, "pause", process=victim.process)

    async def undo(self, cluster: Cluster, victim: Victim) -> Evidence:
        return await cluster.signal(victim.node, "resume", process=victim.process)


FAULT = _Pause()
