"""The timeline: lanes under one time axis, with the faults shaded through all of them.

The bars are SVG that stretches with the page; the words are HTML above it, so that they stay readable at any
width. States differ in height, not in colour alone: full, lower, a line.
"""

from __future__ import annotations

from ha.history.result import Run
from ha.report.lanes import Lane, LaneGroup, Segment, Span, State, lane_groups, span_of
from ha.report.markup import Markup, el, fragment
from ha.report.series import bucket_s
from ha.report.words import fault_title, in_force_until_s

__all__ = ["timeline"]

_HEIGHTS: dict[State, tuple[float, float]] = {
    "good": (0, 18),
    "held": (0, 18),
    "phase": (0, 18),
    "fault": (0, 18),
    "part": (5, 13),
    "calm": (3, 15),
    "bad": (15.5, 2.5),
}
_LETTER, _INSET = 6.8 / 700, 12 / 700
"""The share of the width that a letter of a label, and the space around it, need on a page of usual width."""

_NARROW_PX, _LEGIBLE_PX = 300, 36
"""On a telephone: the width of the lanes, and what a word cut short needs to be worth showing."""


def timeline(run: Run) -> Markup:
    """All lanes and the axis."""
    span = span_of(run)
    groups = lane_groups(run)
    return el("div", _backdrop(run, span), *(_group(group, span) for group in groups), _axis(span), class_="timeline")


def _share(at_s: float, span: Span) -> float:
    return min(1.0, max(0.0, (at_s - span.start_s) / (span.end_s - span.start_s)))


def _percent(share: float) -> str:
    return f"{share * 100:.3f}".rstrip("0").rstrip(".") + "%"


def _place(start_s: float, end_s: float, span: Span) -> str:
    left = _share(start_s, span)
    return f"left:{_percent(left)};width:{_percent(_share(end_s, span) - left)}"


def _ticks_s(span: Span) -> list[float]:
    step_s = bucket_s(span.end_s - span.start_s, at_most=10)
    return [i * step_s for i in range(int((span.end_s - span.start_s) / step_s) + 1)]


def _backdrop(run: Run, span: Span) -> Markup:
    ticks = [el("div", "", class_="tick", style=f"left:{_percent(_share(at_s, span))}") for at_s in _ticks_s(span)]
    bands = [
        el(
            "div",
            "",
            class_="band",
            style=_place(fault.injected_s, in_force_until_s(fault, span.end_s), span),
            title=fault_title(fault),
        )
        for fault in run.result.faults
    ]
    return el("div", ticks, bands, class_="backdrop", aria_hidden="true")


def _axis(span: Span) -> Markup:
    marks = [
        el("span", f"{at_s:g} s", class_="only-wide" if i % 2 else None, style=f"left:{_percent(_share(at_s, span))}")
        for i, at_s in enumerate(_ticks_s(span))
    ]
    return el("div", marks, class_="axis", aria_hidden="true")


def _group(group: LaneGroup, span: Span) -> Markup:
    holders = list(dict.fromkeys(s.label for lane in group.lanes for s in lane.segments if s.state == "held"))
    heading = el("div", el("h3", group.heading), el("p", group.explanation), class_="heading")
    return el("div", heading, *(_lane(lane, span, holders) for lane in group.lanes), class_="lane-group")


def _lane(lane: Lane, span: Span, holders: list[str]) -> Markup:
    description = f"{lane.name}. " + "; ".join(segment.title for segment in lane.segments[:40]) + "."
    bars = el(
        "svg",
        el("title", description),
        *(_bar(segment, span, holders) for segment in lane.segments),
        attrs={"viewBox": "0 0 1000 18", "preserveAspectRatio": "none"},
        role="img",
        aria_label=description,
    )
    labels = [_label(segment, span, alone=len(lane.segments) == 1) for segment in lane.segments]
    return el(
        "div",
        el("div", lane.name, class_="lane-name", title=lane.name),
        el("div", bars, fragment(label for label in labels if label), class_="track"),
        class_="lane",
    )


def _bar(segment: Segment, span: Span, holders: list[str]) -> Markup:
    y, height = _HEIGHTS[segment.state]
    left = _share(segment.start_s, span) * 1000
    # Nothing that happened is invisible, however short.
    width = max(1.2, _share(segment.end_s, span) * 1000 - left)
    look = f"s-{segment.state}"
    if segment.state == "held":
        look += f" h-{holders.index(segment.label) % 4}"
    return el("rect", el("title", segment.title), x=left, y=y, width=width, height=height, class_=look)


def _label(segment: Segment, span: Span, *, alone: bool) -> Markup | None:
    """The words of a segment inside it, or beside it when it is short and is all that its lane shows."""
    if not segment.label:
        return None
    left, right = _share(segment.start_s, span), _share(segment.end_s, span)
    look: str = segment.state
    place = _place(segment.start_s, segment.end_s, span)
    if right - left < _LETTER * len(segment.label) + _INSET:
        if not alone or segment.state != "fault":
            return None
        look = "beside"
        place = (
            f"left:{_percent(right)};right:0" if right < 0.7 else f"right:{_percent(1 - left)};left:0;text-align:right"
        )
    if (right - left) * _NARROW_PX < _LEGIBLE_PX and look != "beside":
        look += " only-wide"
    return el("span", segment.label, class_=f"seg-label l-{look}", style=place, aria_hidden="true")
