"""The worlds that a scenario can run in."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

import ha.world.real
import ha.world.sim
from ha.cluster.manifests import IMAGES
from ha.cluster.plan import BALANCER, KUBELET
from ha.mutants import registry
from ha.spec import Scenario, Topology, WorldName
from ha.spec.load import Problem, SpecError, check_world
from ha.world import World
from ha.world.real.foreign import ForeignProgramError, find_etcd

__all__ = ["FAULTS", "check", "equipped", "real"]

FAULTS: dict[WorldName, frozenset[str]] = {"real": ha.world.real.FAULTS, "sim": ha.world.sim.FAULTS}
"""What each world can inject."""
_PROGRAMS = sorted({*IMAGES.values(), KUBELET, BALANCER, "ha.node.pause:serve"})


def check(scenario: Scenario, path: Path | str, chaos: Path | str | None = None) -> None:
    """Raises SpecError when a scenario asks for what its world cannot do. `path` and `chaos`: where it came from."""
    check_world(scenario, FAULTS, registry(), path=path, chaos=chaos)


def equipped(topology: Topology, path: Path | str) -> Topology:
    """The topology with what it takes of this machine: the real etcd where it is the engine. Raises SpecError when it
    is not there. `path`: where the topology came from.
    """
    etcd = topology.etcd
    if etcd.engine != "etcd":
        return topology
    try:
        found = find_etcd(etcd.binary)
    except ForeignProgramError as error:
        field = "etcd.engine" if etcd.binary is None else "etcd.binary"
        raise SpecError([Problem(file=str(path), field=field, message=str(error), allowed=error.advice)]) from error
    return msgspec.structs.replace(topology, etcd=msgspec.structs.replace(etcd, binary=found.path))


def real(*, nodes: list[str], directory: Path | None, seed: int) -> AbstractAsyncContextManager[World]:
    """OS processes on loopback; see `ha.world.real`. They need a directory, for their disks and logs."""
    assert directory is not None
    preload = [program.partition(":")[0] for program in _PROGRAMS]
    return ha.world.real.open_world(nodes=nodes, directory=directory, seed=seed, preload=preload)
