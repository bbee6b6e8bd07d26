"""Label and field selectors: their text forms, the ``LabelSelector`` object, and matching.

Grammar and behaviour follow k8s.io/apimachinery/pkg/labels and /fields: requirements are joined by commas
and all must hold; ``!=`` and ``notin`` also hold when the key is absent; ``>`` and ``<`` compare integers.
The empty selector matches everything. In a ``LabelSelector`` object the same holds, but a *missing* object
matches nothing: that is the caller's case to decide, `from_object` takes an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ha.kube.kinds import Object

__all__ = [
    "EVERYTHING",
    "FieldRequirement",
    "FieldSelector",
    "Operator",
    "Requirement",
    "Selector",
    "SelectorError",
    "from_object",
    "is_label_value",
    "is_qualified_name",
    "parse_fields",
    "parse_labels",
]

Operator: TypeAlias = Literal["=", "!=", "in", "notin", "exists", "!", ">", "<"]


class SelectorError(ValueError):
    """The text or the object is no selector."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. `values` is sorted, and empty for ``exists`` and ``!``."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels meets the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "=" | "in":
                return value in self.values
            case "!=" | "notin":
                return value not in self.values
            case ">" | "<":
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or not _INTEGER.fullmatch(value):
            return False
        bound = int(self.values[0])
        return int(value) > bound if self.operator == ">" else int(value) < bound

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions on labels; all must hold."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a set of labels meets every condition."""
        return all(r.matches(labels) for r in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING = Selector()

_INTEGER = re.compile(r"[-+]?\d+")
_TOKEN = re.compile(r"\s*(==|!=|=|!|,|\(|\)|>|<|[^\s,!=()<>]+|$)")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def is_qualified_name(key: str) -> bool:
    """Whether a text may be a label's key: ``name`` or ``dns.prefix/name``."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not _PREFIX.fullmatch(prefix) or len(prefix) > 253):
        return False
    return len(name) <= 63 and _NAME.fullmatch(name) is not None


def is_label_value(value: str) -> bool:
    """Whether a text may be a label's value."""
    return len(value) <= 63 and _VALUE.fullmatch(value) is not None


def parse_labels(text: str) -> Selector:
    """Read ``app=web,tier in (a,b),!canary``. Raises SelectorError."""
    parser = _LabelParser(text)
    requirements = parser.parse()
    return Selector(tuple(sorted(requirements, key=lambda r: r.key))) if requirements else EVERYTHING


class _LabelParser:
    """Recursive descent over the tokens of one selector."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokenize(text)
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _next(self) -> str:
        token = self._tokens[self._at]
        if token:
            self._at += 1
        return token

    def parse(self) -> list[Requirement]:
        if not self._peek():
            return []
        requirements = [self._requirement()]
        while (token := self._next()) == ",":
            requirements.append(self._requirement())
        if token:
            raise SelectorError(f"unable to parse requirement: found '{token}', expected: ',' or 'end of string'")
        return requirements

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._next()
            return Requirement(self._key(), "!")
        key = self._key()
        token = self._peek()
        if token in {"", ","}:
            return Requirement(key, "exists")
        self._next()
        match token:
            case "=" | "==" | "!=":
                operator: Operator = "!=" if token == "!=" else "="  # noqa: S105  (a token of the grammar)
                return Requirement(key, operator, (self._value(),))
            case ">" | "<":
                return Requirement(key, ">" if token == ">" else "<", (self._integer(),))  # noqa: S105  (same)
            case "in" | "notin":
                return Requirement(key, "in" if token == "in" else "notin", self._values())  # noqa: S105  (same)
        raise SelectorError(
            f"unable to parse requirement: found '{token}', expected: in, notin, =, ==, !=, gt, lt",
        )

    def _key(self) -> str:
        token = self._next()
        if token in _PUNCTUATION:
            raise SelectorError(f"unable to parse requirement: found '{token}', expected: identifier")
        if not is_qualified_name(token):
            raise SelectorError(f'unable to parse requirement: <nil>: Invalid value: "{token}": {_NAME_RULE}')
        return token

    def _value(self) -> str:
        if self._peek() in {"", ","}:
            return ""
        token = self._next()
        if token in _PUNCTUATION:
            raise SelectorError(f"unable to parse requirement: found '{token}', expected: identifier")
        if not is_label_value(token):
            raise SelectorError(f'unable to parse requirement: values[0]: Invalid value: "{token}": {_VALUE_RULE}')
        return token

    def _integer(self) -> str:
        token = self._next()
        if not _INTEGER.fullmatch(token):
            raise SelectorError(
                f'unable to parse requirement: values[0]: Invalid value: "{token}": '
                "for 'Gt', 'Lt' operators, the value must be an integer",
            )
        return token

    def _values(self) -> tuple[str, ...]:
        if (token := self._next()) != "(":
            raise SelectorError(f"unable to parse requirement: found '{token}' expected: '('")
        values: list[str] = []
        while True:
            values.append("" if self._peek() in {",", ")"} else self._value())
            token = self._next()
            if token == ")":  # noqa: S105  (a token of the grammar)
                return tuple(sorted(set(values)))
            if token != ",":  # noqa: S105  (same)
                raise SelectorError(f"unable to parse requirement: found '{token}', expected: ',', or ')'")


_PUNCTUATION = frozenset({"", "=", "==", "!=", "!", ",", "(", ")", ">", "<"})
_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
    "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def _tokenize(text: str) -> list[str]:
    """Split into tokens; the last one is empty and marks the end."""
    tokens: list[str] = []
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        assert match is not None, "every text has a next token or an end"
        tokens.append(match.group(1))
        if not match.group(1):
            return tokens
        at = match.end()


_OBJECT_OPERATORS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def from_object(selector: Object) -> Selector:
    """Read a ``metav1.LabelSelector``. Raises SelectorError."""
    requirements = [Requirement(k, "=", (v,)) for k, v in sorted((selector.get("matchLabels") or {}).items())]
    expressions: Iterable[Object] = selector.get("matchExpressions") or ()
    for expression in expressions:
        name = expression.get("operator")
        operator = _OBJECT_OPERATORS.get(str(name))
        if operator is None:
            raise SelectorError(f'"{name}" is not a valid label selector operator')
        values = tuple(sorted(set(expression.get("values") or ())))
        if bool(values) != (operator in {"in", "notin"}):
            raise SelectorError(f"for '{name}' operators, values set must be {'empty' if values else 'non-empty'}")
        requirements.append(Requirement(str(expression.get("key")), operator, values))
    return Selector(tuple(requirements))


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One field must, or must not, have one value."""

    field: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.field}{'=' if self.equal else '!='}{_ESCAPED.sub(_escape, self.value)}"


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Conditions on fields; all must hold. A field that the object lacks has the empty value."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether an object's selectable fields meet every condition."""
        return all((fields.get(r.field, "") == r.value) == r.equal for r in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def exact(self, field: str) -> str | None:
        """The value that a field must have, when one requirement pins it."""
        return next((r.value for r in self.requirements if r.equal and r.field == field), None)


_ESCAPED = re.compile(r"[\\,=]")
_BAD_ESCAPE = re.compile(r"(?:[^\\]|\\[\\,=])*\\(?![\\,=]).*", re.DOTALL)
_TERM = re.compile(r"(?:[^\\,]|\\.)*", re.DOTALL)
_FIELD = re.compile(r"((?:[^\\=!]|\\.)*)(!=|==|=)((?:[^\\=]|\\.)*)", re.DOTALL)


def _escape(match: re.Match[str]) -> str:
    return "\\" + match.group()


def _unescape(text: str, selector: str) -> str:
    if _BAD_ESCAPE.fullmatch(text):
        raise SelectorError(f"invalid field selector: invalid escape sequence in {selector!r}")
    return re.sub(r"\\(.)", r"\1", text)


def parse_fields(text: str) -> FieldSelector:
    r"""Read ``spec.nodeName=n1,status.phase!=Failed``. Raises SelectorError.

    In a value, a backslash escapes ``,``, ``=`` and itself.
    """
    requirements: list[FieldRequirement] = []
    at = 0
    while at <= len(text):
        term = _TERM.match(text, at)
        assert term is not None, "an empty term matches"
        if term.end() < len(text) and text[term.end()] != ",":
            raise SelectorError(f"invalid field selector: invalid escape sequence in {text!r}")
        at = term.end() + 1
        if not term.group():
            continue
        field = _FIELD.fullmatch(term.group())
        if field is None:
            raise SelectorError(f"invalid selector: '{term.group()}'; can't understand '{term.group()}'")
        name, operator, value = field.groups()
        requirements.append(FieldRequirement(name.strip(), operator != "!=", _unescape(value, text)))
    return FieldSelector(tuple(requirements))
