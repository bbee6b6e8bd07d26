from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

from ha.history.act import Act
from ha.report.counterexample import picture

SVG = "{http://www.w3.org/2000/svg}"
ACTS = [
    Act(client="client 1", what="write '1' -> ok", start=3, end=5),
    Act(client="client 2", what="write '<2>' -> unknown", start=4),
    Act(client="client 2", what="read -> '3'", start=8, end=9, guilty=True),
]


def parsed(acts=ACTS, title="x & y") -> ET.Element:
    return ET.fromstring(picture(acts, title, "line"))


def boxes(root: ET.Element) -> list[tuple[str, float, float, float]]:
    """Class, lane, left and right of each operation."""
    found = [one for one in root.iter(f"{SVG}rect") if one.get("class") != "cx-back"]
    return [
        (one.get("class", ""), float(one.get("y", "")), x := float(one.get("x", "")), x + float(one.get("width", "")))
        for one in found
    ]


def test_kind_of_each_operation_shows():
    assert [kind for kind, *_ in boxes(parsed())] == ["cx-ok", "cx-unknown", "cx-guilty"]


def test_each_client_has_a_lane():
    lanes = [lane for _, lane, _, _ in boxes(parsed())]
    assert lanes[0] != lanes[1] == lanes[2]


def test_what_came_first_stands_left_and_what_overlaps_overlaps():
    (_, _, first, first_end), (_, _, second, _), (_, _, third, _) = boxes(parsed())
    assert first < second < first_end < third


def test_bars_of_one_lane_do_not_cover_each_other():
    acts = [Act(client="1", what=f"write 'a long value {n}' -> unknown", start=n) for n in range(9)]
    edges = [(left, right) for _, _, left, right in boxes(parsed(acts))]
    assert all(right <= left + 0.01 for (_, right), (left, _) in pairwise(edges))


def test_unknown_outcome_reaches_to_the_end():
    root = parsed()
    lines = [one for one in root.iter(f"{SVG}line") if one.get("class") == "cx-open"]
    assert [float(one.get("x2", "")) for one in lines] == [max(right for *_, right in boxes(root)) + 16]


def test_words_are_escaped_and_shortened():
    long = Act(client="1", what="read -> " + "x" * 200, start=0, end=1)
    root = parsed([long, ACTS[1]])
    texts = ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]
    assert "x & y" in texts
    assert "write '<2>'" in texts
    assert max(map(len, texts)) < 80


def test_picture_is_small_and_asks_for_nothing():
    drawn = picture(ACTS * 5, "x", "s")
    assert len(drawn) < 8000
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
