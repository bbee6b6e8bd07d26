"""What is in force for one process of the real world, and what of it concerns the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ha.world import Bandwidth, Cut, Delay, DiskError, DiskFull, Refuse, SlowDisk, TornWrite
from ha.world.described import hits
from ha.world.real import wire
from ha.world.real.disk import Trouble
from ha.world.real.host import WallClock
from ha.world.real.links import Links

__all__ = ["Disturbances"]


class Disturbances:
    """See the module."""

    def __init__(self, node: str, process: str, links: Links, disk: Trouble, clock: WallClock) -> None:
        self._node, self._process = node, process
        self._links, self._disk, self._clock = links, disk, clock

    def impose(self, in_force: Sequence[wire.InForce], clocks: Mapping[str, wire.WrongClock]) -> None:
        """From now on this is in force, and nothing else."""
        self._links.impose(in_force)
        self._disk.in_force = [one for one in in_force if self._is_of_disk(one)]
        self._clock.wrong = clocks.get(self._node)

    def obey(self, order: wire.Disturb) -> wire.Obeyed:
        """Do what the supervisor asks for, now."""
        self.impose(order.in_force, order.clocks)
        connections = {
            one.number: self._links.connections(one.what.links)
            for one in order.in_force
            if isinstance(one.what, Cut | Delay | Bandwidth | Refuse)
        }
        if order.reset:
            connections[0] = self._links.reset(order.reset)
        return wire.Obeyed(order.id, connections, self._clock.ahead_s())

    def _is_of_disk(self, one: wire.InForce) -> bool:
        what = one.what
        return isinstance(what, DiskFull | DiskError | SlowDisk | TornWrite) and hits(what, self._node, self._process)
