"""What the faults of a schedule demand of their fields: one table, for the checks and for the manual."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ha.spec.model import Fault, FaultName, Target, Topology

__all__ = ["FIELDS", "INSTANT", "OF_PROCESSES", "Fields", "enough", "fields"]


class Report(Protocol):
    """Records a problem of a field."""

    def __call__(self, field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        """Record it."""
        ...


class Fields(NamedTuple):
    """The fields of a kind of fault beside fault, target, at, for and every, as they stand in files."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    component: bool = True
    """Whether it can hit one process of a node."""
    least: int = 1
    """How many nodes the target must have."""


FIELDS: dict[FaultName, Fields] = {
    "kill": Fields(),
    "pause": Fields(),
    "restart": Fields(),
    "partition": Fields(optional=("from", "direction"), component=False),
    "ring-partition": Fields(component=False, least=4),
    "bridge-partition": Fields(component=False, least=3),
    "delay": Fields(required=("latency",), optional=("from", "jitter"), component=False),
    "bandwidth": Fields(required=("bytes_per_s",), optional=("from",), component=False),
    "refuse": Fields(optional=("from",), component=False),
    "reset": Fields(optional=("from",), component=False),
    "disk-full": Fields(),
    "disk-error": Fields(),
    "slow-disk": Fields(required=("latency",)),
    "bit-flip": Fields(),
    "clock-offset": Fields(required=("offset",), component=False),
    "clock-rate": Fields(required=("rate",), component=False),
}
INSTANT: tuple[FaultName, ...] = ("reset", "restart")
"""Faults with nothing to undo."""
OF_PROCESSES: tuple[FaultName, ...] = ("kill", "pause", "restart")
"""Faults that do not add up: undoing one undoes another of the same victims."""


def fields(fault: Fault, path: str, report: Report) -> None:
    """Fields that this fault needs or does not have."""
    kind = FIELDS[fault.fault]
    given = {
        "from": fault.source,
        "direction": fault.direction,
        "latency": fault.latency_s,
        "jitter": fault.jitter_s,
        "bytes_per_s": fault.bytes_per_s,
        "offset": fault.offset_s,
        "rate": fault.rate,
    }
    own = (*kind.required, *kind.optional)
    for name, value in given.items():
        if value is None and name in kind.required:
            report(f"{path}.{name}", f"is missing: a {fault.fault} needs it")
        elif value is not None and name not in own:
            allowed = ", ".join(("target", "at", "for", "every", *own))
            report(f"{path}.{name}", f"a {fault.fault} has no {name}", allowed=allowed)
    if fault.target.component is not None and not kind.component:
        report(f"{path}.target.component", f"a {fault.fault} hits nodes, not a process of them", allowed="no component")
    if fault.source is not None:
        _source(fault.source, fault.target, f"{path}.from", report)


def _source(source: Target, target: Target, path: str, report: Report) -> None:
    if source.component is not None:
        report(f"{path}.component", "links end at nodes, not at a process of them", allowed="no component")
    if source.select == target.select and target.take == "all":
        message = "the target and the other end of its links are the same"
        report(path, message, allowed="nodes that are not of the target")


def enough(fault: Fault, selected: int, shape: Topology, path: str, report: Report) -> None:
    """Shapes of partitions that need more nodes than a target has."""
    least = FIELDS[fault.fault].least
    taken = {"one": min(1, selected), "minority": (selected - 1) // 2, "majority": selected // 2 + 1}
    found = taken.get(fault.target.take, selected)
    if selected and found < least:
        message = f"a {fault.fault} of {found} nodes of {shape.name!r} is none"
        report(f"{path}.target", message, allowed=f"a target of at least {least} nodes")
