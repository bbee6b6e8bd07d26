"""What types cannot say: counts that make no cluster, schedules that do not fit, targets that do not exist.

Three sets of rules: a topology alone, an experiment alone, and both together (`combination`), which is where
a target is held against the nodes that there are. Each rule reports through `Report` and returns; none raises,
so that a file gets all its problems at once. `advice` is for what is allowed but unwise.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from ha.spec import faults
from ha.spec.durations import format_duration
from ha.spec.model import Bound, Experiment, Fault, Role, Scenario, Target, Timings, Topology, Workload
from ha.spec.problems import nearest

__all__ = [
    "Report",
    "advice",
    "combination",
    "components",
    "experiment",
    "node_roles",
    "scenario",
    "simulated",
    "topology",
    "workload_fields",
]

ROLES: tuple[Role, ...] = ("control-plane", "worker", "etcd", "load-balancer")
LEADERS = (
    "etcd-leader",
    "etcd-followers",
    "scheduler-leader",
    "controller-manager-leader",
    "cloud-controller-manager-leader",
)
"""Targets that are found out when the fault strikes."""
_NODE_NAME = re.compile(r"(control-plane|worker|etcd)-[1-9][0-9]*")
_GROUPS = ("all", *ROLES, *LEADERS)
_FIELDS_OF_WORKLOAD = {
    "register": {"clients", "rate", "keys"},
    "create": {"clients", "rate"},
    "deployment": {"replicas", "rate"},
    "store": {"clients", "rate", "keys"},
    "put": {"clients", "rate", "value_bytes"},
    "lock": {"clients", "rate", "keys"},
    "watch": {"clients"},
}
_WRITES = {"register", "create", "store", "put", "lock"}
"""Workloads that write, hence show whether a write is lost."""
_WITHOUT_API = {"store", "put", "lock", "watch"}
"""Workloads that a store alone can serve."""
_FED_BY = {
    "linearizability": {"register", "create"},
    "store-model": {"store", "put", "lock"},
    "leases": {"store", "lock"},
    "locks": {"lock"},
    "watch-guarantees": {"watch"},
}
"""By checker, the workloads without which it has nothing to judge. The others judge what the cluster shows of itself,
and durability whatever writes.
"""
_OF_API = {"watch-cache", "takeovers", "pods"}
"""Checkers of what only a control plane has."""
_OF_CONTROL_PLANE = ("controller_manager_takeover", "scheduler_takeover", "node_not_ready", "pods_running_elsewhere")


class Report(Protocol):
    """Records a problem of a field."""

    def __call__(self, field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        """Record it."""
        ...


# ---- a topology alone


def topology(spec: Topology, report: Report) -> None:
    """Impossible shapes."""
    roles = [group.role for group in spec.nodes]
    for i, role in enumerate(roles):
        if role in roles[:i]:
            first = roles.index(role)
            report(
                f"nodes[{i}].role", f"the role {role!r} stands twice", allowed=f"one count for it, in nodes[{first}]"
            )
    if "control-plane" not in roles and set(roles) != {"etcd"}:
        report("nodes", "no node has the role control-plane", allowed="at least one, or nodes of role etcd only")
    if spec.etcd.topology == "stacked" and "etcd" in roles:
        where = f"nodes[{roles.index('etcd')}].role"
        report(where, "stacked etcd has no nodes of its own", allowed="etcd: {topology: external}, or no role etcd")
    if spec.etcd.topology == "external" and "etcd" not in roles:
        report(
            "etcd.topology", "external etcd, but no node has the role etcd", allowed="nodes of role etcd, or stacked"
        )
    if spec.count("load-balancer") > 1:
        where = f"nodes[{roles.index('load-balancer')}].count"
        report(where, f"found {spec.count('load-balancer')} load balancers", allowed="at most one")
    _timings(spec.timings, report)
    if spec.etcd.engine == "etcd":
        _real_etcd(spec, report)
    elif spec.etcd.binary is not None:
        report(
            "etcd.binary", f"engine {spec.etcd.engine} is no program of its own", allowed="engine: etcd, or no binary"
        )
    _load_balancer(spec, report)


def _load_balancer(spec: Topology, report: Report) -> None:
    balancer = spec.load_balancer
    if balancer.engine == "haproxy" and not spec.count("load-balancer"):
        allowed = "several control planes, a node of role load-balancer, or engine: embedded"
        report("load_balancer.engine", f"{spec.name!r} has no load balancer", allowed=allowed)
    if balancer.engine != "haproxy" and balancer.binary is not None:
        report("load_balancer.binary", "ours is no program of its own", allowed="engine: haproxy, or no binary")


def _real_etcd(spec: Topology, report: Report) -> None:
    """What the real etcd cannot be told to do."""
    if spec.etcd.reads != "engine":
        report("etcd.reads", f"found {spec.etcd.reads}", allowed="engine: etcd reads by ReadIndex and in no other way")
    for name in ("etcd_heartbeat", "etcd_election"):
        found_s = getattr(spec.timings, name)
        if abs(found_s * 1000 - round(found_s * 1000)) > 1e-6 or not 0.001 <= found_s <= 50:
            _refused(report, name, found_s, "whole milliseconds up to 50s, as etcd's flags")


def _timings(timings: Timings, report: Report) -> None:
    """What etcd and client-go refuse as well."""
    if timings.etcd_election < 5 * timings.etcd_heartbeat:
        least = format_duration(5 * timings.etcd_heartbeat)
        _refused(report, "etcd_election", timings.etcd_election, f"at least five heartbeats, {least}")
    if timings.lease_duration <= timings.lease_renew_deadline:
        least = format_duration(timings.lease_renew_deadline)
        _refused(report, "lease_duration", timings.lease_duration, f"more than lease_renew_deadline, {least}")
    if timings.lease_renew_deadline <= 1.2 * timings.lease_retry_period:
        least = format_duration(1.2 * timings.lease_retry_period)
        found = timings.lease_renew_deadline
        _refused(report, "lease_renew_deadline", found, f"more than 1.2 times lease_retry_period, {least}")
    if timings.container_backoff_max < timings.container_backoff:
        least = format_duration(timings.container_backoff)
        _refused(report, "container_backoff_max", timings.container_backoff_max, f"at least {least}")


def _refused(report: Report, name: str, found_s: float, allowed: str) -> None:
    report(f"timings.{name}", f"found {format_duration(found_s)}", allowed=allowed)


# ---- an experiment alone


def experiment(spec: Experiment, present: Collection[str], report: Report) -> None:
    """Schedules and expectations that cannot be. `present` holds the paths of the fields that the file sets."""
    for i, name in enumerate(spec.topologies):
        if name in spec.topologies[:i]:
            report(f"topologies[{i}]", f"{name!r} stands twice", allowed="each topology once")
    _workloads(spec, present, report)
    for i, fault in enumerate(spec.faults):
        _schedule(spec, i, fault, report)
        _select(fault.target, f"faults[{i}].target", report)
        if fault.source is not None:
            _select(fault.source, f"faults[{i}].from", report)
        faults.fields(fault, f"faults[{i}]", report)
    _overlaps(spec.faults, spec.duration_s, report)
    for path, bound in _bounds(spec):
        _bound(path, bound, report)
    _measurable(spec, report)
    core = spec.liveness.core if spec.liveness is not None else []
    for i, node in enumerate(core):
        if node in core[:i]:
            report(f"liveness.core[{i}]", f"{node!r} stands twice", allowed="each node once")


def _workloads(spec: Experiment, present: Collection[str], report: Report) -> None:
    types = [workload.type for workload in spec.workloads]
    if not _WRITES & set(types):
        message = "no workload writes, so nothing would show whether a write is lost"
        report("workloads", message, allowed="with a workload of type register, create, store, put or lock")
    workload_fields(spec.workloads, "", present, report)


def workload_fields(workloads: Sequence[Workload], path: str, present: Collection[str], report: Report) -> None:
    """Workloads whose type stands twice or has no such field. `path`: of what they are the field ``workloads`` of."""
    at = f"{path}.workloads" if path else "workloads"
    types = [workload.type for workload in workloads]
    for i, type_ in enumerate(types):
        if type_ in types[:i]:
            report(f"{at}[{i}].type", f"the workload {type_!r} stands twice", allowed="each type once")
        own = _FIELDS_OF_WORKLOAD[type_]
        for name in sorted({"clients", "rate", "keys", "replicas", "value_bytes"} - own):
            if f"{at}[{i}].{name}" in present:
                message = f"a {type_} workload has no {name}"
                report(f"{at}[{i}].{name}", message, allowed=", ".join(["type", *sorted(own)]))


def _schedule(spec: Experiment, i: int, fault: Fault, report: Report) -> None:
    end = format_duration(spec.duration_s)
    if fault.at_s == 0:
        allowed = "after the load has begun, so that it was seen to work: 1s, say"
        report(f"faults[{i}].at", "found 0s", allowed=allowed)
    if fault.at_s >= spec.duration_s:
        report(f"faults[{i}].at", f"found {format_duration(fault.at_s)}", allowed=f"before the load ends at {end}")
    elif fault.for_s is not None and fault.at_s + fault.for_s > spec.duration_s:
        over = format_duration(fault.at_s + fault.for_s)
        report(f"faults[{i}].for", f"the fault would last until {over}", allowed=f"until the load ends at {end}")
    if fault.fault in faults.INSTANT:
        if fault.for_s is not None:
            report(f"faults[{i}].for", f"a {fault.fault} is over when it was injected", allowed="no for")
    elif fault.every_s is not None and (fault.for_s is None or fault.for_s >= fault.every_s):
        message = "the fault would be injected again before it was undone"
        report(f"faults[{i}].every", message, allowed="more than for, which must be given")


def _select(target: Target, path: str, report: Report) -> None:
    if target.select in _GROUPS or _NODE_NAME.fullmatch(target.select):
        return
    allowed = ", ".join(_GROUPS) + ", or the name of a node such as control-plane-1"
    report(path, f"unknown target {target.select!r}", allowed=allowed, near=nearest(target.select, _GROUPS))


def _overlaps(schedule: Sequence[Fault], duration_s: float, report: Report) -> None:
    """Two faults that surely hit the same victims at the same time, of a kind that undoing one undoes the other."""
    of_processes = [(i, fault) for i, fault in enumerate(schedule) if fault.fault in faults.OF_PROCESSES]
    for i, later in of_processes:
        for j, earlier in of_processes:
            if j >= i or later.target != earlier.target:
                continue
            if _certain(later.target) and _meet(earlier, later, duration_s):
                message = f"overlaps faults[{j}], which hits the same target at that time"
                report(f"faults[{i}]", message, allowed="one fault of a target at a time")


def _certain(target: Target) -> bool:
    named = target.select == "all" or target.select in ROLES or _NODE_NAME.fullmatch(target.select)
    return target.take == "all" and bool(named)


def _meet(a: Fault, b: Fault, duration_s: float) -> bool:
    def end_s(fault: Fault) -> float:
        if fault.fault in faults.INSTANT:
            return fault.at_s
        return duration_s if fault.for_s is None else fault.at_s + fault.for_s

    return a.at_s < end_s(b) and b.at_s < end_s(a)


def _bounds(spec: Experiment) -> Iterator[tuple[str, Bound]]:
    for group, bounds in spec.expect.unavailability.items():
        path = f"expect.unavailability.{group}"
        yield from ((f"{path}.{n}", b) for n, b in [("longest", bounds.longest), ("total", bounds.total)] if b)
    for phase, bound in spec.expect.recovery.items():
        yield f"expect.recovery.{phase}", bound


def _bound(path: str, bound: Bound, report: Report) -> None:
    if bound.at_most_s is None and bound.at_least_s is None:
        report(path, "bounds nothing", allowed="at_most, at_least or both")
    elif bound.at_most_s is not None and bound.at_least_s is not None and bound.at_least_s > bound.at_most_s:
        least, most = format_duration(bound.at_least_s), format_duration(bound.at_most_s)
        report(path, f"at_least {least} is more than at_most {most}", allowed="at_least up to at_most")


def _measurable(spec: Experiment, report: Report) -> None:
    """An expectation that nothing in the experiment could measure would make every run inconclusive."""
    types = {workload.type for workload in spec.workloads}
    needed = {"read": {"register", "store"}, "write": _WRITES}
    for group in spec.expect.unavailability:
        if not types & needed[group]:
            allowed = "with a workload of type " + " or ".join(sorted(needed[group]))
            report(f"expect.unavailability.{group}", f"no workload makes a {group}", allowed=allowed)
    if spec.expect.recovery and not spec.faults:
        report("expect.recovery", "there is no fault to recover from", allowed="with faults")
    _convictable(spec, types, report)
    if "pods_running_elsewhere" in spec.expect.recovery and "deployment" not in types:
        path = "expect.recovery.pods_running_elsewhere"
        report(path, "no workload runs Pods", allowed="with a workload of type deployment")


def _convictable(spec: Experiment, types: Collection[str], report: Report) -> None:
    """A conviction by who would never get to judge, so that every run would fail."""
    claimed = spec.expect.conviction
    if claimed is None:
        return
    feeding = _FED_BY.get(claimed.by)
    if feeding is not None and not feeding & set(types):
        allowed = "with a workload of type " + " or ".join(sorted(feeding))
        report("expect.conviction.by", f"no workload gives {claimed.by} anything to judge", allowed=allowed)
    if claimed.by == "committed" and claimed.engine == "etcd":
        message = "committed judges digests of logs, and the real etcd tells none"
        report("expect.conviction.by", message, allowed="another checker, or another engine")


# ---- both together


def combination(shape: Topology, spec: Experiment, report: Report) -> None:
    """Targets, and parts that workloads and bounds need, that this topology does not have."""
    if shape.store_alone:
        _needs_no_api(shape, spec, report)
    for i, fault in enumerate(spec.faults):
        _fault(shape, fault, f"faults[{i}]", report)
    if spec.liveness is not None:
        _core(shape, spec.liveness.core, report)
    if "load_balancer_detection" in spec.expect.recovery and not shape.count("load-balancer"):
        message = f"topology {shape.name!r} has no load balancer"
        report("expect.recovery.load_balancer_detection", message, allowed="on topologies with one")
    if "pods_running_elsewhere" in spec.expect.recovery and _schedulable(shape) == 1:
        message = f"topology {shape.name!r} has a single node that Pods can run on"
        report("expect.recovery.pods_running_elsewhere", message, allowed="on topologies with two or more")


def _fault(shape: Topology, fault: Fault, path: str, report: Report) -> None:
    _victims(shape, fault.target, f"{path}.target", report)
    if fault.source is not None:
        _victims(shape, fault.source, f"{path}.from", report)
    selected = _selected(shape, fault.target.select)
    faults.enough(fault, len(selected), shape, path, report)
    faults.disks(fault, selected, shape, path, report)
    hit = _candidates(shape, fault.target.select)
    is_sure = hit and (len(hit) == 1 or _certain(fault.target))
    others = _candidates(shape, "all" if fault.source is None else fault.source.select)
    faults.foreign(fault, hit, others, shape, path, report)
    if is_sure and others:
        faults.someone(fault, hit, others, path, report)


def _candidates(shape: Topology, select: str) -> list[str]:
    """The names of all nodes that a valid target can mean: of those found out when a fault strikes, all that may be."""
    roles = node_roles(shape)
    if select == "all":
        return list(roles)
    of = {"scheduler-leader": "control-plane", "controller-manager-leader": "control-plane"}.get(select, select)
    role = shape.etcd_role if of in ("etcd", "etcd-leader", "etcd-followers") else of
    return [name for name, its in roles.items() if role in (name, its)]


def _core(shape: Topology, core: Sequence[str], report: Report) -> None:
    """A core that this topology does not have, or that could not serve whatever it did."""
    roles = node_roles(shape)
    for i, node in enumerate(core):
        if node not in roles:
            message = f"topology {shape.name!r} has no node {node!r}"
            report(f"liveness.core[{i}]", message, allowed=", ".join(roles), near=nearest(node, roles))
    members = shape.names(shape.etcd_role)
    quorum = len(members) // 2 + 1
    found = len(set(members) & set(core))
    if found < quorum:
        allowed = f"at least {quorum} of {', '.join(members)}"
        report("liveness.core", f"has {found} of {len(members)} etcd members, which is no majority", allowed=allowed)
    for names, what in (
        (shape.names("control-plane"), "an API server"),
        (shape.names("load-balancer"), "the load balancer"),
    ):
        if names and not set(names) & set(core):
            message = f"clients reach nobody without {what}"
            report("liveness.core", message, allowed=f"with {' or '.join(names)}")


def _needs_no_api(shape: Topology, spec: Experiment, report: Report) -> None:
    for i, workload in enumerate(spec.workloads):
        if workload.type not in _WITHOUT_API:
            message = f"topology {shape.name!r} has no control plane, so nobody serves a {workload.type} workload"
            report(
                f"workloads[{i}].type",
                message,
                allowed=f"{' or '.join(sorted(_WITHOUT_API))}, or a topology with a control plane",
            )
    claimed = spec.expect.conviction
    if claimed is not None and claimed.by in _OF_API:
        message = f"topology {shape.name!r} has no control plane, so {claimed.by} has nothing to judge"
        report("expect.conviction.by", message, allowed="a topology with a control plane")
    for phase in _OF_CONTROL_PLANE:
        if phase in spec.expect.recovery:
            message = f"topology {shape.name!r} has no control plane"
            report(f"expect.recovery.{phase}", message, allowed="raft_election, first_write")


def _victims(shape: Topology, target: Target, path: str, report: Report) -> None:
    """Report a target that selects nobody."""
    roles = node_roles(shape)
    select = target.select
    if _NODE_NAME.fullmatch(select) and select not in roles:
        message = f"topology {shape.name!r} has no node {select!r}"
        report(path, message, allowed=", ".join(roles), near=nearest(select, roles))
        return
    if not _NODE_NAME.fullmatch(select) and select not in _GROUPS:
        return  # no topology has it, which `experiment` says
    hit = _selected(shape, select)
    if not hit:
        what = select if select in ROLES else f"{select} to be hit"
        report(path, f"topology {shape.name!r} has no {what}", allowed=", ".join(dict.fromkeys(roles.values())))
    elif target.component is not None and not any(target.component in components(shape, role) for role in hit):
        has = sorted({component for role in hit for component in components(shape, role)})
        where = f"{path}.component"
        report(where, f"{target.component} does not run on {select} of {shape.name!r}", allowed=", ".join(has))
    elif target.take == "minority" and len(hit) < 3:
        message = f"the minority of {len(hit)} is nobody"
        report(f"{path}.take", message, allowed="one, majority or all, or a topology with three of them")


def node_roles(shape: Topology) -> dict[str, Role]:
    """The role of each node by its name."""
    return {name: role for role in ROLES for name in shape.names(role)}


def _selected(shape: Topology, select: str) -> list[Role]:
    """The roles of the nodes that a valid target matches, one for each node."""
    roles = node_roles(shape)
    hosts = [role for role in roles.values() if role == shape.etcd_role]
    control_planes: list[Role] = [role for role in roles.values() if role == "control-plane"]
    if select in roles:
        return [roles[select]]
    if select == "all":
        return list(roles.values())
    if select == "etcd":
        return hosts
    if select == "etcd-followers":
        return hosts[1:]
    if select in LEADERS:
        return hosts[:1] if select == "etcd-leader" else control_planes[:1]
    return [role for role in roles.values() if role == select]


def components(shape: Topology, role: Role) -> list[str]:
    """The processes of a node of this role."""
    if role == "load-balancer":
        return ["load-balancer"]
    own = {
        "control-plane": [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "cloud-controller-manager",
            "kube-proxy",
        ],
        "worker": ["kube-proxy"],
    }.get(role, [])
    return [*(["etcd"] if role == shape.etcd_role else []), *own, "kubelet"]


def _schedulable(shape: Topology) -> int:
    """Control-plane nodes are tainted unless there is no worker."""
    return shape.count("worker") or shape.count("control-plane")


# ---- a scenario


def scenario(world: str, mutant: str | None, report: Report) -> None:
    """What only one world has."""
    if mutant is not None and world != "sim":
        report("mutant", f"bugs are planted in the simulated world only, not in the {world} one", allowed="world: sim")


def simulated(shape: Topology, report: Report, path: str | None = None) -> None:
    """A topology that cannot be simulated. `path`: what asks for it, if that is not the topology."""
    ours_only = "virtual time runs our own components only, and the"
    if shape.etcd.engine == "etcd":
        message = f"{ours_only} etcd of {shape.name!r} is the real one"
        report(path or "etcd.engine", message, allowed="the real world, or engine: pysyncobj")
    if shape.load_balancer.engine == "haproxy":
        message = f"{ours_only} load balancer of {shape.name!r} is HAProxy"
        report(path or "load_balancer.engine", message, allowed="the real world, or engine: embedded")


# ---- allowed, but unwise


def advice(scenario: Scenario) -> list[str]:
    """Sentences for the author of a scenario that is valid."""
    shape, spec = scenario.topology, scenario.experiment
    members = shape.count(shape.etcd_role)
    sentences = []
    if members % 2 == 0:
        sentences.append(f"{members} etcd members survive no more failures than {members - 1} would")
    files = any("/" in name or name.endswith((".yaml", ".yml")) for name in spec.topologies)  # may be this one
    if shape.name not in spec.topologies and not files:
        named = ", ".join(spec.topologies)
        sentences.append(f"the claim of {spec.name} is made for {named}, not for {shape.name}")
    for i, fault in enumerate(spec.faults):
        if (lost := wiped_majority(shape, fault)) is not None:
            sentences.append(f"faults[{i}] {lost}")
    return sentences


def wiped_majority(shape: Topology, fault: Fault) -> str | None:
    """What a fault does that takes the disks of too many members, as the rest of a sentence."""
    members = shape.count(shape.etcd_role)
    emptied = faults.taken(fault.target, len(_selected(shape, fault.target.select)))
    if fault.fault != "wipe-disk" or members - emptied >= members // 2 + 1:
        return None
    return (
        f"empties the disks of {emptied} of {members} etcd members of {shape.name} at once: no majority is left that "
        "holds what was acknowledged, so it is lost, or never served again"
    )
