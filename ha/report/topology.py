"""A picture of the cluster: which component runs on which node, who talks to whom, and who was hit.

Drawn twice, for wide and for narrow pages, because scaling one drawing down makes its text unreadable; the
style sheet shows the one that fits. Nodes stand in boxes of their role, so that two arrows between boxes
say what nine between nodes would: stacked, each API server uses the member on its own node; external,
every API server uses every member.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ha.history import MemberSample
from ha.history.result import NodeRecord, Run
from ha.report.markup import Markup, el, fragment
from ha.report.words import load_balancer, plural

__all__ = ["picture"]

_HEAD, _CHIP = 46.0, 23.0
_TITLE, _ARROW, _BOX, _LINE = 34.0, 34.0, 44.0, 15.0
_COUNTED = {"control-plane": "control-plane node", "etcd": "etcd host", "load-balancer": "load balancer"}
_ROLE_TITLES = {"control-plane": "Control plane", "etcd": "etcd hosts", "worker": "Workers"}


class _Mark(msgspec.Struct, frozen=True):
    """What the picture says of a node beside its components."""

    faults: list[str]
    hit: frozenset[str]
    """Components that were hit alone; empty when the whole node was."""
    leads: bool


class _Drawing:
    """Shapes from top to bottom within a width; `y` is where the next one goes."""

    def __init__(self, width: float, columns: int) -> None:
        self.width = width
        self.columns = columns
        self.pad = 10.0 if columns > 2 else 5.0
        self.gap = 14.0 if columns > 2 else 9.0
        self.y = 2.0
        self.shapes: list[Markup] = []

    def add(self, *shapes: Markup) -> None:
        self.shapes.extend(shapes)


def picture(run: Run) -> Markup:
    """A figure with both drawings."""
    summary = _summary(run)
    wide, narrow = (_draw(run, _Drawing(*size), summary) for size in ((960.0, 5), (360.0, 2)))
    return el(
        "figure",
        el("div", wide, class_="only-wide"),
        el("div", narrow, class_="only-narrow"),
        el("figcaption", summary),
        class_="topology",
    )


def _summary(run: Run) -> str:
    counts: dict[str, int] = {}
    for node in run.result.nodes:
        counts[node.role] = counts.get(node.role, 0) + 1
    parts = ", ".join(plural(n, _COUNTED.get(role, role)) for role, n in counts.items())
    if "load-balancer" in counts:
        parts += f" ({load_balancer(run.result)})"
    if "control-plane" not in counts:
        store = "the store alone: clients ask its members"
    elif _external(run):
        store = "external etcd: every API server uses every member"
    elif counts.get("control-plane", 0) > 1:
        store = "stacked etcd: each API server uses the member on its own node"
    else:
        store = "one etcd member"
    hit = sorted({node for fault in run.result.faults for node in fault.nodes})
    return f"{parts}; {store}." + (f" Hit by faults: {', '.join(hit)}." if hit else "")


def _external(run: Run) -> bool:
    return any(node.role == "etcd" for node in run.result.nodes)


def _draw(run: Run, drawing: _Drawing, summary: str) -> Markup:
    by_role: dict[str, list[NodeRecord]] = {}
    for node in run.result.nodes:
        by_role.setdefault(node.role, []).append(node)
    marks = _marks(run)
    balancer = next(iter(by_role.get("load-balancer", [])), None)
    front = _front(drawing, balancer, load_balancer(run.result), marks)
    if "control-plane" in by_role:
        _arrow(drawing, "")
        _group(drawing, "control-plane", by_role["control-plane"], marks)
    if "etcd" in by_role:
        _arrow(drawing, "every API server → every member" if "control-plane" in by_role else "")
        _group(drawing, "etcd", by_role["etcd"], marks)
    if "worker" in by_role:
        drawing.y += drawing.gap
        top = drawing.y
        _group(drawing, "worker", by_role["worker"], marks)
        _rail(drawing, front, top + _TITLE)
    height = drawing.y + 4
    return el(
        "svg",
        el("title", summary),
        *drawing.shapes,
        attrs={"viewBox": f"0 0 {drawing.width:.0f} {height:.0f}"},
        role="img",
    )


def _front(drawing: _Drawing, balancer: NodeRecord | None, program: str, marks: dict[str, _Mark]) -> float:
    """Clients and the load balancer, which is this program; returns the middle height of what the kubelets talk to."""
    height = _BOX if balancer is None else _BOX + _LINE
    middle = drawing.y + height / 2
    if balancer is None:
        width = 120.0
        x = (drawing.width - 16 - width) / 2
        drawing.add(_box(x, drawing.y, width, height, "clients", class_="t-clients"))
    else:
        width = 150.0 if drawing.columns > 2 else 126.0
        x = (drawing.width - 16 - width) / 2
        hit = bool(balancer.name in marks and marks[balancer.name].faults)
        drawing.add(
            _box(x - 98, middle - _BOX / 2, 72, _BOX, "clients", class_="t-clients"),
            _line(x - 26, middle, x - 2, middle, arrow=True),
            _box(
                x,
                drawing.y,
                width,
                height,
                "load balancer",
                program,
                balancer.address,
                class_="t-balancer" + (" hit" if hit else ""),
            ),
        )
    drawing.y += height
    return middle


def _box(x: float, y: float, width: float, height: float, title: str, *lines: str, class_: str) -> Markup:
    middle = x + width / 2
    first = y + (height - _LINE * len(lines)) / 2 + 5
    return el(
        "g",
        el("rect", x=x, y=y, width=width, height=height, rx=8, class_="t-box"),
        _text(middle, first, title, "t-name t-mid"),
        *(_text(middle, first + _LINE * i, line, "t-small t-mid") for i, line in enumerate(lines, start=1)),
        class_=class_,
    )


def _group(drawing: _Drawing, role: str, nodes: list[NodeRecord], marks: dict[str, _Mark]) -> None:
    """A box with the nodes of one role."""
    right = 18.0
    inner = drawing.width - right - 2 * drawing.pad - 2
    columns = max(1, min(len(nodes), drawing.columns))
    width = min(232.0, (inner - (columns - 1) * drawing.gap) / columns)
    left = 1 + drawing.pad + (inner - columns * width - (columns - 1) * drawing.gap) / 2
    y = drawing.y + _TITLE
    shapes: list[Markup] = []
    for start in range(0, len(nodes), columns):
        row = nodes[start : start + columns]
        tallest = max(len(node.components) for node in row)
        height = _HEAD + tallest * _CHIP + 8
        for i, node in enumerate(row):
            shapes.append(_node(node, left + i * (width + drawing.gap), y, width, height, marks[node.name]))
        y += height + drawing.gap
    y += drawing.pad - drawing.gap
    frame = el(
        "rect", x=1, y=drawing.y, width=drawing.width - right, height=y - drawing.y, rx=12, class_=f"t-group t-{role}"
    )
    drawing.add(frame, _text(1 + drawing.pad + 4, drawing.y + 22, _ROLE_TITLES.get(role, role), "t-title"), *shapes)
    drawing.y = y


def _node(node: NodeRecord, x: float, y: float, width: float, height: float, mark: _Mark) -> Markup:
    hit = bool(mark.faults) and not mark.hit
    components = sorted(node.components, key=lambda name: (name != "etcd", name != "kube-apiserver", name))
    chips = [
        _chip(name, x + 8, y + _HEAD + i * _CHIP, width - 16, leads=mark.leads, hit=name in mark.hit)
        for i, name in enumerate(components)
    ]
    badge = _badge(mark.faults, x + width, y, room=width - 16) if mark.faults else None
    return el(
        "g",
        el("rect", x=x, y=y, width=width, height=height, rx=8, class_="t-node" + (" hit" if hit else "")),
        _text(x + 12, y + 19, node.name, "t-name"),
        _text(x + 12, y + 35, node.address, "t-small"),
        *chips,
        badge,
    )


def _chip(name: str, x: float, y: float, width: float, *, leads: bool, hit: bool) -> Markup:
    kind = name if name in {"etcd", "kube-apiserver"} else "other"
    label = f"{name} ★ leader" if name == "etcd" and leads else name
    return el(
        "g",
        el("rect", x=x, y=y, width=width, height=_CHIP - 4, rx=4, class_="t-chip" + (" hit" if hit else "")),
        _text(x + 8, y + 13.5, label, "t-chip-name"),
        class_=f"c-{kind}",
    )


def _badge(faults: list[str], right: float, y: float, *, room: float) -> Markup:
    """What hit it, or how much where that is too long."""
    names = [", ".join(faults), f"{len(faults)} kinds of faults", f"{len(faults)} kinds"]
    widths = [7.0 * (len(name) + 2) + 12 for name in names]
    label, width = next((pair for pair in zip(names, widths, strict=True) if pair[1] <= room), (names[-1], widths[-1]))
    label = f"✗ {label}"
    x = right - width - 8
    return el(
        "g",
        el("rect", x=x, y=y - 11, width=width, height=19, rx=9.5, class_="t-badge"),
        _text(x + width / 2, y + 2.5, label, "t-badge-name t-mid"),
    )


def _arrow(drawing: _Drawing, label: str) -> None:
    """From what was drawn last down to what comes next."""
    middle = (drawing.width - 16) / 2
    drawing.add(_line(middle, drawing.y, middle, drawing.y + _ARROW - 2, arrow=True))
    if label:
        drawing.add(_text(middle + 10, drawing.y + _ARROW / 2 + 4, label, "t-small"))
    drawing.y += _ARROW


def _rail(drawing: _Drawing, top: float, bottom: float) -> None:
    """From the workers, along the right edge, to what the kubelets talk to."""
    x = drawing.width - 6
    start = drawing.width - 17
    end = drawing.width / 2 + (69 if drawing.columns > 2 else 57)
    path = f"M{start} {bottom} H{x - 6} Q{x} {bottom} {x} {bottom - 6} V{top + 6} Q{x} {top} {x - 6} {top} H{end}"
    tip = f"{end + 6},{top - 3.5} {end},{top} {end + 6},{top + 3.5}"
    drawing.add(
        el("path", d=path, class_="t-line"),
        el("polyline", points=tip, class_="t-line"),
        _text(x - 8, top - 7, "kubelets", "t-small t-end"),
    )


def _line(x1: float, y1: float, x2: float, y2: float, *, arrow: bool) -> Markup:
    line = el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="t-line")
    if not arrow:
        return line
    down = x1 == x2
    tip = (
        f"{x2 - 3.5},{y2 - 6} {x2},{y2} {x2 + 3.5},{y2 - 6}"
        if down
        else f"{x2 - 6},{y2 - 3.5} {x2},{y2} {x2 - 6},{y2 + 3.5}"
    )
    return fragment(line, el("polyline", points=tip, class_="t-line"))


def _text(x: float, y: float, text: str, class_: str) -> Markup:
    return el("text", text, x=x, y=y, class_=class_)


def _marks(run: Run) -> dict[str, _Mark]:
    leader = _leader_before_faults(run)
    return {
        node.name: _Mark(
            faults=_unique(fault.fault for fault in run.result.faults if node.name in fault.nodes),
            hit=frozenset(
                process.rpartition("/")[2]
                for fault in run.result.faults
                for process in fault.processes
                if node.name in fault.nodes and process.startswith(f"{node.name}/")
            ),
            leads=node.name == leader,
        )
        for node in run.result.nodes
    }


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _leader_before_faults(run: Run) -> str | None:
    """The node of the member that led when the first fault struck."""
    first_s = min((fault.injected_s for fault in run.result.faults), default=run.result.duration_s)
    leader: str | None = None
    for event in run.events:
        if isinstance(event, MemberSample) and event.at_s <= first_s and event.leader == event.member:
            leader = event.node
    return leader
