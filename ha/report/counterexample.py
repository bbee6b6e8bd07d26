"""A counterexample as a picture: a lane per client, a bar per operation, the answer that no order explains in red.

Time goes from left to right, in the order of what happened and not to scale: each bar is as long as its words. Dashed
is what is of unknown outcome: it may have taken effect anywhere on the dashed line, or never. The picture is one static
SVG of a few kilobytes, which stands alone or in a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from ha.history.act import Act
from ha.report.markup import Markup, el

__all__ = ["picture"]

_CHARACTER = 6.7
_LANE, _BAR, _GAP, _TOP = 34, 22, 16, 46
_MOST_CHARACTERS = 72
_STYLE = Markup(
    """
.cx { font: 11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.cx text { fill: #17212b } .cx .cx-back { fill: #fff } .cx .cx-title { font-weight: 600; font-size: 12px }
.cx .cx-small { fill: #566472 } .cx .cx-rule { stroke: #dde3e9 } .cx .cx-open { stroke: #8795a3; stroke-dasharray: 4 3 }
.cx .cx-ok { fill: #cfe2f3; stroke: #2f74b0 } .cx .cx-unknown { fill: #fff; stroke: #8795a3; stroke-dasharray: 4 3 }
.cx .cx-guilty { fill: #bf4417; stroke: #bf4417 } .cx .cx-word-guilty { fill: #fff; font-weight: 600 }
@media (prefers-color-scheme: dark) {
.cx text { fill: #e4eaf0 } .cx .cx-back { fill: #10161c } .cx .cx-small { fill: #9aa8b5 }
.cx .cx-rule { stroke: #2b3642 }
.cx .cx-ok { fill: #274a66; stroke: #5ea6dd } .cx .cx-unknown { fill: #10161c } .cx .cx-word-guilty { fill: #fff }
}
"""
)


def picture(acts: Sequence[Act], title: str, unit: str) -> Markup:
    """The SVG. `unit`: what times are counted in, ``s`` or ``line``."""
    return _Picture(acts, unit).draw(title)


class _Picture:
    def __init__(self, acts: Sequence[Act], unit: str) -> None:
        self._acts = sorted(acts, key=lambda act: act.start)
        self._unit = unit
        self._lanes = list(dict.fromkeys(act.client for act in self._acts))
        self._left = _GAP * 2 + _CHARACTER * max((len(client) for client in self._lanes), default=0)
        self._x = self._places()
        self._right = max(self._x.values(), default=self._left) + _GAP

    def draw(self, title: str) -> Markup:
        bottom = _TOP + _LANE * len(self._lanes)
        width = max(self._right + _GAP, 2 * _GAP + 7.4 * len(title))
        return el(
            "svg",
            el("style", _STYLE),
            el("title", title),
            el("rect", width="100%", height="100%", class_="cx-back"),
            el("text", title, x=_GAP, y=22, class_="cx-title"),
            [self._lane(number, client) for number, client in enumerate(self._lanes)],
            [self._act(act) for act in self._acts],
            self._axis(bottom),
            attrs={"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width:.0f} {bottom + 34}"},
            width=f"{width:.0f}",
            height=bottom + 34,
            role="img",
            class_="cx",
        )

    def _places(self) -> dict[float, float]:
        """Where each moment stands: as far from the one before as the words of what ended in between need."""
        moments = sorted({act.start for act in self._acts} | {act.end for act in self._acts if act.end is not None})
        places: dict[float, float] = {}
        x = self._left
        for moment in moments:
            needed = [places[act.start] + _width(act) for act in self._acts if self._is_over(act) == moment]
            x = max([x, *needed])
            places[moment] = x
            x += _GAP
        for act in self._acts:
            if self._is_over(act) == inf:
                places[inf] = max(places.get(inf, x), places[act.start] + _width(act))
        return places

    def _is_over(self, act: Act) -> float:
        """By when its words must have ended: when it was answered, or its client asked for the next thing."""
        following = [one.start for one in self._acts if one.client == act.client and one.start > act.start]
        return min([inf if act.end is None else act.end, *following])

    def _lane(self, number: int, client: str) -> Markup:
        y = _TOP + _LANE * number + _LANE / 2
        return el(
            "g",
            el("line", x1=self._left - 8, x2=self._right, y1=y, y2=y, class_="cx-rule"),
            el("text", client, x=_GAP, y=y + 4),
        )

    def _act(self, act: Act) -> Markup:
        y = _TOP + _LANE * self._lanes.index(act.client) + _LANE / 2
        start = self._x[act.start]
        width = _width(act) if act.end is None else self._x[act.end] - start
        kind = "unknown" if act.end is None else "guilty" if act.guilty else "ok"
        line = el("line", x1=start, x2=self._right, y1=y, y2=y, class_="cx-open") if act.end is None else None
        when = f"{_moment(act.start, self._unit)} to {'?' if act.end is None else _moment(act.end, self._unit)}"
        return el(
            "g",
            el("title", f"{act.client}: {act.what} [{when}]"),
            line,
            el("rect", x=start, y=y - _BAR / 2, width=width, height=_BAR, rx=4, class_=f"cx-{kind}"),
            el("text", _words(act), x=start + 7, y=y + 4, class_=f"cx-word-{kind}"),
        )

    def _axis(self, y: float) -> Markup:
        """Moments, as far as there is room for them."""
        shown: list[Markup] = []
        free = -inf
        for moment, x in sorted(self._x.items()):
            text = "" if moment == inf else _moment(moment, self._unit)
            if text and x >= free:
                shown += [
                    el("line", x1=x, x2=x, y1=_TOP, y2=y + 4, class_="cx-rule"),
                    el("text", text, x=x, y=y + 18, class_="cx-small", text_anchor="middle"),
                ]
                free = x + _CHARACTER * (len(text) + 2)
        return el("g", shown)


def _words(act: Act) -> str:
    """What shows anyway is not said."""
    text = act.what.removesuffix(" -> unknown").removesuffix(" -> ok")
    half = _MOST_CHARACTERS // 2
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: half - 1]}…{text[-half:]}"


def _width(act: Act) -> float:
    return _CHARACTER * len(_words(act)) + 14


def _moment(at: float, unit: str) -> str:
    return f"line {at:.0f}" if unit == "line" else f"{at:.6f}".rstrip("0").rstrip(".") + " s"
