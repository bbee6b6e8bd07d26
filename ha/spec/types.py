"""What a field may hold, read from msgspec's description of its type: the base of checks, messages and manual."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import inspect

from ha.spec.durations import EXAMPLES, format_duration

__all__ = ["fields_of", "is_derived", "is_duration", "phrase", "strip", "struct_or_name", "within"]


def strip(type_: inspect.Type) -> inspect.Type:
    """The type without its metadata. Of the unions one is left: a struct that may be given by its name."""
    while isinstance(type_, inspect.Metadata | inspect.UnionType):
        inner = type_.type if isinstance(type_, inspect.Metadata) else _optional(type_)
        if inner is None:
            break
        type_ = inner
    return type_


def _optional(union: inspect.UnionType) -> inspect.Type | None:
    """``X | None`` is read as X: leaving the field out is how a file says None. None: it is no such union."""
    inner = [t for t in union.types if not isinstance(t, inspect.NoneType)]
    return inner[0] if len(inner) == 1 else None


def struct_or_name(union: inspect.UnionType) -> tuple[inspect.StructType, inspect.StrType]:
    """The two that the union is of."""
    (struct,) = [t for t in union.types if isinstance(t, inspect.StructType)]
    (name,) = [t for t in union.types if isinstance(t, inspect.StrType)]
    return struct, name


def is_duration(type_: inspect.Type) -> bool:
    """Whether the value is written as a duration."""
    inner: inspect.Type | None = type_
    while isinstance(inner, inspect.Metadata | inspect.UnionType):
        if isinstance(inner, inspect.Metadata) and (inner.extra or {}).get("format") == "duration":
            return True
        inner = inner.type if isinstance(inner, inspect.Metadata) else _optional(inner)
    return False


def is_derived(field: inspect.Field) -> bool:
    """Whether a field is computed and may not stand in a file."""
    return isinstance(field.type, inspect.Metadata) and bool((field.type.extra or {}).get("derived"))


def fields_of(type_: inspect.StructType) -> list[inspect.Field]:
    """The fields that may stand in a file, in order."""
    return [field for field in type_.fields if not is_derived(field)]


def phrase(type_: inspect.Type) -> str:
    """What a field may hold, in words."""
    plain = strip(type_)
    if is_duration(type_):
        assert isinstance(plain, inspect.FloatType)
        return f"a duration such as {EXAMPLES}" + _range(plain, format_duration)
    if isinstance(plain, inspect.IntType | inspect.FloatType):
        noun = "an integer" if isinstance(plain, inspect.IntType) else "a number"
        return noun + _range(plain, str)
    if isinstance(plain, inspect.StrType):
        return f"lower-case letters, digits and inner hyphens, at most {plain.max_length}" if plain.pattern else "text"
    if isinstance(plain, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in plain.values)
    return _container_phrase(plain)


def _container_phrase(plain: inspect.Type) -> str:
    if isinstance(plain, inspect.UnionType):
        return "a name or a path, or " + phrase(struct_or_name(plain)[0])
    if isinstance(plain, inspect.ListType):
        return ("a list of at least one of: " if plain.min_length else "a list of: ") + phrase(plain.item_type)
    if isinstance(plain, inspect.DictType):
        return "a mapping by " + phrase(plain.key_type).removeprefix("one of ")
    assert isinstance(plain, inspect.StructType), f"no words for {plain}"
    return "a mapping with " + ", ".join(field.encode_name for field in fields_of(plain))


def _range(type_: inspect.IntType | inspect.FloatType, show: Callable[[float], str]) -> str:
    limits: list[str] = []
    if type_.ge or (type_.ge == 0 and isinstance(type_, inspect.IntType)):
        limits.append(f"at least {show(type_.ge)}")
    if type_.gt is not None:
        limits.append(f"more than {show(type_.gt)}")
    if type_.le is not None:
        limits.append(f"at most {show(type_.le)}")
    return ", " + " and ".join(limits) if limits else ""


def within(value: float, type_: inspect.IntType | inspect.FloatType) -> bool:
    """Whether a value respects the limits of its type."""
    return (
        (type_.ge is None or value >= type_.ge)
        and (type_.gt is None or value > type_.gt)
        and (type_.le is None or value <= type_.le)
    )
