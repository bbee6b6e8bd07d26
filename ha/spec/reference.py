"""The manual of the file format, generated from the structs: ``python -m ha.spec.reference > docs/spec.md``.

A test compares the committed page with what this generates, so it cannot fall behind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from ha.spec import durations
from ha.spec.benchmarks import MEASURES, Benchmark
from ha.spec.load import API_VERSION
from ha.spec.model import Experiment, ScenarioFile, Timings, Topology
from ha.spec.rules import LEADERS, ROLES
from ha.spec.timings import PRESETS
from ha.spec.types import fields_of, is_duration, phrase, strip, struct_or_name

__all__ = ["markdown"]

_TOPOLOGY = """\
name: stacked-3
nodes:
  - {role: control-plane, count: 3}
  - {role: worker, count: 2}
etcd: {topology: stacked}
timings: fast"""
_EXPERIMENT = """\
name: kill-etcd-leader
claim: Writes come back within five seconds.
topologies: [stacked-3, external-3]
duration: 14s
workloads:
  - {type: register, clients: 8, rate: 150}
faults:
  - {fault: kill, target: etcd-leader, at: 3s, for: 8s}
expect:
  unavailability: {write: {longest: {at_most: 5s}}}"""
_SCENARIO = """\
name: mine
topology: topologies/mine.yaml
experiment:
  name: freeze-the-leader
  claim: Nothing acknowledged is lost.
  duration: 10s
  workloads:
    - {type: register, clients: 8, rate: 150}
  faults:
    - {fault: pause, target: etcd-leader, at: 3s, for: 4s}
world: sim
seed: 7"""

_BENCHMARK = """\
name: mine
question: How much faster than life is a simulated cluster?
measure: simulation-speed
rounds: 3
cases:
  - {name: a store that idles, topology: etcd-3, timings: upstream, duration: 60s, at_least: 100}"""

_DOCUMENTS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "Topology": (Topology, _TOPOLOGY),
    "Experiment": (Experiment, _EXPERIMENT),
    "Scenario": (ScenarioFile, _SCENARIO),
    "Benchmark": (Benchmark, _BENCHMARK),
}


def markdown() -> str:
    """The whole page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# The files that you write"
    yield ""
    yield "<!-- Generated: python -m ha.spec.reference > docs/spec.md -->"
    yield ""
    yield f"Each file is one YAML document with `apiVersion: {API_VERSION}` and a `kind`. `ha validate FILE` checks it."
    yield f"Durations are written with their unit: {durations.EXAMPLES}. Anchors, aliases and tags are not allowed."
    described: set[type[msgspec.Struct]] = set()
    for kind, (cls, example) in _DOCUMENTS.items():
        yield from ["", f"## kind: {kind}", ""]
        yield from _struct(cls)
        yield from ["", "```yaml", f"apiVersion: {API_VERSION}", f"kind: {kind}", example, "```"]
        yield from _described(cls, described)
    for name, measure in MEASURES.items():
        yield from ["", f"### measure: {name}", ""]
        yield from _struct(measure, beside=Benchmark)
        yield from _described(measure, described)
    yield from _targets()
    yield from _presets()


def _described(cls: type[msgspec.Struct], described: set[type[msgspec.Struct]]) -> Iterator[str]:
    """The parts of a document that were not described before."""
    for part in _parts(cls):
        if part not in described:
            described.add(part)
            yield from ["", f"### {part.__name__}", ""]
            yield from _struct(part)


def _struct(cls: type[msgspec.Struct], *, beside: type[msgspec.Struct] | None = None) -> Iterator[str]:
    """What it is and its fields, without those that it has from `beside`."""
    yield " ".join((cls.__doc__ or "").split("\n\n")[0].replace("``", "`").split())
    if cls is Timings:
        yield "The fields stand under [presets of timings](#presets-of-timings)."
        return
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    yield from ["", "| field | value | default | meaning |", "|---|---|---|---|"]
    inherited = beside.__struct_fields__ if beside is not None else ()
    for field in (field for field in fields_of(info) if field.name not in inherited):
        cells = (f"`{field.encode_name}`", _value(field), _default(field), _description(field))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(field: inspect.Field) -> str:
    type_ = strip(field.type)
    if isinstance(type_, inspect.UnionType):
        struct, _ = struct_or_name(type_)
        return f"a name, a path, or the fields of [{struct.cls.__name__}](#kind-{struct.cls.__name__.lower()})"
    inner = strip(type_.item_type) if isinstance(type_, inspect.ListType) else type_
    if isinstance(inner, inspect.StructType):
        return f"[{inner.cls.__name__}](#{inner.cls.__name__.lower()})" + (", a list" if inner is not type_ else "")
    if isinstance(type_, inspect.DictType):
        value = strip(type_.value_type)
        assert isinstance(value, inspect.StructType)
        return f"[{value.cls.__name__}](#{value.cls.__name__.lower()}) by {phrase(type_.key_type)}"
    return phrase(field.type)


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    default = field.default
    if isinstance(default, bool | int | float | str) and default != "":
        text = durations.format_duration(float(default)) if is_duration(field.type) else str(default)
        return f"`{text}`"
    return ""


def _description(field: inspect.Field) -> str:
    assert isinstance(field.type, inspect.Metadata)
    return str((field.type.extra_json_schema or {}).get("description", ""))


def _parts(cls: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The structs inside a document, each once, in the order of their first use."""
    found: dict[type[msgspec.Struct], None] = {}
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    for field in fields_of(info):
        type_ = strip(field.type)
        if isinstance(type_, inspect.ListType):
            type_ = strip(type_.item_type)
        elif isinstance(type_, inspect.DictType):
            type_ = strip(type_.value_type)
        if isinstance(type_, inspect.StructType):
            found[type_.cls] = None
            found.update(dict.fromkeys(_parts(type_.cls)))
    return list(found)


def _targets() -> Iterator[str]:
    yield from ["", "## Targets", ""]
    yield "What `select` may be:"
    yield ""
    yield "- `all`: every node, the load balancer included"
    yield "- a role: " + ", ".join(f"`{role}`" for role in ROLES) + " (`etcd`: the hosts of the etcd members)"
    yield "- found out when the fault strikes: " + ", ".join(f"`{name}`" for name in LEADERS)
    yield "- a node's name: `control-plane-1`, `worker-2`, `etcd-3`, `load-balancer`"


def _presets() -> Iterator[str]:
    yield from ["", "## Presets of timings", ""]
    yield "`timings: fast`, `timings: upstream`, or a mapping: `{preset: fast, etcd_election: 200ms}`."
    yield from ["", "| field | " + " | ".join(PRESETS) + " | meaning |", "|---" * (len(PRESETS) + 2) + "|"]
    info = inspect.type_info(Timings)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        values = [durations.format_duration(getattr(timings, field.name)) for timings in PRESETS.values()]
        yield "| " + " | ".join([f"`{field.name}`", *values, _description(field)]) + " |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
