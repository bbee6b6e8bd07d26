"""Tables of pages, from words and figures to markup."""

from __future__ import annotations

from collections.abc import Iterable

from ha.report.markup import Markup, el

__all__ = ["SIGN_CLASSES", "fact_table", "figure_cells", "grid", "sign_cell"]

SIGN_CLASSES = {"✓": "yes", "✗": "no", "?": "unknown"}


def sign_cell(sign: str, word: str) -> Markup:
    """A cell with ✓, ✗ or ?, and the word that it stands for."""
    return el("td", el("span", sign, title=word, aria_label=word, role="img"), class_=f"sign {SIGN_CLASSES[sign]}")


def grid(headings: list[str], rows: Iterable[list[Markup]], *, signs: bool = False, figures_from: int = 99) -> Markup:
    """A table with a line of headings. Those from `figures_from` on are of figures, the first of signs with `signs`."""
    cells = [
        el("th", text, scope="col", class_="num" if i >= figures_from else ("sign" if signs and i == 0 else None))
        for i, text in enumerate(headings)
    ]
    body = el("tbody", [el("tr", *row) for row in rows])
    return el(
        "div",
        el("table", el("thead", el("tr", *cells)), body),
        class_="scroll",
        tabindex="0",
        role="group",
        aria_label="Table",
    )


def figure_cells(*values: str) -> list[Markup]:
    """Cells with figures."""
    return [el("td", value, class_="num") for value in values]


def fact_table(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names and values."""
    return el("table", el("tbody", [el("tr", el("td", k), el("td", v, class_="num wrap")) for k, v in pairs]))
