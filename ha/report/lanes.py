"""Who was in which state when: the events of a run as lanes of segments on one time axis. Pure.

A lane is a row of the timeline: an etcd member, a backend of the load balancer, a Lease. Its segments do
not overlap, are in order, and each holds the state that began with an event and lasted until the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from ha.history import (
    BackendChange,
    Event,
    LeaseChange,
    MemberSample,
    NodeCondition,
    Operation,
    PhaseEvent,
    PodChange,
    ReadyChange,
)
from ha.history.result import FaultRecord, Run, Window
from ha.report import series
from ha.report.words import fault_title, in_force_until_s, seconds

__all__ = ["Lane", "LaneGroup", "Segment", "Span", "State", "lane_groups", "span_of"]

State: TypeAlias = Literal["good", "part", "calm", "bad", "held", "phase", "fault"]
"""good: works · part: partly · calm: works, but does not lead · bad: does not · held: who holds a lease ·
phase: of the run · fault: in force."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One state of one lane. `label` is short and may be shown inside, `title` is a sentence."""

    start_s: float
    end_s: float
    state: State
    label: str = ""
    title: str


class Lane(msgspec.Struct, frozen=True):
    """A row."""

    name: str
    segments: list[Segment]


class LaneGroup(msgspec.Struct, frozen=True):
    """Rows under one heading; `explanation` says what the states look like."""

    heading: str
    explanation: str
    lanes: list[Lane]


class Span(msgspec.Struct, frozen=True):
    """The part of the run that is drawn."""

    start_s: float
    end_s: float


_HOLDER_SUFFIX = re.compile(r"_[0-9a-f-]+$")
"""What makes the identity of a holder unique: it differs from start to start and tells a reader nothing."""

_Change: TypeAlias = tuple[float, State, str, str]
"""When, and from then on: state, label, title."""


def span_of(run: Run) -> Span:
    """From the beginning of the run until the last thing that happened to the cluster or its clients."""
    ends = [op.completed_s or op.invoked_s for op in run.operations]
    ends += [event.at_s for event in run.events if not isinstance(event, PhaseEvent)]
    ends += [event.at_s for event in run.events if isinstance(event, PhaseEvent) and event.phase in {"check", "down"}]
    return Span(0.0, max(ends, default=run.result.duration_s) or 1.0)


def lane_groups(run: Run) -> list[LaneGroup]:
    """Every group that has something to show, in the order of a failover."""
    span = span_of(run)
    events = sorted(run.events, key=lambda event: event.at_s)
    groups = [
        LaneGroup("Run", "The phases of the run, and the faults while they are in force.", _run_lanes(run, span)),
        LaneGroup(
            "Availability",
            "Full height: all succeeded. Lower: some did. A thin line: none did. Blank: nobody asked.",
            _availability(run, span),
        ),
        LaneGroup(
            "Raft",
            "Full height: leader. Pale: follower. Amber: knows no leader. A thin line: not reachable.",
            _raft(events, span),
        ),
        LaneGroup(
            "Load balancer",
            "Full height: the backend gets connections. A thin line: it is ejected.",
            _backends(events, span),
        ),
        LaneGroup(
            "API servers",
            "Full height: /readyz answers 200. A thin line: it does not.",
            _ready(events, span),
        ),
        LaneGroup("Leases", "Who leads.", _leases(events, span)),
        LaneGroup("Nodes", "Full height: Ready. Lower: Unknown. A thin line: not ready.", _nodes(events, span)),
        LaneGroup("Pods", "How many Pods of each workload are ready.", _pods(events, span)),
    ]
    return [group for group in groups if group.lanes]


def _run_lanes(run: Run, span: Span) -> list[Lane]:
    phases: list[_Change] = [
        (event.at_s, "phase", event.phase, f"Phase {event.phase}")
        for event in run.events
        if isinstance(event, PhaseEvent) and event.at_s < span.end_s
    ]
    lanes = [Lane("phase", _segments(phases, span))] if phases else []
    return lanes + _fault_lanes(run.result.faults, span)


