"""Which faults strike when: a few, close to each other, of kinds and at targets that differ from case to case.

Some cases have a theme besides, since what chance brings together too seldom is known to break clusters: members that
come and go again and again, a leader that comes back and is none any more, or finds its place in the log compacted, a
node or a disk that is lost for good.

*Swarm testing* (Groce et al., ISSTA 2012): each case leaves out most kinds of faults, and so has several of those it
keeps; with all kinds in every case they get in each other's way. Times lie on a coarse grid with small offsets,
so that faults tend to meet: what a lone power cut cannot do, two of them within one election do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import Any, NamedTuple, TypeAlias

import msgspec
from hypothesis import strategies as st

from ha.experiment.fuzz.shapes import pick, unit_s
from ha.spec import Component, Experiment, Fault, FaultName, Liveness, Role, Target, Topology, faults, rules
from ha.world import Random

__all__ = ["VOCABULARY", "draw_faults"]

_Table: TypeAlias = list[tuple[int, Any]]

VOCABULARY: list[tuple[int, FaultName]] = [
    (5, "kill"),
    (4, "pause"),
    (2, "restart"),
    (5, "partition"),
    (1, "reset"),
    (2, "delay"),
    (2, "ring-partition"),
    (1, "bridge-partition"),
    (1, "refuse"),
    (1, "bandwidth"),
    (3, "slow-disk"),
    (1, "disk-full"),
    (1, "disk-error"),
    (1, "bit-flip"),
    (1, "wipe-disk"),
    (1, "clock-offset"),
    (1, "clock-rate"),
]
"""Every kind of fault with its weight, the simplest first."""

_KEPT = 0.16
"""How likely a case has a kind of faults, by its weight."""
_SWARM = 100
_AT_MOST = [(1, 2), (3, 6), (4, 10), (2, 16)]
"""Drawn are half as many, on average."""
_EPOCH = [(1, epoch) for epoch in range(4)]
_OFFSET = [(4, 0.0), (2, 1.0), (1, 2.0), (1, 0.5), (1, 0.2), (1, 0.1), (1, 0.05), (1, 0.02), (1, 0.01)]
_LENGTH: _Table = [(2, 0.2), (3, 1.0), (4, 2.0), (3, 4.0), (2, 10.0), (3, None), (1, 40.0)]
"""In units; None: for as long as the load lasts, and outside of the core beyond it."""
_REPEATS: _Table = [(11, None), (1, 4.0), (1, 10.0)]
"""`every`, as a multiple of the length."""

_OF_DISKS = {"slow-disk", "disk-full", "disk-error", "bit-flip", "wipe-disk"}
_OF_LINKS = {"partition", "reset", "delay", "refuse", "bandwidth"}
_AMONG_MANY = {"ring-partition", "bridge-partition"}


@st.composite
def draw_faults(draw: st.DrawFn, experiment: Experiment, shape: Topology, seed: int) -> Experiment:
    """The experiment with a schedule, and as long as that takes. Faults that contradict the others are left out."""
    kinds = _swarm(Random(f"{seed}/swarm"))
    theme = draw(_theme(experiment, shape))
    at_most = draw(pick(theme.at_most))
    slots = [draw(_slot(shape, kinds)) for _ in range(at_most)]
    drawn = [*(fault for fault in theme.faults if draw(_KEEPS)), *(fault for fault in slots if fault is not None)]
    unit = unit_s(shape)
    tail = draw(st.integers(0, 4))
    end_s = max([unit, theme.load_s, *(fault.at_s + (fault.for_s or unit) for fault in drawn)])
    lasting = msgspec.structs.replace(experiment, duration_s=round(end_s + (1 + tail) * unit, 6))
    return _accepted(shape, lasting, drawn)


def _accepted(shape: Topology, experiment: Experiment, drawn: Sequence[Fault]) -> Experiment:
    """With each fault that the rules of the format, and reason, allow beside those before it."""
    for fault in drawn:
        more = msgspec.structs.replace(experiment, faults=[*experiment.faults, fault])
        problems: list[str] = []

        def report(field: str, message: str, *, allowed: str = "", near: str = "", to: list[str] = problems) -> None:
            to.append(f"{field}: {message} {allowed} {near}")

        rules.experiment(more, (), report)
        rules.combination(shape, more, report)
        if not problems and _lost_disks(shape, more) <= (shape.count(shape.etcd_role) - 1) // 2:
            experiment = more
    return _with_everybody(shape, experiment) if _lost_disks(shape, experiment) else experiment


def _lost_disks(shape: Topology, experiment: Experiment) -> float:
    """How many members may lose their disks. Of a majority that did none can ever come back."""
    lost = 0.0
    for fault in experiment.faults:
        if fault.fault == "wipe-disk":
            is_one = fault.target.select in (*shape.names(shape.etcd_role), "etcd-leader") or fault.target.take == "one"
            lost += 1 if is_one and fault.every_s is None else inf
    return lost


def _with_everybody(shape: Topology, experiment: Experiment) -> Experiment:
    """A member without its disk comes back through a majority of the others, so all may be needed."""
    assert experiment.liveness is not None, "every case has a core"
    everybody = Liveness(core=list(rules.node_roles(shape)), within_s=experiment.liveness.within_s)
    return msgspec.structs.replace(experiment, liveness=everybody)


def _swarm(random: Random) -> list[FaultName]:
    """A table of kinds of faults. Mostly of the few that this case has, drawn apart from the rest so that shrinking
    leaves them alone; but before these stand all kinds once, so that it may turn a fault into any simpler one.
    """
    kept = [(weight, kind) for weight, kind in VOCABULARY if random.random() < weight * _KEPT] or VOCABULARY[:1]
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


# ---- themes


class _Theme(NamedTuple):
    faults: Sequence[Fault] = ()
    load_s: float = 0.0
    """How long the load must last for them."""
    at_most: Sequence[tuple[int, int]] = _AT_MOST
    """How many faults may be drawn besides."""


_FEW = [(3, 0), (1, 2)]
_COMING_AND_GOING: list[tuple[int, FaultName]] = [(4, "kill"), (4, "partition"), (1, "pause")]
_AWAY_FOR = [(1, 0.2), (2, 1.0), (3, 2.0), (2, 4.0), (3, 8.0)]
"""In units; the longest is long enough for others to compact what was missed."""
_SOON_COMPACTED = 20
"""Entries between two snapshots: what is missed within seconds is compacted."""
_AGAIN = [(2, 2.0), (1, 1.5), (1, 4.0)]
"""`every`, as a multiple of the length."""
_TIMES = [(1, 4), (2, 8), (1, 12)]
_AT_MOST_FOR = 48
"""In units."""
_LEADERS: list[tuple[int, Component]] = [
    (6, "kube-scheduler"),
    (1, "kube-controller-manager"),
    (1, "cloud-controller-manager"),
]
_DEPOSED_BY: list[tuple[int, FaultName]] = [(3, "pause"), (1, "partition")]
_LOSSES: list[tuple[int, FaultName]] = [(1, "kill"), (1, "pause")]
_LOST_FOR = 56
"""In units: until its Pods must run elsewhere, with the timings that move them soon."""


_KEEPS = st.integers(0, 9).map(bool)
"""Nearly always; but a shrinker may leave it."""


@st.composite
def _theme(draw: st.DrawFn, experiment: Experiment, shape: Topology) -> _Theme:
    themes = [
        (3, st.just(_Theme())),
        (4, _coming_and_going(shape)),
        (3, _power_cuts(shape)),
        (1, _wrong_clock(shape)),
        (2, _rot(shape)),
    ]
    if shape.count(shape.etcd_role) > 2:
        themes.append((4, _lost_disk(shape)))
        if shape.etcd.snapshot_count <= _SOON_COMPACTED:
            themes.append((4, _overtaken(shape)))
    deployments = [workload for workload in experiment.workloads if workload.type == "deployment"]
    if deployments and shape.count(_role_of_pods(shape)) > 1:
        if deployments[0].rate_per_s is not None and shape.count("control-plane") > 1:
            themes.append((24, _deposed(shape)))
        elif deployments[0].rate_per_s is None and _is_soon_over(shape):
            themes.append((24, _lost_node(shape)))
    return draw(draw(pick(themes)))


def _is_soon_over(shape: Topology) -> bool:
    """Whether the loss of a node is found, and its Pods are moved, within the length of a case."""
    return unit_s(shape) * _LOST_FOR > 10 * shape.timings.pod_eviction_toleration


def _role_of_pods(shape: Topology) -> Role:
    return "worker" if shape.count("worker") else "control-plane"


@st.composite
def _coming_and_going(draw: st.DrawFn, shape: Topology) -> _Theme:
    """The same fault again and again, so that elections, restarts and snapshots meet."""
    unit = unit_s(shape)
    length_s = unit * draw(pick(_AWAY_FOR))
    every_s = length_s * draw(pick(_AGAIN))
    kind = draw(pick(_COMING_AND_GOING))
    target = draw(pick(_OF_MEMBERS if kind == "kill" else _OF_MEMBERS[1:]))
    if kind == "kill":
        target = msgspec.structs.replace(target, component=draw(pick([(2, None), (1, "etcd")])))
    at_s = 2 * unit
    again = Fault(fault=kind, target=target, at_s=at_s, for_s=round(length_s, 6), every_s=round(every_s, 6))
    end_s = at_s + min(every_s * draw(pick(_TIMES)), unit * _AT_MOST_FOR)
    return _Theme([again], end_s, [(1, 0), (1, 2), (1, 6)])


@st.composite
def _overtaken(draw: st.DrawFn, shape: Topology) -> _Theme:
    """A leader is cut off with proposals that nobody else has, and is back when the others have compacted its place in
    the log away, again and again.
    """
    unit = unit_s(shape)
    length_s = unit * draw(pick([(2, 3.0), (1, 2.0), (1, 4.0)]))  # so that who proposed it still waits for an answer
    cut = Fault(
        fault="partition", target=_all("etcd-leader"), at_s=2 * unit, for_s=length_s, every_s=length_s + 4 * unit
    )
    return _Theme([cut], unit * _AT_MOST_FOR, _FEW)


@st.composite
def _power_cuts(draw: st.DrawFn, shape: Topology) -> _Theme:
    """The power of many members goes again and again, and their disks are slow, so that much was not synced yet."""
    unit = unit_s(shape)
    latency_s = round(shape.timings.etcd_election * draw(pick([(2, 0.1), (1, 0.3)])), 6)
    slow = Fault(fault="slow-disk", target=_all("etcd"), at_s=unit, latency_s=latency_s)
    length_s, every_s = round(2 * unit, 6), round(draw(pick([(1, 4), (2, 8)])) * unit, 6)
    whom = draw(pick([(3, _all("etcd")), (1, Target(select="etcd", take="majority"))]))
    cut = Fault(fault="kill", target=whom, at_s=2 * unit, for_s=length_s, every_s=every_s)
    return _Theme([slow, cut], unit * _AT_MOST_FOR, _FEW)


@st.composite
def _wrong_clock(draw: st.DrawFn, shape: Topology) -> _Theme:
    """The clocks of members jump and jump back, again and again."""
    unit = unit_s(shape)
    whom = draw(pick([(2, _all("etcd-leader")), (1, _all("etcd"))]))
    jump = Fault(
        fault="clock-offset",
        target=whom,
        at_s=2 * unit,
        for_s=4 * unit,
        every_s=8 * unit,
        offset_s=draw(pick(_CLOCK_OFFSET)),
    )
    return _Theme([jump], 32 * unit, _FEW)


@st.composite
def _rot(draw: st.DrawFn, shape: Topology) -> _Theme:
    """A bit of a member's disk flips, and it must read it."""
    unit = unit_s(shape)
    whom = Target(select=draw(st.sampled_from(shape.names(shape.etcd_role))), component="etcd")
    at_s = unit * draw(st.integers(2, 8))
    flip = Fault(fault="bit-flip", target=whom, at_s=at_s)
    read = Fault(fault="kill", target=whom, at_s=at_s + 0.1 * unit, for_s=round(0.5 * unit, 6))
    return _Theme([flip, read], at_s + 8 * unit, _FEW)


