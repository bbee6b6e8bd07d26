"""The file format as JSON Schema (2020-12), for editors: made from the same structs as the checks and the manual.

A file that the schema refuses is refused by `ha.spec.load`, too. What stands between fields (a target that the topology
does not have, a fault after the end of the load) no schema can say: ``ha validate`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

from ha.spec.benchmarks import MEASURES
from ha.spec.durations import PATTERN
from ha.spec.load import API_VERSION
from ha.spec.model import Experiment, ScenarioFile, Target, Timings, Topology
from ha.spec.timings import PRESETS
from ha.spec.types import fields_of, is_duration, strip, struct_or_name

__all__ = ["KINDS", "schema"]

_Schema: TypeAlias = dict[str, Any]

KINDS: Mapping[str, list[type[msgspec.Struct]]] = {
    "Topology": [Topology],
    "Experiment": [Experiment],
    "Scenario": [ScenarioFile],
    "Benchmark": list(MEASURES.values()),
}
"""What a file of each kind may be."""


def schema(kind: str | None = None) -> _Schema:
    """Of the files of one kind, or of all. Raises KeyError."""
    kinds = [kind] if kind is not None else list(KINDS)
    definitions: dict[str, _Schema] = {}
    documents = [_document(name, cls, definitions) for name in kinds for cls in KINDS[name]]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{kind or 'Files'} of {API_VERSION}",
        **(documents[0] if len(documents) == 1 else {"oneOf": documents}),
        "$defs": dict(sorted(definitions.items())),
    }


def _document(kind: str, cls: type[msgspec.Struct], definitions: dict[str, _Schema]) -> _Schema:
    found = _struct(inspect.type_info(cls), definitions)
    header = {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}}
    properties = {**header, **found["properties"]}
    for name, measure in MEASURES.items():
        if measure is cls:
            properties["measure"] = {"const": name}
    return {**found, "properties": properties, "required": [*header, *found["required"]]}


def _struct(info: inspect.Type, definitions: dict[str, _Schema]) -> _Schema:
    assert isinstance(info, inspect.StructType)
    fields = fields_of(info)
    return {
        "type": "object",
        "description": " ".join((info.cls.__doc__ or "").split("\n\n")[0].replace("``", "`").split()),
        "properties": {field.encode_name: _field(field, definitions) for field in fields},
        "required": [field.encode_name for field in fields if field.required],
        "additionalProperties": False,
    }


def _field(field: inspect.Field, definitions: dict[str, _Schema]) -> _Schema:
    extra = field.type.extra_json_schema or {} if isinstance(field.type, inspect.Metadata) else {}
    return {**_type(field.type, definitions), **extra}


def _type(declared: inspect.Type, definitions: dict[str, _Schema]) -> _Schema:
    plain = strip(declared)
    if is_duration(declared):
        return {"type": "string", "pattern": f"^{PATTERN}$"}
    if isinstance(plain, inspect.IntType | inspect.FloatType):
        limits = {"minimum": plain.ge, "exclusiveMinimum": plain.gt, "maximum": plain.le}
        noun = "integer" if isinstance(plain, inspect.IntType) else "number"
        return {"type": noun, **{name: limit for name, limit in limits.items() if limit is not None}}
    if isinstance(plain, inspect.StrType):
        shape = {"minLength": plain.min_length, "maxLength": plain.max_length, "pattern": plain.pattern}
        return {"type": "string", **{name: limit for name, limit in shape.items() if limit is not None}}
    if isinstance(plain, inspect.LiteralType):
        return {"enum": list(plain.values)}
    return _container(plain, definitions)


def _container(plain: inspect.Type, definitions: dict[str, _Schema]) -> _Schema:
    if isinstance(plain, inspect.UnionType):
        struct, text = struct_or_name(plain)
        return {"anyOf": [_type(text, definitions), _type(struct, definitions)]}
    if isinstance(plain, inspect.ListType):
        least = {"minItems": plain.min_length} if plain.min_length else {}
        return {"type": "array", "items": _type(plain.item_type, definitions), **least}
    if isinstance(plain, inspect.DictType):
        keys = _type(plain.key_type, definitions)
        return {
            "type": "object",
            "propertyNames": keys,
            "additionalProperties": _type(plain.value_type, definitions),
        }
    assert isinstance(plain, inspect.StructType), f"no schema for {plain}"
    name = plain.cls.__name__
    if name not in definitions:
        definitions[name] = {}  # so that a struct within itself ends here
        definitions[name] = _struct(plain, definitions)
        if plain.cls is Timings:
            definitions[name]["properties"]["preset"] = {"enum": list(PRESETS)}
        if plain.cls is Experiment:  # in place, in a Scenario, whose topology is the only one
            definitions[name]["required"].remove("topologies")
    reference = {"$ref": f"#/$defs/{name}"}
    if plain.cls is Target:
        return {"anyOf": [{"type": "string"}, reference]}
    if plain.cls is Timings:
        return {"anyOf": [{"enum": list(PRESETS)}, reference]}
    return reference
