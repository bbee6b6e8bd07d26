"""From a scenario back to a file: one that a person reads, and that loads as the same scenario.

Written from the same description of the types as it is read by. What has its default is left out, what fits a line
stands in one, as in the catalogue. Topology and experiment are written out in place, so that the file needs no other.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

from ha.spec.durations import format_duration
from ha.spec.load import API_VERSION
from ha.spec.model import Scenario, Target, Timings, TimingsName, Topology
from ha.spec.source import plain_value
from ha.spec.timings import PRESETS
from ha.spec.types import fields_of, is_duration, strip

__all__ = ["dump"]

_WIDTH = 110
_WHOLE = ("topology", "experiment", "nodes", "workloads", "faults")
"""Fields that never stand in one line."""
_PLAIN = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_./()' ]*[-A-Za-z0-9_./()'])?")
_FOLDABLE = re.compile(r"[!-~]+(?: [!-~]+)*")
_Tree: TypeAlias = "str | list[_Tree] | dict[str, _Tree]"
"""Scalars as they are written."""


def dump(scenario: Scenario, *, comment: str = "") -> str:
    """A Scenario file that `ha.spec.load.load` reads as an equal scenario. `comment` goes on top, line by line."""
    fields: dict[str, _Tree] = {"apiVersion": API_VERSION, "kind": "Scenario", "name": _text(scenario.name)}
    fields |= {
        name: _text(value) if isinstance(value, str) else str(value)
        for name, value in (("world", scenario.world), ("seed", scenario.seed), ("mutant", scenario.mutant))
        if value is not None
    }
    fields["topology"] = _topology(scenario.topology)
    experiment = _struct(scenario.experiment)
    if scenario.experiment.topologies == [scenario.topology.name]:
        del experiment["topologies"]
    fields["experiment"] = experiment
    above = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*above, *_block(fields, "")]) + "\n"


# ---- values to words


def _topology(shape: Topology) -> dict[str, _Tree]:
    fields = _struct(shape)
    fields.pop("timings", None)
    if shape.timings_name != "upstream":
        fields["timings"] = _timings(shape.timings, shape.timings_name)
    return fields


def _timings(timings: Timings, name: TimingsName) -> _Tree:
    """A preset, or the nearest one and what differs."""
    if name != "explicit":
        return name
    values = msgspec.structs.asdict(timings)
    differing = {
        preset: {field: format_duration(value) for field, value in values.items() if value != getattr(known, field)}
        for preset, known in PRESETS.items()
    }
    preset = min(differing, key=lambda preset: len(differing[preset]))
    first = next(iter(values))
    return {"preset": preset, **(differing[preset] or {first: format_duration(values[first])})}


def _struct(value: msgspec.Struct) -> dict[str, _Tree]:
    """The fields that are not as by default."""
    info = inspect.type_info(type(value))
    assert isinstance(info, inspect.StructType)
    fields = [(field, getattr(value, field.name)) for field in fields_of(info)]
    return {field.encode_name: _value(v, field.type) for field, v in fields if field.required or v != field.default}


def _value(value: Any, type_: inspect.Type) -> _Tree:  # noqa: ANN401  (whatever a field may hold)
    plain = strip(type_)
    if isinstance(value, Target) and value == Target(select=value.select):
        return _text(value.select)
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if isinstance(plain, inspect.ListType):
        return [_value(item, plain.item_type) for item in value]
    if isinstance(plain, inspect.DictType):
        return {key: _value(item, plain.value_type) for key, item in value.items()}
    return format_duration(value) if is_duration(type_) else _scalar(value)


def _scalar(value: str | float) -> str:
    if isinstance(value, str):
        return _text(value)
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e15 else repr(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and plain_value(text) == text:
        return text
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return letter if letter == " " or letter.isprintable() else f"\\U{ord(letter):08x}"


# ---- words to lines


def _flow(tree: _Tree) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {_flow(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_flow, tree)) + "]"
    return tree


def _block(fields: dict[str, _Tree], indent: str) -> Iterator[str]:
    for key, value in fields.items():
        line = f"{indent}{key}: {_flow(value)}"
        if isinstance(value, str):
            yield from [line] if len(line) <= _WIDTH else _folded(f"{indent}{key}: ", value, indent + "  ")
        elif not value or (key not in _WHOLE and len(line) <= _WIDTH):
            yield line
        elif isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _block(value, indent + "  ")
        else:
            yield f"{indent}{key}:"
            yield from _items(value, indent + "  ")


def _items(items: list[_Tree], indent: str) -> Iterator[str]:
    for item in items:
        line = f"{indent}- {_flow(item)}"
        if len(line) <= _WIDTH or not isinstance(item, dict):
            yield line
        else:
            first, *rest = _block(item, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest


def _folded(before: str, written: str, indent: str) -> list[str]:
    """A long text over several lines, which are read as one."""
    text = written.strip('"')
    if not _FOLDABLE.fullmatch(text) or "\\" in text:
        return [before + written]
    lines = textwrap.wrap(text, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return [before + ">-", *(indent + line for line in lines)]
