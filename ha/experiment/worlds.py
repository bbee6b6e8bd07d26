"""The worlds that a scenario can run in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec

import ha.world.real
import ha.world.sim
from ha.cluster.manifests import IMAGES
from ha.cluster.plan import BALANCER, HAPROXY, KUBELET
from ha.mutants import registry
from ha.spec import Scenario, Topology, WorldName
from ha.spec.load import Problem, SpecError, check_world
from ha.world import World
from ha.world.real.foreign import ForeignProgram, ForeignProgramError, find_etcd, find_haproxy

__all__ = ["FAULTS", "check", "equipped", "real"]

FAULTS: dict[WorldName, frozenset[str]] = {"real": ha.world.real.FAULTS, "sim": ha.world.sim.FAULTS}
"""What each world can inject."""
_PROGRAMS = sorted({*IMAGES.values(), KUBELET, BALANCER, HAPROXY, "ha.node.pause:serve"})


def check(scenario: Scenario, path: Path | str, chaos: Path | str | None = None) -> None:
    """Raises SpecError when a scenario asks for what its world cannot do. `path` and `chaos`: where it came from."""
    check_world(scenario, FAULTS, registry(), path=path, chaos=chaos)


def equipped(topology: Topology, path: Path | str) -> Topology:
    """The topology with what it takes of this machine: the real etcd and HAProxy where they are the engines. Raises
    SpecError when they are not there. `path`: where the topology came from.
    """
    etcd, balancer = topology.etcd, topology.load_balancer
    problems: list[Problem] = []

    def found(find: Callable[[str | None], ForeignProgram], field: str, asked: str | None) -> str | None:
        try:
            return find(asked).path
        except ForeignProgramError as error:
            at = f"{field}.engine" if asked is None else f"{field}.binary"
            problems.append(Problem(file=str(path), field=at, message=str(error), allowed=error.advice))
            return None

    if etcd.engine == "etcd":
        etcd = msgspec.structs.replace(etcd, binary=found(find_etcd, "etcd", etcd.binary))
    if balancer.engine == "haproxy":
        balancer = msgspec.structs.replace(balancer, binary=found(find_haproxy, "load_balancer", balancer.binary))
    if problems:
        raise SpecError(problems)
    return msgspec.structs.replace(topology, etcd=etcd, load_balancer=balancer)


def real(*, nodes: list[str], directory: Path | None, seed: int) -> AbstractAsyncContextManager[World]:
    """OS processes on loopback; see `ha.world.real`. They need a directory, for their disks and logs."""
    assert directory is not None
    preload = [program.partition(":")[0] for program in _PROGRAMS]
    return ha.world.real.open_world(nodes=nodes, directory=directory, seed=seed, preload=preload)
