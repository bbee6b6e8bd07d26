"""From a tree of values to frozen structs, collecting every problem instead of stopping at the first.

msgspec's own conversion raises at the first wrong field, knows no lines and cannot suggest names. So this
walks the tree beside msgspec's description of the types (`msgspec.inspect`) and builds the structs itself:
one small function per kind of type. What a field may hold is said from the same description, so the checks,
the messages and the manual cannot drift apart.

Two types have a shorter spelling in YAML: a `Target` may be the plain string of its `select`, and `Timings`
may be the name of a preset, or a mapping with ``preset`` and what differs from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from ha.spec.durations import parse_duration
from ha.spec.model import Target, Timings
from ha.spec.problems import ROOT, Problem, nearest
from ha.spec.source import Mapping, Node, Scalar, Sequence, join
from ha.spec.timings import PRESETS
from ha.spec.types import fields_of, is_duration, phrase, strip, struct_or_name, within

__all__ = ["Converter"]

S = TypeVar("S", bound=msgspec.Struct)
Value: TypeAlias = object
_INVALID: Final = object()
"""What stands for a value that was wrong; the problem has been recorded."""


class Converter:
    """Converts the document of one file. `problems` collects; `lines` remembers where each field stands."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.lines: dict[str, int] = {}

    def struct(self, node: Node, cls: type[S], *, header: Iterable[str] = ()) -> S | None:
        """The struct, or None when there is any problem. `header` names keys that were read before."""
        self.lines[ROOT] = node.line
        value = self._struct(node, inspect.type_info(cls), ROOT, frozenset(header))
        return value if isinstance(value, cls) else None

    def problem(self, field: str, message: str, *, allowed: str = "", near: str = "") -> None:
        """Record a problem; the line is the field's, or that of the nearest thing around it."""
        around = field
        while around not in self.lines and around != ROOT:
            around = _parent(around)
        self.problems.append(
            Problem(
                file=self.file,
                field=field,
                line=self.lines.get(around),
                message=message,
                allowed=allowed,
                nearest=near,
            )
        )

    def _convert(self, node: Node, type_: inspect.Type, path: str) -> Value:
        self.lines.setdefault(path, node.line)
        if is_duration(type_):
            return self._duration(node, type_, path)
        plain = strip(type_)
        convert = _BY_TYPE.get(type(plain))
        assert convert is not None, f"no conversion for {plain}"
        return convert(self, node, plain, path)

    def _wrong(self, node: Node, type_: inspect.Type, path: str, *, names: Iterable[str] = ()) -> Value:
        near = nearest(node.text, names) if isinstance(node, Scalar) else ""
        self.problem(path, f"found {node}", allowed=phrase(type_), near=near)
        return _INVALID

    def _duration(self, node: Node, declared: inspect.Type, path: str) -> Value:
        type_ = strip(declared)
        assert isinstance(type_, inspect.FloatType)
        text = node.value if isinstance(node, Scalar) else None
        try:
            seconds = parse_duration(text if isinstance(text, str) else "")
            if within(seconds, type_):
                return seconds
        except ValueError:
            pass
        self.problem(path, f"found {node}", allowed=phrase(declared))
        return _INVALID

    def _number(self, node: Node, type_: inspect.IntType | inspect.FloatType, path: str) -> Value:
        value = node.value if isinstance(node, Scalar) else None
        accepted = (int,) if isinstance(type_, inspect.IntType) else (int, float)
        if isinstance(value, bool) or not isinstance(value, accepted) or not within(value, type_):
            return self._wrong(node, type_, path)
        return value

    def _string(self, node: Node, type_: inspect.StrType, path: str) -> Value:
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, str) or len(value) > (type_.max_length or len(value)):
            return self._wrong(node, type_, path)
        if len(value) < (type_.min_length or 0) or (type_.pattern and not re.fullmatch(type_.pattern, value)):
            return self._wrong(node, type_, path)
        return value

    def _literal(self, node: Node, type_: inspect.LiteralType, path: str) -> Value:
        value = node.value if isinstance(node, Scalar) else None
        if value not in type_.values:
            return self._wrong(node, type_, path, names=map(str, type_.values))
        return value

    def _list(self, node: Node, type_: inspect.ListType, path: str) -> Value:
        if not isinstance(node, Sequence):
            return self._wrong(node, type_, path)
        if len(node.items) < (type_.min_length or 0):
            self.problem(path, "found an empty list", allowed=phrase(type_))
            return _INVALID
        items = [self._convert(item, type_.item_type, f"{path}[{i}]") for i, item in enumerate(node.items)]
        return _INVALID if _INVALID in items else items

    def _dict(self, node: Node, type_: inspect.DictType, path: str) -> Value:
        if not isinstance(node, Mapping):
            return self._wrong(node, type_, path)
        keys = strip(type_.key_type)
        assert isinstance(keys, inspect.LiteralType)
        names = [str(value) for value in keys.values]
        known = self._known(node, names, path)
        values = {name: self._convert(value, type_.value_type, join(path, name)) for name, value in known.items()}
        return _INVALID if _INVALID in values.values() or len(known) < len(node.entries) else values

    def _struct(self, node: Node, type_: inspect.Type, path: str, header: frozenset[str] = frozenset()) -> Value:
        assert isinstance(type_, inspect.StructType)
        short = _SHORT_FORMS.get(type_.cls)
        if short is not None and not (isinstance(node, Mapping) and type_.cls is Target):
            return short(self, node, type_, path)
        if not isinstance(node, Mapping):
            return self._wrong(node, type_, path)
        values = self._fields(node, type_, path, header)
        return _INVALID if values is None else type_.cls(**values)

    def _fields(
        self, node: Mapping, type_: inspect.StructType, path: str, header: frozenset[str]
    ) -> dict[str, Any] | None:
        before = len(self.problems)
        fields = {field.encode_name: field for field in fields_of(type_)}
        known = self._known(node, fields, path, header)
        for name, field in fields.items():
            if field.required and name not in known:
                self.problem(join(path, name), "is missing", allowed=phrase(field.type))
        values = {
            fields[name].name: self._convert(value, fields[name].type, join(path, name))
            for name, value in known.items()
        }
        return values if len(self.problems) == before else None

    def _known(
        self, node: Mapping, names: Iterable[str], path: str, header: frozenset[str] = frozenset()
    ) -> dict[str, Node]:
        allowed = [*names]
        known: dict[str, Node] = {}
        for name, entry in node.entries.items():
            self.lines[join(path, name)] = entry.line
            if name in allowed:
                known[name] = entry.value
            elif name not in header:
                self.problem(join(path, name), "unknown field", allowed=", ".join(allowed), near=nearest(name, allowed))
        return known

    def _either(self, node: Node, type_: inspect.UnionType, path: str) -> Value:
        """A struct, or the name of one."""
        struct, name = struct_or_name(type_)
        if isinstance(node, Mapping):
            return self._struct(node, struct, path)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return self._string(node, name, path)
        return self._wrong(node, type_, path)

    def _target(self, node: Node, _type: inspect.StructType, path: str) -> Value:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return Target(select=node.value)
        self.problem(path, f"found {node}", allowed="a name such as etcd-leader, or a mapping with select")
        return _INVALID

    def _timings(self, node: Node, type_: inspect.StructType, path: str) -> Value:
        if not isinstance(node, Mapping):
            name = self._preset(node, path, "a preset ({}) or a mapping with preset and what differs from it")
            return _INVALID if name is None else PRESETS[name]
        preset: str | None = "upstream"
        if "preset" in node.entries:
            preset = self._preset(node.entries["preset"].value, join(path, "preset"), "one of {}")
        values = self._fields(node, type_, path, frozenset({"preset"}))
        if values is None or preset is None:
            return _INVALID
        return msgspec.structs.replace(PRESETS[preset], **values)

    def _preset(self, node: Node, path: str, allowed: str) -> str | None:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, str) and value in PRESETS:
            return value
        near = nearest(value, PRESETS) if isinstance(value, str) else ""
        self.problem(path, f"found {node}", allowed=allowed.format(", ".join(PRESETS)), near=near)
        return None


_Convert: TypeAlias = Callable[[Converter, Node, Any, str], Value]
_BY_TYPE: dict[type[inspect.Type], _Convert] = {
    inspect.IntType: Converter._number,  # noqa: SLF001  (the converter's own table)
    inspect.FloatType: Converter._number,  # noqa: SLF001
    inspect.StrType: Converter._string,  # noqa: SLF001
    inspect.LiteralType: Converter._literal,  # noqa: SLF001
    inspect.ListType: Converter._list,  # noqa: SLF001
    inspect.DictType: Converter._dict,  # noqa: SLF001
    inspect.StructType: Converter._struct,  # noqa: SLF001
    inspect.UnionType: Converter._either,  # noqa: SLF001
}
_SHORT_FORMS: dict[type, _Convert] = {
    Target: Converter._target,  # noqa: SLF001
    Timings: Converter._timings,  # noqa: SLF001
}


def _parent(path: str) -> str:
    if path.endswith("]"):
        return path[: path.rindex("[")]
    return path.rpartition(".")[0] or ROOT
