"""The catalogue of faults: every module of this package that defines `FAULT` is one.

A fault acts on one victim. `inject` returns the evidence that it took effect, `undo` that it is over; both
raise LookupError when the victim is not there, NotAttestedError when nothing shows the effect.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from ha.chaos.targets import Victim
from ha.cluster import Cluster
from ha.world import Evidence

__all__ = ["FaultType", "registry"]


class FaultType(Protocol):
    """One kind of fault."""

    name: str
    summary: str
    """One line for the reference: what it does, and what shows that it did."""
    instant: bool
    """Over as soon as it is injected: nothing to undo."""

    async def inject(self, cluster: Cluster, victim: Victim) -> Evidence:
        """Make it happen."""
        ...

    async def undo(self, cluster: Cluster, victim: Victim) -> Evidence:
        """End it."""
        ...


def registry() -> dict[str, FaultType]:
    """Every fault by its name, sorted."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    faults: list[FaultType] = [module.FAULT for module in modules]
    return {fault.name: fault for fault in sorted(faults, key=lambda fault: fault.name)}
