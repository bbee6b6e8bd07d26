"""From bytes on disk to a tree of values that know their line.

PyYAML composes the nodes; scalars are resolved here, by the YAML 1.2 core schema for plain null, booleans
and numbers: YAML 1.1 would turn ``no`` into False, ``1:30`` into 90 and a date into an object, and each has
bitten someone. No tag is ever resolved, so no object is ever built. Refused, because a file from elsewhere
is untrusted: anchors and aliases (expansion bombs, cycles), explicit tags, duplicate keys, several
documents, nesting deeper than 20, more than 1 MiB.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

import msgspec
import yaml

from ha.spec.problems import ROOT, Problem, SpecError

__all__ = ["Entry", "Mapping", "Node", "Scalar", "Sequence", "encloses", "join", "plain_value", "read"]

MAX_BYTES = 1 << 20
MAX_DEPTH = 20

_PLAIN = "tag:yaml.org,2002:"
_KINDS = {yaml.ScalarNode: "str", yaml.SequenceNode: "seq", yaml.MappingNode: "map"}
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


class Scalar(msgspec.Struct, frozen=True):
    """A leaf; `text` is what stands in the file."""

    value: str | int | float | bool | None
    text: str
    line: int

    def __str__(self) -> str:
        if self.value is None:
            return "nothing"
        if isinstance(self.value, str):
            text = self.value if len(self.value) <= 60 else self.value[:57] + "..."
            return f"{text!r}"
        return self.text


class Sequence(msgspec.Struct, frozen=True):
    """A list."""

    items: list[Node]
    line: int

    def __str__(self) -> str:
        return "a list"


class Entry(msgspec.Struct, frozen=True):
    """A value of a mapping and the line of its key."""

    value: Node
    line: int


class Mapping(msgspec.Struct, frozen=True):
    """A mapping with distinct keys, in the order of the file."""

    entries: dict[str, Entry]
    line: int

    def __str__(self) -> str:
        return "a mapping"


Node: TypeAlias = Scalar | Sequence | Mapping


def join(path: str, key: str) -> str:
    """The path of a field of the mapping at `path`."""
    return key if path == ROOT else f"{path}.{key}"


def encloses(path: str, field: str) -> bool:
    """Whether a field is the one at `path` or stands within it."""
    return field == path or field.startswith((f"{path}.", f"{path}["))


def read(path: Path) -> Node:
    """The one document of a file. Raises SpecError with everything that is wrong with its form."""
    text = _text(path)
    try:
        documents = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise SpecError([_syntax(path, error)]) from None
    if not documents:
        raise SpecError([Problem(file=str(path), field=ROOT, message="the file is empty", allowed="one document")])
    if len(documents) > 1:
        message = f"found {len(documents)} documents"
        line = documents[1].start_mark.line + 1
        raise SpecError([Problem(file=str(path), field=ROOT, line=line, message=message, allowed="one document")])
    tree = _Tree(str(path))
    root = tree.node(documents[0], ROOT)
    if tree.problems:
        raise SpecError(tree.problems)
    return root


def _text(path: Path) -> str:
    def refuse(message: str, allowed: str = "a YAML file") -> SpecError:
        return SpecError([Problem(file=str(path), field=ROOT, message=message, allowed=allowed)])

    try:
        if path.is_dir():
            raise refuse("is a directory")
        if not path.exists():
            raise refuse("no such file")
        if not path.is_file():
            raise refuse("is not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise refuse("is larger than 1 MiB", "at most 1 MiB")
        data = path.read_bytes()
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refuse("is not UTF-8 text", "YAML in UTF-8") from None
    if "\0" in text:
        raise refuse("is a binary file", "YAML in UTF-8")
    return text


def _syntax(path: Path, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    message = ": ".join(part for part in parts if part) or str(error).splitlines()[0]
    return Problem(
        file=str(path),
        field=ROOT,
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
        message=f"not valid YAML: {message}",
    )


class _Loader(yaml.BaseLoader):
    """Composes nodes without resolving tags, and stops at what could make a small file large."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not allowed", problem_mark=event.start_mark)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Tree:
    """Turns PyYAML's nodes into ours, collecting duplicate keys, odd keys and explicit tags."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def node(self, node: yaml.Node, path: str) -> Node:
        line = node.start_mark.line + 1
        if node.tag != _PLAIN + _KINDS[type(node)]:
            self._refuse(path, node, f"found the tag {node.tag!r}", "plain YAML without tags")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, line)
        if isinstance(node, yaml.SequenceNode):
            items = [self.node(item, f"{path}[{i}]") for i, item in enumerate(node.value)]
            return Sequence(items, line)
        assert isinstance(node, yaml.ScalarNode)
        return Scalar(_resolve(node), node.value, line)

    def _mapping(self, node: yaml.MappingNode, path: str, line: int) -> Mapping:
        entries: dict[str, Entry] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(path, key, "found a key that is not a word", "field names as keys")
                continue
            field = join(path, key.value)
            if key.value in entries:
                message = f"the key stands twice, first in line {entries[key.value].line}"
                self._refuse(field, key, message, "each key once")
                continue
            entries[key.value] = Entry(self.node(value, field), key.start_mark.line + 1)
        return Mapping(entries, line)

    def _refuse(self, path: str, node: yaml.Node, message: str, allowed: str) -> None:
        mark = node.start_mark
        self.problems.append(
            Problem(
                file=self.file, field=path, line=mark.line + 1, column=mark.column + 1, message=message, allowed=allowed
            )
        )


def _resolve(node: yaml.ScalarNode) -> str | int | float | bool | None:
    return node.value if node.style is not None else plain_value(node.value)


def plain_value(text: str) -> str | int | float | bool | None:
    """What a scalar without quotes means."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
