"""The worlds that a scenario can run in."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ha.cluster.manifests import IMAGES
from ha.cluster.plan import BALANCER, KUBELET
from ha.world import World
from ha.world.real import FAULTS, open_world

__all__ = ["REAL_FAULTS", "real"]

REAL_FAULTS = FAULTS
_PROGRAMS = sorted({*IMAGES.values(), KUBELET, BALANCER, "ha.node.pause:serve"})


def real(*, nodes: list[str], directory: Path, seed: int) -> AbstractAsyncContextManager[World]:
    """OS processes on loopback; see `ha.world.real`."""
    preload = [program.partition(":")[0] for program in _PROGRAMS]
    return open_world(nodes=nodes, directory=directory, seed=seed, preload=preload)
