"""Hypothesis strategies for scenarios that a file could give."""

from __future__ import annotations

import msgspec
from hypothesis import assume
from hypothesis import strategies as st

from ha.spec import (
    Bound,
    Etcd,
    Expect,
    Experiment,
    Fault,
    Liveness,
    NodeGroup,
    OperationBounds,
    Scenario,
    Target,
    Topology,
    Workload,
    rules,
)
from ha.spec.faults import FIELDS, INSTANT
from ha.spec.timings import PRESETS

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?", fullmatch=True)
WORDY = st.text(max_size=30) | st.lists(
    st.sampled_from(["all's well:", "#1", "a - b", "{x}", "\u2014", "no"]), max_size=40
).map(" ".join)


def durations(most_s: float, least_s: float = 0.001) -> st.SearchStrategy[float]:
    """Seconds, to the nanosecond."""
    return st.integers(round(least_s * 1e9), round(most_s * 1e9)).map(lambda ns: round(ns * 1e-9, 9))


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """With three control planes and two workers, and everything else as it comes."""
    preset = draw(st.sampled_from(sorted(PRESETS)))
    timings, name = PRESETS[preset], preset
    if draw(st.booleans()):
        fields = draw(
            st.sets(st.sampled_from(["client_timeout", "store_request_timeout", "load_balancer_check"]), min_size=1)
        )
        changed = {field: draw(durations(100)) for field in sorted(fields)}
        timings, name = msgspec.structs.replace(timings, **changed), "explicit"
    external = draw(st.booleans())
    return Topology(
        name=draw(NAMES),
        nodes=[
            NodeGroup(role="control-plane", count=3),
            NodeGroup(role="worker", count=draw(st.integers(2, 50))),
            *([NodeGroup(role="etcd", count=draw(st.integers(3, 5)))] if external else []),
        ],
        etcd=Etcd(
            topology="external" if external else "stacked",
            engine=draw(st.sampled_from(["pysyncobj", "pysyncobj-stock"])),
        ),
        timings=timings,
        timings_name=name,
        description=draw(WORDY),
    )


TARGETS = st.builds(
    Target,
    select=st.sampled_from(["etcd-leader", "scheduler-leader", "control-plane-2", "worker", "all", "etcd-followers"]),
    take=st.sampled_from(["one", "majority", "all"]),
    component=st.sampled_from([None, "kubelet"]),
)
ENDS = st.just(Target(select="load-balancer")) | st.builds(Target, select=st.just("control-plane"), take=st.just("one"))
BOUNDS = st.builds(Bound, at_most_s=durations(1000)) | st.builds(
    Bound, at_least_s=durations(9), at_most_s=durations(99, 9)
)


FIELDS_OF_FAULT = {
    "from": ("source", ENDS),
    "direction": ("direction", st.sampled_from(["both", "inbound", "outbound"])),
    "latency": ("latency_s", durations(10)),
    "jitter": ("jitter_s", durations(10)),
    "bytes_per_s": ("bytes_per_s", st.floats(1, 1e12) | st.integers(1, 10**12)),
    "offset": ("offset_s", durations(86400) | durations(86400).map(lambda s: -s)),
    "rate": ("rate", st.floats(0.001, 100)),
}


@st.composite
def faults(draw: st.DrawFn, target: Target, load_s: float) -> Fault:
    """One that fits into the load."""
    name = draw(st.sampled_from([name for name, kind in FIELDS.items() if kind.least == 1]))
    at_s = draw(durations(load_s / 2))
    for_s = None if name in INSTANT else draw(durations(load_s / 2))
    every_s = draw(st.none() | durations(load_s, (for_s or 0) + 0.001))
    given = [*FIELDS[name].required, *(field for field in FIELDS[name].optional if draw(st.booleans()))]
    own = {attribute: draw(values) for attribute, values in (FIELDS_OF_FAULT[field] for field in given)}
    if FIELDS[name].disk:
        target = Target(select="etcd-leader", component=draw(st.sampled_from([None, "etcd"])))
    elif not FIELDS[name].component:
        target = msgspec.structs.replace(target, component=None)
    return Fault(fault=name, target=target, at_s=at_s, for_s=for_s, every_s=every_s, **own)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """With whatever fits `topologies`."""
    load_s = draw(durations(86400, 1))
    rates = st.none() | st.integers(1, 10000) | st.floats(1e-9, 10000)
    targets = draw(st.lists(TARGETS, max_size=6, unique_by=lambda target: target.select))
    hit = [draw(faults(target, load_s)) for target in targets]
    recovery = draw(st.dictionaries(st.sampled_from(["raft_election", "first_write"]), BOUNDS)) if hit else {}
    bounds = st.builds(OperationBounds, longest=st.none() | BOUNDS, total=st.none() | BOUNDS)
    core = ["control-plane-1", "control-plane-2", "control-plane-3", "load-balancer", "etcd-1", "etcd-2", "etcd-3"]
    return Experiment(
        name=draw(NAMES),
        claim=draw(WORDY.filter(bool)),
        topologies=draw(st.lists(WORDY, min_size=1, max_size=3, unique=True)),
        duration_s=load_s,
        workloads=[
            Workload(
                type="register",
                clients=draw(st.integers(1, 256)),
                rate_per_s=draw(rates),
                keys=draw(st.integers(1, 99)),
            ),
            Workload(type="deployment", replicas=draw(st.integers(1, 100))),
        ],
        faults=hit,
        expect=Expect(
            unavailability=draw(st.dictionaries(st.sampled_from(["read", "write"]), bounds)), recovery=recovery
        ),
        liveness=draw(st.none() | st.builds(Liveness, core=st.just(core), within_s=durations(60))),
    )


def fits(shape: Topology, how: Experiment) -> bool:
    """Whether the rules allow it: most of what is drawn, but they grow."""
    problems: list[str] = []

    def report(field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        problems.append(f"{field}: {message}")

    rules.experiment(how, (), report)
    rules.combination(shape, how, report)
    return not problems


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A topology with an experiment that fits it."""
    shape, how = draw(topologies()), draw(experiments())
    if how.liveness is not None and shape.etcd.topology == "stacked":
        core = [node for node in how.liveness.core if not node.startswith("etcd")]
        how = msgspec.structs.replace(how, liveness=msgspec.structs.replace(how.liveness, core=core))
    if shape.etcd.topology == "stacked" or draw(st.booleans()):
        how = msgspec.structs.replace(how, topologies=[shape.name])
    assume(fits(shape, how))
    world = draw(st.sampled_from(["real", "sim"]))
    return Scenario(
        name=draw(NAMES),
        topology=shape,
        experiment=how,
        world=world,
        seed=draw(st.none() | st.integers(0, 2**53)),
        mutant=draw(st.none() | NAMES) if world == "sim" else None,
    )
