"""The worlds that a scenario can run in."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import ha.world.real
import ha.world.sim
from ha.cluster.manifests import IMAGES
from ha.cluster.plan import BALANCER, KUBELET
from ha.mutants import registry
from ha.spec import Scenario, WorldName
from ha.spec.load import check_world
from ha.world import World

__all__ = ["FAULTS", "check", "real"]

FAULTS: dict[WorldName, frozenset[str]] = {"real": ha.world.real.FAULTS, "sim": ha.world.sim.FAULTS}
"""What each world can inject."""
_PROGRAMS = sorted({*IMAGES.values(), KUBELET, BALANCER, "ha.node.pause:serve"})


def check(scenario: Scenario, path: Path | str, chaos: Path | str | None = None) -> None:
    """Raises SpecError when a scenario asks for what its world cannot do. `path` and `chaos`: where it came from."""
    check_world(scenario, FAULTS, registry(), path=path, chaos=chaos)


def real(*, nodes: list[str], directory: Path | None, seed: int) -> AbstractAsyncContextManager[World]:
    """OS processes on loopback; see `ha.world.real`. They need a directory, for their disks and logs."""
    assert directory is not None
    preload = [program.partition(":")[0] for program in _PROGRAMS]
    return ha.world.real.open_world(nodes=nodes, directory=directory, seed=seed, preload=preload)
