"""The frame of every page: one file that asks for nothing, whatever stands in it."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence

from ha.report.markup import Markup, el

__all__ = ["asset", "footer", "page", "script_safe", "section"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(title: str, body: Markup, *, styles: Sequence[Markup] = ()) -> str:
    """The document around a body element. `styles` come before our own."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", *styles, asset("assets", "report.css")),
    )
    return "<!doctype html>\n" + el("html", head, body, lang="en") + "\n"


def section(title: str, lead: str | None, *content: Markup | None) -> Markup:
    """A part of a page under its heading."""
    return el("section", el("h2", title), el("p", lead, class_="lead") if lead else None, *content)


def footer(text: str) -> Markup:
    """The end of a page."""
    return el("footer", el("div", text))


def asset(folder: str, name: str) -> Markup:
    """A file that goes into the page as it is."""
    text = importlib.resources.files("ha.report").joinpath(folder, name).read_text(encoding="utf-8")
    assert "</script" not in text
    assert "</style" not in text
    return Markup(text)


def script_safe(text: str) -> Markup:
    """What stands in a script element cannot end it."""
    return Markup(text.replace("<", "\\u003c"))
