"""Resource quantities."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ha.kube.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("2", Fraction(2)),
        (4, Fraction(4)),
        ("0.1", Fraction(1, 10)),
        ("128Mi", Fraction(128 * 1024**2)),
        ("1G", Fraction(10**9)),
        ("1e3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("5E-1", Fraction(1, 2)),
        ("100n", Fraction(1, 10**7)),
    ],
)
def test_quantity_is_read_exactly(text: object, value: Fraction) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "x", "1Zi", "--1", "1 Gi", "Mi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)
