"""SIGKILL, as a power cut (a whole node) or the OOM killer (one process) deals it.

Undone by booting the node; a single process is brought back by whoever looks after it (a static pod by its
kubelet, the first process of a node by its init system), and undoing waits until that has happened.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import trio

from ha.chaos.faults import Action, Strike
from ha.chaos.targets import Victim
from ha.cluster import Cluster
from ha.world import Evidence, NotAttestedError

__all__ = ["FAULT", "Killing", "wait_running"]


@dataclass(frozen=True, slots=True)
class Killing:
    """What becomes of one victim."""

    victim: Victim

    def __str__(self) -> str:
        return str(self.victim)

    def hinders(self, core: Collection[str], members: Collection[str]) -> bool:  # noqa: ARG002  (the protocol's)
        """See `Action`."""
        return self.victim.node in core

    async def begin(self, cluster: Cluster) -> Evidence:
        """See `Action`."""
        if self.victim.process is None:
            return await cluster.power_off(self.victim.node)
        return await cluster.signal(self.victim.node, "kill", process=self.victim.process)

    async def end(self, cluster: Cluster) -> Evidence:
        """See `Action`."""
        if self.victim.process is None:
            process = await cluster.boot(self.victim.node)
            return {"booted": {process.name: process.pid}}
        return await wait_running(cluster, self.victim.node, self.victim.process)


class _Kill:
    name = "kill"
    summary = "SIGKILL to one process, or to every process of a node; there, in sim, what was not synced is lost, too"
    attestation = "the exits of all of them"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        return [Killing(victim) for victim in strike.victims]


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