def _fault_lanes(faults: Sequence[FaultRecord], span: Span) -> list[Lane]:
    """One lane per fault and target; a second one for an occurrence that begins before the last is over."""
    lanes: list[Lane] = []
    for fault in sorted(faults, key=lambda fault: fault.injected_s):
        name = f"{fault.fault} {fault.target}"
        segment = _fault_segment(fault, span)
        free = [lane for lane in lanes if lane.name == name and lane.segments[-1].end_s <= segment.start_s]
        if free:
            free[0].segments.append(segment)
        else:
            lanes.append(Lane(name, [segment]))
    return lanes


def _fault_segment(fault: FaultRecord, span: Span) -> Segment:
    end_s = in_force_until_s(fault, span.end_s)
    title = f"{fault_title(fault)} from {seconds(fault.injected_s)} to {seconds(end_s)}"
    hit = ", ".join(fault.processes or fault.nodes)
    return Segment(start_s=fault.injected_s, end_s=end_s, state="fault", label=hit, title=title)


def _availability(run: Run, span: Span) -> list[Lane]:
    by_type: dict[str, list[Operation]] = {}
    for operation in run.operations:
        by_type.setdefault(operation.type, []).append(operation)
    order = [
        name for name in ("write", "cas", "create", "delete", "txn", "compact", "lease", "read") if name in by_type
    ]
    lanes = [Lane(name, _ribbon(by_type[name], span)) for name in order]
    for group, found in sorted(run.result.unavailability.items()):
        if found.windows:
            lanes.append(Lane(f"no {group} at all", [_window(group, window, span) for window in found.windows]))
    return lanes


def _ribbon(operations: Sequence[Operation], span: Span) -> list[Segment]:
    states: dict[series.State, tuple[State, str]] = {
        "ok": ("good", "every operation succeeded"),
        "part": ("part", "some operations succeeded"),
        "gap": ("bad", "no operation succeeded"),
    }
    ribbon = series.ribbon(operations, span.start_s, span.end_s)
    ends = [*ribbon.starts_s[1:], span.end_s]
    segments: list[Segment] = []
    begin = 0
    for i, state in enumerate(ribbon.states):
        if i + 1 < len(ends) and ribbon.states[i + 1] == state:
            continue
        if state != "idle":
            look, words = states[state]
            start_s, end_s = ribbon.starts_s[begin], ends[i]
            title = f"{seconds(start_s)} to {seconds(end_s)}: {words}"
            segments.append(Segment(start_s=start_s, end_s=end_s, state=look, title=title))
        begin = i + 1
    return segments


def _window(group: str, window: Window, span: Span) -> Segment:
    end_s = min(window.end_s, span.end_s)
    length = seconds(window.end_s - window.start_s)
    title = f"No {group} succeeded for {length}, from {seconds(window.start_s)} to {seconds(window.end_s)}"
    return Segment(start_s=window.start_s, end_s=end_s, state="fault", label=length, title=title)


def _raft(events: Sequence[Event], span: Span) -> list[Lane]:
    changes: dict[str, list[_Change]] = {}
    for event in events:
        if isinstance(event, MemberSample):
            changes.setdefault(event.member, []).append(_member_state(event))
    return _lanes(changes, span)


def _member_state(event: MemberSample) -> _Change:
    if not event.reachable:
        return event.at_s, "bad", "", f"{event.member} cannot be reached"
    term = f"term {event.term}"
    if event.leader == event.member:
        return event.at_s, "good", term, f"{event.member} leads in {term}"
    follows = f"follows {event.leader}" if event.leader else "knows no leader"
    return event.at_s, "calm" if event.leader else "part", term, f"{event.member} {follows} in {term}"


