"""Actions that impose a disturbance on the world: links, disks and clocks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ha.cluster import Cluster
from ha.world import Bandwidth, Cut, Delay, Disturbance, Evidence, Link, Refuse, SlowDisk

__all__ = ["Disturb", "between", "cuts"]


@dataclass(frozen=True, slots=True)
class Disturb:
    """In force from `begin` to `end`."""

    label: str
    disturbance: Disturbance

    def __str__(self) -> str:
        return self.label

    def hinders(self, core: Collection[str], members: Collection[str]) -> bool:
        """A link within the core, or a disk or a clock of it; links that let a member outside lead a part of the core's
        members only (Raft has no remedy for that: those that hear the leader do not vote for another one); and,
        wherever it is, what is slow but works: it goes on taking part, and is waited for.
        """
        match self.disturbance:
            case Delay() | Bandwidth() | SlowDisk():
                return True
            case Cut() | Refuse():
                links = set(self.disturbance.links)
                return any(source in core and destination in core for source, destination in links) or any(
                    self._is_uneven(links, outsider, [member for member in members if member in core])
                    for outsider in members
                    if outsider not in core
                )
        return self.disturbance.node in core

    def _is_uneven(self, links: Collection[Link], outsider: str, inside: Sequence[str]) -> bool:
        """Whether the outsider is neither in touch with all of these members, or none, in each direction."""
        heard = {(outsider, member) in links for member in inside}
        told = {(member, outsider) in links for member in inside}
        if isinstance(self.disturbance, Cut):
            return len(heard) > 1 or len(told) > 1
        return True in heard | told  # how much it hinders hangs on what was connected before

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
