"""The catalogue of workloads: every module of this package that defines `WORKLOAD` is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

import trio

from ha.history import Operation
from ha.workload.context import Context
from ha.workload.pacing import Arrivals

__all__ = ["Driver", "WorkloadKind", "registry"]


class Driver(Protocol):
    """One workload of one run, used in this order."""

    async def set_up(self) -> None:
        """Create what the clients need. Raises NotSetUpError."""
        ...

    async def run(self, arrivals: Arrivals, until: trio.Event) -> None:
        """Load the cluster until `until` is set; returns when nothing is outstanding. Never raises for what a
        cluster may answer.
        """
        ...

    async def read_back(self) -> Sequence[Operation]:
        """After the cluster healed: a consistent read of everything that was written, recorded and returned."""
        ...


@dataclass(frozen=True, slots=True)
class WorkloadKind:
    """An entry of the catalogue. `name` is the `type` that files give."""

    name: str
    summary: str
    """One line for the reference."""
    drive: Callable[[Context], Driver]


def registry() -> dict[str, WorkloadKind]:
    """Every workload by its name, sorted."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    kinds: list[WorkloadKind] = [module.WORKLOAD for module in modules]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}
