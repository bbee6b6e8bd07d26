"""Durations as Kubernetes and Go write them: ``300ms``, ``2s``, ``1m30s``, ``1.5h``.

A bare number is refused: nobody can tell whether ``timeout: 5`` means seconds or milliseconds. Zero is
``0s``. The order of the units does not matter to Go, and does not here.
"""

from __future__ import annotations

import re

__all__ = ["EXAMPLES", "PATTERN", "format_duration", "parse_duration"]

EXAMPLES = "300ms, 2s or 1m30s"

_UNITS_S = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|µs|ms|s|m|h)")
PATTERN = r"-?(?:[0-9]+(?:\.[0-9]+)?(?:us|µs|ms|s|m|h))+"
"""What a duration looks like."""
_WHOLE = re.compile(PATTERN)


def parse_duration(text: str) -> float:
    """Seconds, below zero with a minus in front. Raises ValueError for anything that is not a duration."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"not a duration: {text!r}")
    total = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    return round(-total if text.startswith("-") else total, 9)


def format_duration(seconds: float) -> str:
    """The shortest form that `parse_duration` reads back to the same value: ``0.3`` → ``300ms``. To the nanosecond."""
    ns = round(seconds * 1e9)
    if ns == 0:
        return "0s"
    if ns < 0:
        return f"-{format_duration(-seconds)}"
    if ns < 1_000_000_000:
        return f"{_number(ns, 1_000_000)}ms"
    minutes, ns = divmod(ns, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    return "".join(
        f"{_number(value, unit)}{name}"
        for value, unit, name in ((hours, 1, "h"), (minutes, 1, "m"), (ns, 1_000_000_000, "s"))
        if value
    )


def _number(value: int, unit: int) -> str:
    """`value` units, without trailing zeros."""
    whole, rest = divmod(value, unit)
    digits = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
