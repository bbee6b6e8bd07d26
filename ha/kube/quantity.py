"""Resource quantities (``500m``, ``2``, ``128Mi``, ``1e3``) as exact numbers.

Grammar: k8s.io/apimachinery/pkg/api/resource. Values are Fractions, so that sums of requests compare exactly
with what a node has; floats would let the tenth pod of 100m miss on a node with one CPU.
"""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["parse_quantity"]

_PATTERN = re.compile(r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|n|u|[eE][+-]?\d+)?$")
_SUFFIX = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Fraction(1024**power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


def parse_quantity(text: object) -> Fraction:
    """The value in base units (cores, bytes, pieces). Raises ValueError when it is no quantity."""
    match = _PATTERN.match(str(text))
    if match is None:
        raise ValueError(f"not a quantity: {text!r}")
    number, suffix = Fraction(match[1]), match[2]
    if suffix is None:
        return number
    if suffix[0] in "eE" and len(suffix) > 1:
        return number * Fraction(10) ** int(suffix[1:])
    return number * _SUFFIX[suffix]
