"""The worlds that a scenario can run in."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal, TypeAlias

import ha.world.real
import ha.world.sim
from ha.cluster.manifests import IMAGES
from ha.cluster.plan import BALANCER, KUBELET
from ha.world import World

WorldName: TypeAlias = Literal["real", "sim"]

__all__ = ["FAULTS", "WorldName", "real"]

FAULTS: dict[WorldName, frozenset[str]] = {"real": ha.world.real.FAULTS, "sim": ha.world.sim.FAULTS}
"""What each world can inject."""
_PROGRAMS = sorted({*IMAGES.values(), KUBELET, BALANCER, "ha.node.pause:serve"})


def real(*, nodes: list[str], directory: Path | None, seed: int) -> AbstractAsyncContextManager[World]:
    """OS processes on loopback; see `ha.world.real`. They need a directory, for their disks and logs."""
    assert directory is not None
    preload = [program.partition(":")[0] for program in _PROGRAMS]
    return ha.world.real.open_world(nodes=nodes, directory=directory, seed=seed, preload=preload)
