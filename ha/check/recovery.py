"""What the time after a fault went into: seconds from each injection to the end of each recovery phase.

A phase is measured only where it applies: only the etcd leader's death calls for an election, only the holder's
for a takeover. The two ways of having no figure are kept apart: *does not apply* (None), and *applies but did
not happen* before the same victims were hit again or the run ended (None, and named in `not_reached`).

Events carry the time of observation, so a phase may end a poll late and never early.

| phase | applies when the fault hits | ends with |
|---|---|---|
| load_balancer_detection | API servers that the load balancer held for up | the last of them ejected |
| raft_election | the etcd member that led | a reachable member naming a leader in a higher term |
| first_write | anything | the first successful write after the outage that it caused, if any |
| controller_manager_takeover, scheduler_takeover | the holder of the Lease | another holder |
| node_not_ready | Nodes that were Ready | the last of them not Ready |
| pods_running_elsewhere | nodes with ready Pods of a controller | as many more ready Pods of it elsewhere |

A fault hits a component when it names that process, or names none (the whole node). One that cuts links hits those that
are cut off from what they need (`ha.check.reach`), whoever its target is.

A fault is dated from when its injection began, and takes effect up to a second later. Writes that succeed in
between say nothing, hence *after the outage*: the unavailability of writes (`ha.check.availability`) that
overlaps that second. When there is none, the first write invoked since and successful counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from ha.check.availability import unavailability
from ha.check.reach import cut_off
from ha.check.summary import group_of
from ha.history import (
    BackendChange,
    Event,
    FaultEvent,
    LeaseChange,
    MemberSample,
    NodeCondition,
    Operation,
    PodChange,
)
from ha.history.result import PHASES, NodeRecord, Recovery, Window

__all__ = ["recoveries", "worst"]

_EFFECT_S = 1.0
"""How long a world may take to attest a fault."""

_OF_ALL = ("first_write",)
_OF_MEMBERS = ("raft_election", *_OF_ALL)
_PHASES_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("kill", "pause", "restart", "wipe-disk", "partition", "ring-partition", "bridge-partition"), PHASES
    ),
    **dict.fromkeys(("disk-full", "disk-error", "torn-write"), _OF_MEMBERS),
}
"""What a fault takes from its nodes others must take over. Where it only slows or disturbs, writes alone are timed."""

_BOUND_TO_NODE = ("DaemonSet/", "Node/")
"""Owners whose Pods are not replaced elsewhere."""


def recoveries(events: Sequence[Event], operations: Sequence[Operation], nodes: Sequence[NodeRecord]) -> list[Recovery]:
    """One `Recovery` for each injection that hit anybody, in order."""
    ordered = sorted(events, key=lambda event: event.at_s)
    injected = [event for event in ordered if isinstance(event, FaultEvent) and event.action == "inject"]
    writes = [o for o in operations if group_of(o) == "write"]
    outages = _outages(writes)
    return [
        _recover(_Case(fault, _until(fault, injected), ordered, nodes), writes, outages)
        for fault in injected
        if fault.nodes
    ]


def worst(measured: Sequence[Recovery]) -> dict[str, float | None]:
    """The longest of each phase over all faults; None where it never applied, or did not end after one of them:
    the longest of the others would not be the worst.
    """
    longest: dict[str, float | None] = {}
    for phase in PHASES:
        taken = [recovery.phases_s.get(phase) for recovery in measured]
        endless = any(phase in recovery.not_reached for recovery in measured)
        longest[phase] = None if endless else max((s for s in taken if s is not None), default=None)
    return longest


@dataclass(frozen=True, slots=True)
class _Case:
    """One injection, with all events of the run in order. What happens from `until_s` on is another's."""

    fault: FaultEvent
    until_s: float
    events: Sequence[Event]
    nodes: Sequence[NodeRecord]

    def hits(self, component: str) -> list[str]:
        """Nodes on which a component is a victim, or is cut off from what it needs."""
        if self.fault.links:
            return cut_off(component, self.nodes, set(self.fault.links))
        if not self.fault.processes:
            return self.fault.nodes
        hit = {process.rpartition("/")[0] for process in self.fault.processes if process.endswith(f"/{component}")}
        return [node for node in self.fault.nodes if node in hit]

    def before(self) -> Iterator[Event]:
        """What had happened by the injection."""
        return (event for event in self.events if event.at_s <= self.fault.at_s)

    def after(self) -> Iterator[Event]:
        """What happened since."""
        return (event for event in self.events if self.fault.at_s < event.at_s < self.until_s)


class _NotReachedError(Exception):
    """The phase applies, and did not end in time."""


def _until(fault: FaultEvent, injected: Sequence[FaultEvent]) -> float:
    """When the same victims were hit again."""
    again = [later.at_s for later in injected if later.at_s > fault.at_s and set(later.nodes) & set(fault.nodes)]
    return min(again, default=inf)


