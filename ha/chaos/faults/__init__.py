"""The catalogue of faults: every module of this package that defines `FAULT` is one.

A fault turns a strike (what the file says, whom it hits) into actions, each of which is begun and ended by itself.
Beginning returns the evidence that it took effect, ending that it is over; both raise LookupError when the victim is
not there, NotAttestedError when nothing shows the effect.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from ha.chaos.targets import Victim
from ha.cluster import Cluster
from ha.spec import Fault
from ha.world import Evidence, Random

__all__ = ["Action", "FaultType", "Strike", "registry"]


@dataclass(frozen=True, slots=True)
class Strike:
    """One occurrence of a fault. `others`: the nodes at the other end of the links of the victims' nodes."""

    fault: Fault
    victims: Sequence[Victim]
    others: Sequence[str]
    random: Random

    @property
    def nodes(self) -> list[str]:
        """The victims' nodes."""
        return [victim.node for victim in self.victims]


class Action(Protocol):
    """One thing that is done and undone at once. Its text names it among the evidence."""

    def hinders(self, core: Collection[str], members: Collection[str]) -> bool:
        """Whether these nodes cannot work together while it is in force. `members`: all nodes with an etcd member."""
        ...

    async def begin(self, cluster: Cluster) -> Evidence:
        """Make it happen."""
        ...

    async def end(self, cluster: Cluster) -> Evidence:
        """End it."""
        ...


class FaultType(Protocol):
    """One kind of fault."""

    name: str
    summary: str
    """One line for the reference: what it does."""
    attestation: str
    """One line for the reference: what shows that it did."""
    instant: bool
    """Over as soon as it has begun: nothing to end."""

    def actions(self, strike: Strike) -> Sequence[Action]:
        """What is to be done; empty when there is nobody to do it to."""
        ...


def registry() -> dict[str, FaultType]:
    """Every fault by its name, sorted."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    faults: list[FaultType] = [module.FAULT for module in modules]
    return {fault.name: fault for fault in sorted(faults, key=lambda fault: fault.name)}