def _backends(events: Sequence[Event], span: Span) -> list[Lane]:
    changes: dict[str, list[_Change]] = {}
    for event in events:
        if isinstance(event, BackendChange):
            title = f"{event.backend} is {'up' if event.up else 'ejected'}: {event.reason}"
            label = "" if event.up else "ejected"
            changes.setdefault(event.backend, []).append((event.at_s, "good" if event.up else "bad", label, title))
    return _lanes(changes, span)


def _ready(events: Sequence[Event], span: Span) -> list[Lane]:
    changes: dict[str, list[_Change]] = {}
    for event in events:
        if isinstance(event, ReadyChange):
            title = f"The API server of {event.node} is {'ready' if event.ready else 'not ready'}"
            changes.setdefault(event.node, []).append((event.at_s, "good" if event.ready else "bad", "", title))
    return _lanes(changes, span)


def _leases(events: Sequence[Event], span: Span) -> list[Lane]:
    changes: dict[str, list[_Change]] = {}
    for event in events:
        if isinstance(event, LeaseChange):
            state: State = "held" if event.holder else "bad"
            title = f"{event.holder or 'Nobody'} holds {event.name}"
            label = _HOLDER_SUFFIX.sub("", event.holder)
            changes.setdefault(event.name, []).append((event.at_s, state, label, title))
    return _lanes(changes, span)


def _nodes(events: Sequence[Event], span: Span) -> list[Lane]:
    states: dict[str, State] = {"True": "good", "False": "bad", "Unknown": "part"}
    changes: dict[str, list[_Change]] = {}
    for event in events:
        if isinstance(event, NodeCondition):
            label = "" if event.ready == "True" else f"Ready={event.ready}"
            title = f"{event.node}: Ready is {event.ready}"
            changes.setdefault(event.node, []).append((event.at_s, states[event.ready], label, title))
    return _lanes(changes, span)


def _pods(events: Sequence[Event], span: Span) -> list[Lane]:
    """Ready Pods by owner, as steps; the most that were ready at once is full height. Static Pods, which their Node
    owns, are left out: they are the control plane, which has lanes of its own.
    """
    ready: dict[str, dict[str, bool]] = {}
    counts: dict[str, list[tuple[float, int]]] = {}
    for event in events:
        if isinstance(event, PodChange) and event.owner and not event.owner.startswith("Node/"):
            pods = ready.setdefault(event.owner, {})
            pods[event.uid] = event.ready and not event.deleted
            counts.setdefault(event.owner, []).append((event.at_s, sum(pods.values())))
    changes: dict[str, list[_Change]] = {}
    for owner, steps in counts.items():
        most = max(n for _, n in steps)
        changes[owner] = [(at, _level(n, most), str(n), f"{n} of {owner} ready") for at, n in steps]
    return _lanes(changes, span)


def _level(n: int, most: int) -> State:
    if n == most and n:
        return "good"
    return "part" if n else "bad"


def _lanes(changes: dict[str, list[_Change]], span: Span) -> list[Lane]:
    return [Lane(name, _segments(found, span)) for name, found in sorted(changes.items(), key=_natural)]


def _natural(item: tuple[str, list[_Change]]) -> list[tuple[str, int]]:
    """node-2 before node-10."""
    return [(words, int(digits or 0)) for words, digits in re.findall(r"(\D*)(\d*)", item[0])]


def _segments(changes: Iterable[_Change], span: Span) -> list[Segment]:
    """From each change to the next that differs, and the last until the end."""
    kept: list[_Change] = []
    for change in changes:
        if kept and kept[-1][1:] == change[1:]:
            continue
        kept.append(change)
    ends = [*(change[0] for change in kept[1:]), span.end_s]
    return [
        Segment(start_s=at, end_s=end, state=state, label=label, title=f"{title}, from {seconds(at)} to {seconds(end)}")
        for (at, state, label, title), end in zip(kept, ends, strict=True)
        if end > at
    ]
