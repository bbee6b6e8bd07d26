import pytest
from hypothesis import given
from hypothesis import strategies as st

from ha.spec.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300ms", 0.3),
        ("2s", 2),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("0s", 0),
        ("250us", 0.00025),
        ("1h1m1s1ms", 3661.001),
        ("-1m30s", -90),
    ],
)
def test_durations_of_kubernetes_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "--1s", "1s-1s", "1 s", "1sec", "1s ", "1d", "1e3s", "\u0661s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(min_value=-(10**14), max_value=10**14).map(lambda ns: round(ns * 1e-9, 9)))
def test_a_formatted_duration_reads_back_the_same(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.3, "300ms"), (0.00025, "0.25ms"), (90, "1m30s"), (5400, "1h30m"), (1.000000001, "1.000000001s"), (0, "0s")],
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
