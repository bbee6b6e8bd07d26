"""Actions that impose a disturbance on the world: links, disks and clocks."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ha.cluster import Cluster
from ha.world import Bandwidth, Cut, Delay, Disturbance, Evidence, Link, Refuse

__all__ = ["Disturb", "between", "cuts"]


@dataclass(frozen=True, slots=True)
class Disturb:
    """In force from `begin` to `end`."""

    label: str
    disturbance: Disturbance

    def __str__(self) -> str:
        return self.label

    def is_inside(self, core: Collection[str]) -> bool:
        """A link within the core, or a disk or a clock of it."""
        match self.disturbance:
            case Cut() | Delay() | Bandwidth() | Refuse():
                return any(source in core and destination in core for source, destination in self.disturbance.links)
        return self.disturbance.node in core

    async def begin(self, cluster: Cluster) -> Evidence:
        """Impose it."""
        return await cluster.world.impose(self.disturbance)

    async def end(self, cluster: Cluster) -> Evidence:
        """Lift it."""
        return await cluster.world.lift(self.disturbance)


def between(here: Iterable[str], there: Iterable[str]) -> tuple[Link, ...]:
    """Every link from the nodes here to the nodes there, sorted."""
    ends = sorted(set(there))
    return tuple((source, destination) for source in sorted(set(here)) for destination in ends if source != destination)


def cuts(actions: Iterable[object]) -> list[Link]:
    """The links that these actions cut, sorted."""
    disturbances = [action.disturbance for action in actions if isinstance(action, Disturb)]
    return sorted({link for one in disturbances if isinstance(one, Cut) for link in one.links})
