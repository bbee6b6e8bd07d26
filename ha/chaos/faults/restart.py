"""An orderly restart: SIGTERM, wait for the end, start again. What a rolling upgrade does to a node."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ha.chaos.faults import Action, Strike
from ha.chaos.faults.kill import wait_running
from ha.chaos.targets import Victim
from ha.cluster import Cluster
from ha.world import Evidence

__all__ = ["FAULT"]


@dataclass(frozen=True, slots=True)
class _Restarting:
    victim: Victim

    def __str__(self) -> str:
        return str(self.victim)

    def hinders(self, core: Collection[str], members: Collection[str]) -> bool:  # noqa: ARG002  (the protocol's)
        return self.victim.node in core

    async def begin(self, cluster: Cluster) -> Evidence:
        node, process = self.victim.node, self.victim.process
        if process is not None:
            exited = await cluster.signal(node, "terminate", process=process)
            return {**exited, **await wait_running(cluster, node, process)}
        exited = await cluster.shut_down(node)
        booted = await cluster.boot(node)
        return {**exited, "booted": {booted.name: booted.pid}}

    async def end(self, cluster: Cluster) -> Evidence:  # noqa: ARG002  (the protocol's)
        raise AssertionError(f"a restart of {self.victim} is over when it was injected")


class _Restart:
    name = "restart"
    summary = "SIGTERM to a node or a process, then started again"
    attestation = "the exit, and the new process"
    instant = True

    def actions(self, strike: Strike) -> Sequence[Action]:
        return [_Restarting(victim) for victim in strike.victims]


FAULT = _Restart()
