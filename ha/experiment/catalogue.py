"""The catalogue as a page, generated from its files: ``python -m ha.experiment.catalogue > docs/catalogue.md``.

Whatever stands in ``topologies``, ``chaos`` and ``benchmarks`` is on it. A test compares the committed page with what
this generates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from ha.chaos.injector import describe
from ha.experiment.worlds import FAULTS
from ha.spec import Benchmark, Bound, Engine, Expect, Experiment, Fault, Role, Topology, Workload, rules
from ha.spec.durations import format_duration
from ha.spec.faults import FIELDS, inside
from ha.spec.load import catalogue, load
from ha.spec.types import fields_of, is_duration

__all__ = ["markdown"]

S = TypeVar("S", Topology, Experiment, Benchmark)

_PREFACE = """\
Cluster shapes, failures and questions that come with `ha`. Each is a short YAML file that runs as it is, by its name,
and that can be copied and changed; every field is described in [spec.md](spec.md), every fault in
[faults.md](faults.md).

    ha run kill-etcd-leader                          # an experiment, on the first topology that it names
    ha run external-3 --chaos kill-etcd-leader       # on another one
    ha run external-3 --chaos kill-etcd-leader --world sim --seed 7
    ha run external-3 --chaos kill-etcd-leader --engine etcd
    ha bench store-throughput"""

_EXPERIMENTS = """\
A claim, and what puts it to the test. Times of faults count from the moment that clients are at work. Beside the bounds
that stand here every run must keep what [every run claims](../README.md#what-the-verdict-means): linearizable, nothing
acknowledged lost, everything ready again in the end. Experiments run in the real world and in the simulated one, unless
their entry says otherwise."""

_FAMILIES: Mapping[str, str] = {
    "processes": "Nodes and processes",
    "links": "Networks",
    "disks": "Disks",
    "clocks": "Clocks",
    "engine": "What is known to be broken",
}

_NODES: Mapping[Role, str] = {
    "control-plane": "control plane",
    "worker": "worker",
    "etcd": "etcd host",
    "load-balancer": "load balancer",
}
_KEYED = ("register", "store", "lock")


def markdown() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield from ["# The catalogue", "", "<!-- Generated: python -m ha.experiment.catalogue > docs/catalogue.md -->", ""]
    yield from [_PREFACE, "", "- [Topologies](#topologies)", "- [Experiments](#experiments)"]
    yield from ["- [Benchmarks](#benchmarks)", "", "## Topologies", "", *_topologies(list(_all(Topology)))]
    yield from ["", "## Experiments", "", _EXPERIMENTS, ""]
    experiments = list(_all(Experiment))
    families = {title: [s for s in experiments if _family(s) == family] for family, title in _FAMILIES.items()}
    for title, members in families.items():
        yield f"- {title}: {', '.join(_link(spec.name) for spec in members)}"
    for title, members in families.items():
        yield from ["", f"### {title}"]
        for spec in members:
            yield from ["", f"#### {spec.name}", "", *_experiment(spec)]
    yield from ["", "## Benchmarks", "", "A question that figures answer; a missed target is exit code 1."]
    for benchmark in _all(Benchmark):
        yield from ["", f"### {benchmark.name}", "", *_benchmark(benchmark)]


def _all(kind: type[S]) -> Iterator[S]:
    for path in catalogue().values():
        spec = load(path)
        if isinstance(spec, kind):
            yield spec


def _file(spec: Topology | Experiment | Benchmark) -> str:
    path = catalogue()[spec.name]
    return f"[{path.parent.name}/{path.name}](../{path.parent.name}/{path.name})"


# ---- topologies


def _topologies(shapes: Sequence[Topology]) -> Iterator[str]:
    yield from ["| | stacked etcd | external etcd |", "|---|---|---|"]
    for pattern in dict.fromkeys(map(_pattern, sorted(shapes, key=_size))):
        cells = [
            ", ".join(
                _link(s.name) for s in sorted(shapes, key=_size) if (_pattern(s), s.etcd.topology) == (pattern, t)
            )
            for t in ("stacked", "external")
        ]
        yield f"| {pattern} | {' | '.join(cell or '—' for cell in cells)} |"
    for shape in sorted(shapes, key=_size):
        members = shape.count(shape.etcd_role)
        counts = {role: shape.count(role) for role in rules.ROLES}
        nodes = ", ".join(_plural(count, _NODES[role]) for role, count in counts.items() if count)
        spare, engine = (members - 1) // 2, shape.etcd.engine
        yield from ["", f"### {shape.name}", "", shape.description.strip(), ""]
        yield f"- nodes: {nodes}"
        yield f"- etcd: {_plural(members, 'member')}, of which {spare or 'none'} may be lost; engine {engine}"
        yield f"- timings: {shape.timings_name}"
        yield f"- file: {_file(shape)}"


def _pattern(shape: Topology) -> str:
    servers = shape.count("control-plane")
    if servers == 0:
        return "the store alone"
    if servers > 1:
        return "several control planes, workers"
    return "one control plane, workers" if shape.count("worker") else "a single node"


def _size(shape: Topology) -> tuple[bool, int, int, int, str]:
    return (
        shape.store_alone,
        shape.count("control-plane") + shape.count("worker"),
        shape.count(shape.etcd_role),
        shape.count("etcd"),
        shape.name,
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("s" if count > 1 else "")


def _link(name: str) -> str:
    return f"[{name}](#{name})"


# ---- experiments


def _family(spec: Experiment) -> str:
    if spec.expect.conviction is not None:
        return "engine"
    kinds = [FIELDS[fault.fault] for fault in spec.faults]
    if any(kind.link for kind in kinds):
        return "links"
    if any(kind.disk for kind in kinds):
        return "disks"
    return "clocks" if any(fault.fault.startswith("clock") for fault in spec.faults) else "processes"


def _experiment(spec: Experiment) -> Iterator[str]:
    yield from [spec.claim.strip(), ""]
    yield f"- topologies: {', '.join(map(_link, spec.topologies))}"
    yield f"- clients, for {format_duration(spec.duration_s)}: {'; '.join(map(_workload, spec.workloads))}"
    yield f"- faults: {'; '.join(map(_fault, spec.faults)) or 'none'}"
    yield f"- bounds: {'; '.join(_bounds(spec.expect)) or 'none of its own'}"
    for world, able in FAULTS.items():
        missing = sorted({fault.fault for fault in spec.faults} - able)
        if missing:
            yield f"- not in the {world} world, which has no {' or '.join(missing)}"
    yield f"- on the real etcd: {_on_the_real_etcd(spec)}"
    yield f"- file: {_file(spec)}"


def _workload(spec: Workload) -> str:
    if spec.type == "deployment":
        scaled = f", scaled {spec.rate_per_s:g} times a second" if spec.rate_per_s else ""
        return f"deployment of {_plural(spec.replicas, 'Pod')}{scaled}"
    rate = f", {spec.rate_per_s:g}/s" if spec.rate_per_s else ""
    keys = f", {spec.keys} {'locks' if spec.type == 'lock' else 'keys'}" if spec.type in _KEYED else ""
    size = f", {spec.value_bytes} bytes each" if spec.type == "put" else ""
    return f"{spec.clients} {'watchers' if spec.type == 'watch' else spec.type}{rate}{keys}{size}"


def _fault(fault: Fault) -> str:
    when = f"at {format_duration(fault.at_s)}"
    when += f" for {format_duration(fault.for_s)}" if fault.for_s is not None else ""
    when += f", every {format_duration(fault.every_s)}" if fault.every_s is not None else ""
    return f"[{fault.fault}](faults.md) {describe(fault)} {when}"


def _bounds(expect: Expect) -> Iterator[str]:
    for group, bounds in expect.unavailability.items():
        for what, bound in (("longest", bounds.longest), ("total", bounds.total)):
            if bound is not None:
                yield f"{what} outage of {group}s {_limits(bound)}"
    for phase, bound in expect.recovery.items():
        yield f"{phase.replace('_', ' ')} {_limits(bound)}"
    if expect.conviction is not None:
        engine, by = expect.conviction.engine, expect.conviction.by
        yield f"{by} convicts {engine}; on another engine (`--engine`) everything must hold"


def _limits(bound: Bound) -> str:
    limits = (("at least", bound.at_least_s), ("at most", bound.at_most_s))
    return " and ".join(f"{word} {format_duration(value)}" for word, value in limits if value is not None)


def _on_the_real_etcd(spec: Experiment) -> str:
    """On which topologies, or why not."""
    reasons = {name: _refusals(spec, name, "etcd") for name in spec.topologies}
    able = [name for name, found in reasons.items() if not found]
    if len(able) == len(reasons):
        return "yes"
    why = "; ".join(dict.fromkeys(reason for found in reasons.values() for reason in found))
    return f"on {', '.join(able)} only, since {why}" if able else f"no, since {why}"


def _refusals(spec: Experiment, topology: str, engine: Engine) -> Sequence[str]:
    """Why an engine cannot have it on a topology."""
    shape = load(catalogue()[topology])
    assert isinstance(shape, Topology)
    shape = msgspec.structs.replace(shape, etcd=msgspec.structs.replace(shape.etcd, engine=engine))
    found: list[str] = []

    def of_topology(field: str, message: str, *, allowed: str = "", near: str = "") -> None:  # noqa: ARG001
        found.append(f"{field}: {message}")

    def of_both(field: str, message: str, *, allowed: str = "", near: str = "") -> None:  # noqa: ARG001
        faults = [f for i, f in enumerate(spec.faults) if field.startswith(f"faults[{i}].")]
        found.extend([inside(fault.fault) for fault in faults] or [f"{field}: {message}"])

    rules.topology(shape, of_topology)
    rules.combination(shape, spec, of_both)
    return found


# ---- benchmarks


def _benchmark(spec: Benchmark) -> Iterator[str]:
    about = " ".join((type(spec).__doc__ or "").split("\n\n")[0].split())
    yield from [spec.question.strip(), "", f"- measure: [{spec.measure}](spec.md#measure-{spec.measure}). {about}"]
    tables = []
    for name, value, show in _fields(spec):
        if name in ("name", "question", "measure"):
            continue
        if isinstance(value, list) and value and isinstance(value[0], msgspec.Struct):
            tables.append(value)
        elif value not in (None, [], ""):
            yield f"- {name.replace('_', ' ')}: {show(value)}"
    yield f"- file: {_file(spec)}"
    for rows in tables:
        yield from ["", *_table(rows)]


def _table(rows: Sequence[msgspec.Struct]) -> Iterator[str]:
    """A column for each field that some row sets."""
    cells = [{name: show(value) for name, value, show in _fields(row) if value not in (None, [])} for row in rows]
    columns = [name for name, _, _ in _fields(rows[0]) if any(name in row for row in cells)]
    yield "| " + " | ".join(column.replace("_", " ") for column in columns) + " |"
    yield "|---" * len(columns) + "|"
    yield from ("| " + " | ".join(row.get(column, "") for column in columns) + " |" for row in cells)


def _fields(spec: msgspec.Struct) -> Iterator[tuple[str, Any, Callable[[Any], str]]]:
    """Name in files, value, and how the value is shown."""
    info = inspect.type_info(type(spec))
    assert isinstance(info, inspect.StructType)
    for field in fields_of(info):
        yield field.encode_name, getattr(spec, field.name), format_duration if is_duration(field.type) else _shown


def _shown(value: Any) -> str:  # noqa: ANN401  (whatever a field may hold)
    if isinstance(value, list):
        return "; ".join(_workload(item) if isinstance(item, Workload) else str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(markdown())
