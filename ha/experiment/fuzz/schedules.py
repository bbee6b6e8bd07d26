"""Which faults strike when: a few, close to each other, of kinds and at targets that differ from case to case.

*Swarm testing* (Groce et al., ISSTA 2012): each case leaves out most kinds of faults, and so has several of those it
keeps; with all kinds in every case they get in each other's way. Times lie on a coarse grid with small offsets,
so that faults tend to meet: what a lone power cut cannot do, two of them within one election do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, TypeAlias

import msgspec
from hypothesis import strategies as st

from ha.experiment.fuzz.shapes import pick, unit_s
from ha.spec import Component, Experiment, Fault, FaultName, Target, Topology, faults, rules
from ha.world import Random

__all__ = ["VOCABULARY", "draw_faults"]

_Table: TypeAlias = list[tuple[int, Any]]

VOCABULARY: list[tuple[int, FaultName]] = [
    (5, "kill"),
    (3, "pause"),
    (2, "restart"),
    (5, "partition"),
    (1, "reset"),
    (2, "delay"),
    (1, "ring-partition"),
    (1, "bridge-partition"),
    (1, "refuse"),
    (1, "bandwidth"),
    (2, "slow-disk"),
    (1, "disk-full"),
    (1, "disk-error"),
    (1, "bit-flip"),
    (1, "clock-offset"),
    (1, "clock-rate"),
]
"""Every kind of fault with its weight, the simplest first."""

_KEPT = 0.35
"""How likely a case has a kind of faults."""
_SWARM = 100
_AT_MOST = [(1, 2), (3, 6), (4, 10), (2, 16)]
"""Drawn are half as many, on average."""
_EPOCH = [(1, epoch) for epoch in range(4)]
_OFFSET = [(4, 0.0), (2, 1.0), (1, 2.0), (1, 0.5), (1, 0.2), (1, 0.1), (1, 0.05), (1, 0.02), (1, 0.01)]
_LENGTH: _Table = [(2, 0.2), (3, 1.0), (4, 2.0), (3, 4.0), (2, 10.0), (3, None), (1, 40.0)]
"""In units; None: for as long as the load lasts, and outside of the core beyond it."""
_REPEATS: _Table = [(11, None), (1, 4.0), (1, 10.0)]
"""`every`, as a multiple of the length."""

_OF_DISKS = {"slow-disk", "disk-full", "disk-error", "bit-flip"}
_OF_LINKS = {"partition", "reset", "delay", "refuse", "bandwidth"}
_AMONG_MANY = {"ring-partition", "bridge-partition"}


@st.composite
def draw_faults(draw: st.DrawFn, experiment: Experiment, shape: Topology, seed: int) -> Experiment:
    """The experiment with a schedule, and as long as that takes. Faults that contradict the others are left out."""
    kinds = _swarm(Random(f"{seed}/swarm"))
    at_most = draw(pick(_AT_MOST))
    slots = [draw(_slot(shape, kinds)) for _ in range(at_most)]
    drawn = [fault for fault in slots if fault is not None]
    unit = unit_s(shape)
    tail = draw(st.integers(0, 8))
    end_s = max([unit, *(fault.at_s + (fault.for_s or unit) for fault in drawn)])
    lasting = msgspec.structs.replace(experiment, duration_s=round(end_s + (1 + tail) * unit, 6))
    return _accepted(shape, lasting, drawn)


def _accepted(shape: Topology, experiment: Experiment, drawn: Sequence[Fault]) -> Experiment:
    """With each fault that the rules of the format allow beside those before it."""
    for fault in drawn:
        more = msgspec.structs.replace(experiment, faults=[*experiment.faults, fault])
        problems: list[str] = []

        def report(field: str, message: str, *, allowed: str = "", near: str = "", to: list[str] = problems) -> None:
            to.append(f"{field}: {message} {allowed} {near}")

        rules.experiment(more, (), report)
        rules.combination(shape, more, report)
        if not problems:
            experiment = more
    return experiment


def _swarm(random: Random) -> list[FaultName]:
    """A table of kinds of faults. Mostly of the few that this case has, drawn apart from the rest so that shrinking
    leaves them alone; but before these stand all kinds once, so that it may turn a fault into any simpler one.
    """
    kept = [(weight, kind) for weight, kind in VOCABULARY if random.random() < _KEPT] or VOCABULARY[:1]
    few = [kind for weight, kind in kept for _ in range(weight)]
    return [*(kind for _, kind in VOCABULARY), *(few * ceil(_SWARM / len(few)))]


@st.composite
def _slot(draw: st.DrawFn, shape: Topology, kinds: Sequence[FaultName]) -> Fault | None:
    """A fault, or none: what a shrinker that tries the simplest of everything first takes out at once."""
    return draw(_fault(shape, kinds)) if draw(st.booleans()) else None


@st.composite
def _fault(draw: st.DrawFn, shape: Topology, kinds: Sequence[FaultName]) -> Fault:
    kind = draw(st.sampled_from(kinds))
    unit = unit_s(shape)
    at_s = unit * (1 + 4 * draw(pick(_EPOCH)) + draw(pick(_OFFSET)))
    target = draw(_target(shape, kind))
    length = None if kind in faults.INSTANT else draw(pick(_LENGTH))
    repeats = None if length is None else draw(pick(_REPEATS))
    return Fault(
        fault=kind,
        target=target,
        at_s=round(at_s, 6),
        for_s=None if length is None else round(unit * length, 6),
        every_s=None if repeats is None or length is None else round(unit * length * repeats, 6),
        **draw(_details(shape, kind)),
    )


# ---- whom


@st.composite
def _target(draw: st.DrawFn, shape: Topology, kind: FaultName) -> Target:
    if kind in _AMONG_MANY:
        return draw(pick([(4, _all("etcd")), (1, _all("all"))]))
    if kind in _OF_DISKS:
        table = _of_members(shape)
    else:
        everybody = _all("etcd") if kind in _OF_LINKS and not shape.count("control-plane") else None
        table = [(weight, target) for weight, target in _targets(shape) if target != everybody]
    target = draw(pick(table))
    if kind in faults.OF_PROCESSES:
        return msgspec.structs.replace(target, component=draw(pick(_components(shape))))
    if kind in _OF_DISKS:
        return msgspec.structs.replace(target, component=draw(pick([(1, None), (1, "etcd")])))
    return target


def _all(select: str) -> Target:
    return Target(select=select)


def _of_members(shape: Topology) -> list[tuple[int, Target]]:
    return [
        *((2, _all(node)) for node in shape.names(shape.etcd_role)),
        (5, _all("etcd-leader")),
        (2, _all("etcd-followers")),
        (2, Target(select="etcd", take="one")),
        (2, Target(select="etcd", take="minority")),
        (2, Target(select="etcd", take="majority")),
        (2, _all("etcd")),
    ]


def _targets(shape: Topology) -> list[tuple[int, Target]]:
    targets = _of_members(shape)
    if not shape.count("control-plane"):
        return targets
    named = [*shape.names("control-plane"), *shape.names("worker"), *shape.names("load-balancer")]
    return [
        *targets,
        *((1, _all(node)) for node in named),
        (2, _all("scheduler-leader")),
        (2, _all("controller-manager-leader")),
        (1, Target(select="control-plane", take="one")),
        (1, _all("control-plane")),
        (1, Target(select="worker", take="one")),
        (1, _all("all")),
    ]


def _components(shape: Topology) -> list[tuple[int, Component | None]]:
    """None: the whole node."""
    if not shape.count("control-plane"):
        return [(4, None), (3, "etcd"), (1, "kubelet")]
    return [
        (6, None),
        (4, "etcd"),
        (2, "kube-apiserver"),
        (1, "kube-scheduler"),
        (1, "kube-controller-manager"),
        (1, "kubelet"),
    ]


# ---- how much


def _details(shape: Topology, kind: FaultName) -> st.SearchStrategy[dict[str, Any]]:
    """What a fault of this kind takes beside its target and times."""
    latency = pick(_LATENCY).map(lambda elections: round(elections * shape.timings.etcd_election, 6))
    fields: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "partition": {"direction": pick(_DIRECTION), "source": pick(_sources(shape))},
        "delay": {"latency_s": latency, "jitter_s": st.none() | latency},
        "slow-disk": {"latency_s": latency},
        "bandwidth": {"bytes_per_s": pick(_BANDWIDTH)},
        "clock-offset": {"offset_s": pick(_CLOCK_OFFSET)},
        "clock-rate": {"rate": pick(_CLOCK_RATE)},
    }
    return st.fixed_dictionaries(fields.get(kind, {}))


_DIRECTION = [(3, None), (1, "inbound"), (1, "outbound")]
_LATENCY = [(1, 0.1), (1, 0.5), (1, 1.0), (1, 2.0)]
"""In elections."""
_BANDWIDTH = [(1, 100_000.0), (1, 20_000.0), (1, 5_000.0)]
_CLOCK_OFFSET = [(1, 1.0), (1, -1.0), (1, 30.0), (1, -30.0), (1, 3600.0)]
_CLOCK_RATE = [(1, 2.0), (1, 0.5), (1, 1.1), (1, 10.0)]


def _sources(shape: Topology) -> list[tuple[int, Target | None]]:
    """From whom a partition cuts its target off; None: from everybody."""
    sources: list[tuple[int, Target | None]] = [(6, None), (1, _all("etcd-leader")), (1, _all("etcd"))]
    sources += [(1, _all(node)) for node in shape.names(shape.etcd_role)[:3]]
    if shape.count("load-balancer"):
        sources.append((1, _all("load-balancer")))
    return sources