@st.composite
def _lost_disk(draw: st.DrawFn, shape: Topology) -> _Theme:
    """A member is cut off, and when it is back another one loses its disk, and a third one dies: what was acknowledged
    meanwhile is on the last one only.
    """
    unit = unit_s(shape)
    away, emptied, dead = draw(st.permutations(shape.names(shape.etcd_role)))[:3]
    back_s = unit * draw(st.integers(3, 6))
    component: Component | None = draw(pick([(1, None), (2, "etcd")]))
    meet_s = back_s + unit * draw(pick([(2, -0.2), (1, -0.05), (1, 0.05)]))
    cut = Fault(fault="partition", target=_all(away), at_s=unit, for_s=round(back_s - unit, 6))
    wipe_s = round(unit * draw(pick([(2, 0.1), (1, 1.0)])), 6)
    lost = Fault(
        fault="wipe-disk", target=Target(select=emptied, component=component), at_s=round(meet_s, 6), for_s=wipe_s
    )
    gone_s = meet_s + unit * draw(pick([(2, 0.0), (1, 0.1)]))
    gone = Fault(fault="kill", target=_all(dead), at_s=round(gone_s, 6), for_s=round(unit * draw(pick(_AWAY_FOR)), 6))
    return _Theme([cut, lost, gone], back_s + 6 * unit, _FEW)


