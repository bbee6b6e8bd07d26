"""What was given on the command line, in place of what a file says."""

from __future__ import annotations

import msgspec

from ha.spec.model import Engine, LoadBalancerEngine, Scenario, Topology, WorldName

__all__ = ["override", "with_engines"]


def override(
    spec: Scenario,
    *,
    world: WorldName | None = None,
    seed: int | None = None,
    engine: Engine | None = None,
    load_balancer: LoadBalancerEngine | None = None,
) -> Scenario:
    """A scenario with what was given on the command line in place of what its file says."""
    shape = with_engines(spec.topology, engine, load_balancer)
    return msgspec.structs.replace(
        spec, topology=shape, world=world or spec.world, seed=spec.seed if seed is None else seed
    )


def with_engines(shape: Topology, engine: Engine | None, load_balancer: LoadBalancerEngine | None) -> Topology:
    """A topology with other engines, those that are given."""
    etcd, balancer = shape.etcd, shape.load_balancer
    if engine is not None:
        etcd = msgspec.structs.replace(etcd, engine=engine)
    if load_balancer is not None:
        balancer = msgspec.structs.replace(balancer, engine=load_balancer)
    return msgspec.structs.replace(shape, etcd=etcd, load_balancer=balancer)
