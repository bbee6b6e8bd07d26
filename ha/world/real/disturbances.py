"""What is in force for one process of the real world, what of it concerns the process, and what it met of it."""

from __future__ import annotations

from collections.abc import Sequence

from ha.world import Bandwidth, Cut, Delay, Disturbance, Refuse
from ha.world.real import wire
from ha.world.real.links import Links

__all__ = ["Disturbances"]


class Disturbances:
    """See the module. A process is always told all that is in force, and keeps what was there when it began."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._before: dict[int, tuple[Disturbance, dict[str, int]]] = {}
        """By number: what had been counted when it began."""

    def impose(self, in_force: Sequence[wire.InForce]) -> dict[int, dict[str, float]]:
        """From now on this is in force, and nothing else; what each that was or is did up to now, by number."""
        for one in in_force:
            if one.number not in self._before:
                self._before[one.number] = one.what, self._counted(one.what)
        self._links.impose([one.what for one in in_force if isinstance(one.what, Cut | Delay | Bandwidth | Refuse)])
        met = {number: self._since(what, before) for number, (what, before) in self._before.items()}
        numbers = {one.number for one in in_force}
        self._before = {number: known for number, known in self._before.items() if number in numbers}
        return met

    def obey(self, order: wire.Disturb) -> wire.Obeyed:
        """Do what the supervisor asks for, now."""
        met = self.impose(order.in_force)
        if order.reset:
            met[0] = {"connections_reset": self._links.reset(order.reset)}
        return wire.Obeyed(order.id, met)

    def _since(self, what: Disturbance, before: dict[str, int]) -> dict[str, float]:
        met: dict[str, float] = {name: count - before[name] for name, count in self._counted(what).items()}
        match what:
            case Cut() | Delay() | Bandwidth() | Refuse():
                met["connections"] = self._links.connections(what.links)
        return met

    def _counted(self, what: Disturbance) -> dict[str, int]:
        """What disturbances of this kind did to this process since it began."""
        match what:
            case Cut() | Delay() | Bandwidth() | Refuse():
                return self._links.counted(what.links)
        return {}
