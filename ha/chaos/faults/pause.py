"""SIGSTOP: processes stand still with their sockets open, as under a stalled hypervisor or a swap storm."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ha.chaos.faults import Action, Strike
from ha.chaos.targets import Victim
from ha.cluster import Cluster
from ha.world import Evidence

__all__ = ["FAULT"]


@dataclass(frozen=True, slots=True)
class _Pausing:
    victim: Victim

    def __str__(self) -> str:
        return str(self.victim)

    def hinders(self, core: Collection[str], members: Collection[str]) -> bool:  # noqa: ARG002  (the protocol's)
        return self.victim.node in core

    async def begin(self, cluster: Cluster) -> Evidence:
        return await cluster.signal(self.victim.node, "pause", process=self.victim.process)

    async def end(self, cluster: Cluster) -> Evidence:
        return await cluster.signal(self.victim.node, "resume", process=self.victim.process)


class _Pause:
    name = "pause"
    summary = "SIGSTOP to every process of a node, or to one; SIGCONT afterwards"
    attestation = "their state in the process table"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        return [_Pausing(victim) for victim in strike.victims]


FAULT = _Pause()
