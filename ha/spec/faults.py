"""What the faults of a schedule demand of their fields, and of whom they hit: one table, for the checks and for the
manual.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from ha.spec.model import Fault, FaultName, Role, Target, Topology

__all__ = [
    "FIELDS",
    "INSTANT",
    "OF_PROCESSES",
    "Fields",
    "disks",
    "enough",
    "fields",
    "foreign",
    "inside",
    "someone",
    "taken",
]


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
    disk: bool = False
    """Whether it hits what is on a disk, where only etcd members keep anything."""
    link: bool = False
    """Whether it hits what passes between two nodes."""


FIELDS: dict[FaultName, Fields] = {
    "kill": Fields(),
    "pause": Fields(),
    "restart": Fields(),
    "partition": Fields(optional=("from", "direction"), component=False, link=True),
    "ring-partition": Fields(component=False, link=True, least=4),
    "bridge-partition": Fields(component=False, link=True, least=3),
    "delay": Fields(required=("latency",), optional=("from", "jitter"), component=False, link=True),
    "bandwidth": Fields(required=("bytes_per_s",), optional=("from",), component=False, link=True),
    "refuse": Fields(optional=("from",), component=False, link=True),
    "reset": Fields(optional=("from",), component=False, link=True),
    "disk-full": Fields(disk=True),
    "disk-error": Fields(disk=True),
    "slow-disk": Fields(required=("latency",), disk=True),
    "bit-flip": Fields(disk=True),
    "wipe-disk": Fields(disk=True),
    "torn-write": Fields(disk=True),
    "clock-offset": Fields(required=("offset",), component=False),
    "clock-rate": Fields(required=("rate",), component=False),
}
INSTANT: tuple[FaultName, ...] = ("reset", "restart")
"""Faults with nothing to undo."""
OF_PROCESSES: tuple[FaultName, ...] = ("kill", "pause", "restart", "wipe-disk")
"""Faults that do not add up: undoing one undoes another of the same victims. They act on processes from outside, so
whatever runs there can be hit, a program of others as well, but for its disk (see `foreign`).
"""
_NEEDS_OURS: dict[FaultName, str] = {
    "bit-flip": "a bit-flip is aimed at what our own members keep",
    "wipe-disk": "after a wipe-disk only a member of ours comes back by itself",
}
_OF_ANYBODY = [name for name in OF_PROCESSES if not FIELDS[name].disk]


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
    """Shapes of partitions that need more nodes than a target has: in a ring of three everybody has everybody else for
    a neighbour, and a bridge needs a node on either side.
    """
    least = FIELDS[fault.fault].least
    found = taken(fault.target, selected)
    if selected and found < least:
        message = f"a {fault.fault} of {found} nodes of {shape.name!r} cuts nothing"
        report(f"{path}.target", message, allowed=f"a target of at least {least} nodes")


def taken(target: Target, selected: int) -> int:
    """How many nodes are hit of those that a target selects."""
    parts = {"one": min(1, selected), "minority": (selected - 1) // 2, "majority": selected // 2 + 1}
    return parts.get(target.take, selected)


def someone(fault: Fault, hit: Collection[str], others: Collection[str], path: str, report: Report) -> None:
    """A fault of links with nobody at the other end. `hit`: all nodes that it surely hits; `others`: all that may be
    at the other end.
    """
    if "from" in FIELDS[fault.fault].optional and set(others) <= set(hit):
        field, what = ("target", "the target is every node") if fault.source is None else ("from", "all are the target")
        report(f"{path}.{field}", f"{what}: nobody is left for the other end", allowed="nodes on either side")


def disks(fault: Fault, roles: Sequence[Role], shape: Topology, path: str, report: Report) -> None:
    """A fault of disks where nobody uses one. `roles`: of the nodes that the target selects."""
    if not FIELDS[fault.fault].disk:
        return
    without = sorted(set(roles) - {shape.etcd_role})
    if without:
        message = f"on {', '.join(without)} of {shape.name!r} nothing is kept on a disk"
        report(f"{path}.target", message, allowed="nodes with an etcd member: etcd, etcd-leader, etcd-followers")
    elif fault.target.component not in (None, "etcd"):
        message = f"{fault.target.component} keeps nothing on a disk"
        report(f"{path}.target.component", message, allowed="etcd")


def inside(fault: FaultName) -> str:
    """Why a program of others cannot have a fault that `foreign` refuses."""
    return _NEEDS_OURS.get(fault, f"a {fault} acts inside our own processes")


def foreign(
    fault: Fault, hit: Collection[str], ends: Collection[str], shape: Topology, path: str, report: Report
) -> None:
    """A fault that acts inside the processes of a node, where it is a program of others: of a link that it dials, a
    disk or a clock that is ours, it knows nothing. A link that a process of ours dials is held up by ours. And an etcd
    that finds its disk empty must be told by hand that it is a member. `hit`: all nodes that the target may be; `ends`:
    all that may be at the other end of its links.
    """
    if fault.fault in _OF_ANYBODY:
        return
    is_link, what = FIELDS[fault.fault].link, f"{inside(fault.fault)}, and"
    allowed = f"{', '.join(_OF_ANYBODY)}; other nodes; or engine:"
    if shape.etcd.engine == "etcd":
        members = shape.names(shape.etcd_role)
        if _meets(hit, ends, members, members) if is_link else _among(hit, members):
            named = ", ".join(_among(hit, members))
            report(f"{path}.target", f"{what} etcd on {named} is the real one", allowed=f"{allowed} pysyncobj")
    if shape.load_balancer.engine == "haproxy":
        fronts, backends = shape.names("load-balancer"), shape.names("control-plane")
        if _meets(hit, ends, fronts, backends) if is_link else _among(hit, fronts):
            report(f"{path}.target", f"{what} the load balancer is HAProxy", allowed=f"{allowed} embedded")


def _among(nodes: Collection[str], names: Sequence[str]) -> list[str]:
    return [name for name in names if name in nodes]


def _meets(hit: Collection[str], ends: Collection[str], some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a link between one of some nodes and one of others may be hit."""
    return any(
        len({*near, *far}) > 1
        for near, far in (
            (_among(hit, some), _among(ends, others)),
            (_among(hit, others), _among(ends, some)),
        )
        if near and far
    )