@st.composite
def _deposed(draw: st.DrawFn, shape: Topology) -> _Theme:
    """Who leads by a Lease is away until another one does, and then back, while there is work for either."""
    component = draw(pick(_LEADERS))
    kind = draw(pick(_DEPOSED_BY))
    whom = Target(select=f"{component.removeprefix('kube-')}-leader", component=component if kind == "pause" else None)
    timings, unit = shape.timings, unit_s(shape)
    away_s = round(1.5 * timings.lease_duration + 4 * timings.lease_retry_period, 6)
    return _Theme([Fault(fault=kind, target=whom, at_s=unit, for_s=away_s)], away_s + 12 * unit, _FEW)


@st.composite
def _lost_node(draw: st.DrawFn, shape: Topology) -> _Theme:
    """One node is away for so long that its Pods must run elsewhere."""
    unit = unit_s(shape)
    whom = Target(select=_role_of_pods(shape), take="one")
    lost = Fault(fault=draw(pick(_LOSSES)), target=whom, at_s=unit, for_s=unit * _LOST_FOR)
    return _Theme([lost], unit * (2 + _LOST_FOR), _FEW)


# ---- whom


@st.composite
def _target(draw: st.DrawFn, shape: Topology, kind: FaultName) -> Target:
    if kind in _AMONG_MANY:
        enough = shape.count(shape.etcd_role) >= faults.FIELDS[kind].least
        return draw(pick([(4, _all("etcd")), (1, _all("all"))] if enough else [(1, _all("all"))]))
    if kind in _OF_DISKS:
        table = _of_members(shape)
    else:
        everybody = _all("etcd") if kind in _OF_LINKS and not shape.count("control-plane") else None
        table = [(weight, target) for weight, target in _targets(shape) if target != everybody]
    target = draw(pick(table))
    if kind in _OF_DISKS:
        return msgspec.structs.replace(target, component=draw(pick([(1, None), (1, "etcd")])))
    if kind in faults.OF_PROCESSES:
        return msgspec.structs.replace(target, component=draw(pick(_components(shape))))
    return target


def _all(select: str) -> Target:
    return Target(select=select)


_OF_MEMBERS = [
    (3, _all("etcd")),
    (3, _all("etcd-leader")),
    (3, Target(select="etcd", take="one")),
    (1, Target(select="etcd", take="majority")),
    (1, _all("etcd-followers")),
]


def _of_members(shape: Topology) -> list[tuple[int, Target]]:
    return [
        *((1, _all(node)) for node in shape.names(shape.etcd_role)),
        (8, _all("etcd-leader")),
        (4, _all("etcd-followers")),
        (1, Target(select="etcd", take="one")),
        (1, Target(select="etcd", take="minority")),
        (3, Target(select="etcd", take="majority")),
        (3, _all("etcd")),
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
        (1, "cloud-controller-manager"),
        (1, "kube-proxy"),
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
