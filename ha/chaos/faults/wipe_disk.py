"""A disk that was lost: its process dies, and comes back to an empty one. Nobody tells it that it had another.

The process is stopped first, so that it writes nothing any more, then its disk is emptied, then it is killed. It comes
back as after a kill: a single process by whoever looks after it, the node when the fault is undone. This is also how a
member is replaced that refuses to start, since its disk is damaged.
"""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.faults import Action, Strike
from ha.chaos.faults.kill import Killing
from ha.cluster import Cluster
from ha.world import Evidence

__all__ = ["FAULT"]


class _Wiping(Killing):
    async def begin(self, cluster: Cluster) -> Evidence:
        node, process = self.victim.node, self.victim.process
        if process is not None and process not in {info.name for info in await cluster.world.processes(node)}:
            return await cluster.world.wipe(node, process=process)  # it could not be started, perhaps for its disk
        await cluster.signal(node, "pause", process=process)
        try:
            wiped = await cluster.world.wipe(node, process=process)
        finally:
            gone = await super().begin(cluster)
        return {**gone, **wiped}


class _WipeDisk:
    name = "wipe-disk"
    summary = "SIGKILL, and all that was on the disk is lost: whoever comes back finds an empty one"
    attestation = "the exits of what ran, and the files that are gone"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        return [_Wiping(victim) for victim in strike.victims]


FAULT = _WipeDisk()
