"""Lost connections: both ends of each see a reset, as when a firewall forgets them or a NAT is restarted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ha.chaos.disturbances import between
from ha.chaos.faults import Action, Strike
from ha.cluster import Cluster
from ha.world import Evidence, Link

__all__ = ["FAULT"]


@dataclass(frozen=True, slots=True)
class _Resetting:
    links: tuple[Link, ...]

    def __str__(self) -> str:
        return "links"

    def hinders(self, core: Collection[str], members: Collection[str]) -> bool:  # noqa: ARG002  (the protocol's)
        return any(source in core and destination in core for source, destination in self.links)

    async def begin(self, cluster: Cluster) -> Evidence:
        return await cluster.world.reset(self.links)

    async def end(self, cluster: Cluster) -> Evidence:  # noqa: ARG002  (the protocol's)
        raise AssertionError("connections that were reset are not brought back")


class _Reset:
    name = "reset"
    summary = "every open connection between the target and the others breaks; repeat it by every"
    attestation = "how many connections there were"
    instant = True

    def actions(self, strike: Strike) -> Sequence[Action]:
        links = between(strike.nodes, strike.others) + between(strike.others, strike.nodes)
        return [_Resetting(links)] if links else []


FAULT = _Reset()