def _recover(case: _Case, writes: Sequence[Operation], outages: Sequence[Window]) -> Recovery:
    measures: dict[str, Callable[[], float | None]] = {
        "load_balancer_detection": lambda: _load_balancer_detection(case),
        "raft_election": lambda: _raft_election(case),
        "first_write": lambda: _first_write(case, writes, outages),
        "controller_manager_takeover": lambda: _takeover(case, "kube-controller-manager"),
        "scheduler_takeover": lambda: _takeover(case, "kube-scheduler"),
        "node_not_ready": lambda: _node_not_ready(case),
        "pods_running_elsewhere": lambda: _pods_running_elsewhere(case),
    }
    assert tuple(measures) == PHASES, "every phase is measured"
    phases_s: dict[str, float | None] = {}
    not_reached = []
    applicable = _PHASES_OF.get(case.fault.fault, _OF_ALL)
    for phase, measure in measures.items():
        try:
            ended_s = measure() if phase in applicable else None
        except _NotReachedError:
            not_reached.append(phase)
            ended_s = None
        phases_s[phase] = None if ended_s is None else ended_s - case.fault.at_s
    return Recovery(fault=case.fault.index, target=case.fault.target, phases_s=phases_s, not_reached=not_reached)


def _load_balancer_detection(case: _Case) -> float | None:
    up: dict[str, bool] = {}
    for event in case.before():
        if isinstance(event, BackendChange):
            up[event.backend] = event.up
    left = {backend for node in case.hits("kube-apiserver") for backend in _backends(case, node) if up.get(backend)}
    return _last_of(case, left, lambda event: isinstance(event, BackendChange) and not event.up and event.backend)


def _backends(case: _Case, node: str) -> set[str]:
    """Names under which the load balancer may know a node: its own, or its address."""
    addresses = {record.address for record in case.nodes if record.name == node}
    named = {event.backend for event in case.events if isinstance(event, BackendChange)}
    return {name for name in named if name == node or name.rpartition(":")[0] in addresses}


def _node_not_ready(case: _Case) -> float | None:
    ready: dict[str, bool] = {}
    for event in case.before():
        if isinstance(event, NodeCondition):
            ready[event.node] = event.ready == "True"
    left = {node for node in case.hits("kubelet") if ready.get(node)}
    return _last_of(case, left, lambda event: isinstance(event, NodeCondition) and event.ready != "True" and event.node)


def _last_of(case: _Case, left: set[str], struck_off: Callable[[Event], str | bool]) -> float | None:
    """When the last of `left` was struck off by an event; None when there is none to begin with."""
    if not left:
        return None
    for event in case.after():
        left.discard(str(struck_off(event)))
        if not left:
            return event.at_s
    raise _NotReachedError


def _raft_election(case: _Case) -> float | None:
    members: dict[str, MemberSample] = {}
    for event in case.before():
        if isinstance(event, MemberSample) and event.reachable:
            members[event.member] = event
    term = max((sample.term or 0 for sample in members.values()), default=0)
    leader = next((sample.leader for sample in members.values() if sample.term == term and sample.leader), None)
    if leader is None or leader not in members or members[leader].node not in case.hits("etcd"):
        return None
    for event in case.after():
        if isinstance(event, MemberSample) and event.reachable and event.leader and (event.term or 0) > term:
            return event.at_s
    raise _NotReachedError


def _outages(writes: Sequence[Operation]) -> Sequence[Window]:
    """All unavailability of writes, from the first one asked to the last answer."""
    if not writes:
        return []
    start_s = min(write.invoked_s for write in writes)
    end_s = max(write.invoked_s if write.completed_s is None else write.completed_s for write in writes)
    found = unavailability(writes, start_s, end_s).get("write")
    return found.windows if found else []


def _first_write(case: _Case, writes: Sequence[Operation], outages: Sequence[Window]) -> float | None:
    if not writes:
        return None
    begun_s = case.fault.at_s
    caused = [outage.end_s for outage in outages if begun_s < outage.end_s and outage.start_s <= begun_s + _EFFECT_S]
    over_s = max(caused, default=begun_s)
    answered = [
        write.completed_s
        for write in writes
        if write.outcome == "ok"
        and write.completed_s is not None
        and (write.completed_s >= over_s if caused else write.invoked_s >= begun_s)
        and write.completed_s < case.until_s
    ]
    if not answered:
        raise _NotReachedError
    return min(answered)


def _takeover(case: _Case, component: str) -> float | None:
    holder = ""
    for event in case.before():
        if isinstance(event, LeaseChange) and event.name == component:
            holder = event.holder
    if not holder or holder.partition("_")[0] not in case.hits(component):
        return None
    for event in case.after():
        if isinstance(event, LeaseChange) and event.name == component and event.holder not in ("", holder):
            return event.at_s
    raise _NotReachedError


def _pods_running_elsewhere(case: _Case) -> float | None:
    pods: dict[str, PodChange] = {}
    for event in case.before():
        _follow(pods, event)
    victims = set(case.hits("kubelet"))
    lost = Counter(pod.owner for pod in pods.values() if pod.node in victims)
    if not lost:
        return None
    needed = _elsewhere(pods, victims) + lost
    for event in case.after():
        _follow(pods, event)
        if isinstance(event, PodChange) and all(_elsewhere(pods, victims)[owner] >= needed[owner] for owner in lost):
            return event.at_s
    raise _NotReachedError


def _follow(pods: dict[str, PodChange], event: Event) -> None:
    """Keep the ready Pods that some controller would replace, by uid."""
    if isinstance(event, PodChange):
        pods.pop(event.uid, None)
        if event.ready and not event.deleted and event.owner and not event.owner.startswith(_BOUND_TO_NODE):
            pods[event.uid] = event


def _elsewhere(pods: dict[str, PodChange], victims: set[str]) -> Counter[str]:
    return Counter(pod.owner for pod in pods.values() if pod.node not in victims)
