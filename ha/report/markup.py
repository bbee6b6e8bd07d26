"""HTML that cannot be injected into: text is escaped unless it was built here.

`Markup` is a string known to be safe; everything else that is put into an element is escaped, control
characters included. A template language was rejected: a dependency, a second syntax, and escaping that has
to be switched on.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

__all__ = ["Markup", "el", "fragment"]

_VOID = frozenset({"br", "meta", "link", "rect", "line", "path", "circle", "polyline"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Markup(str):
    """Safe markup."""

    __slots__ = ()


def fragment(*children: str | Iterable[str | None] | None) -> Markup:
    """Children one after the other; strings are escaped, None is nothing."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", child)))
        else:
            parts.append(fragment(*child))
    return Markup("".join(parts))


def el(
    name: str, /, *children: str | Iterable[str | None] | None, attrs: dict[str, str] | None = None, **named: object
) -> Markup:
    """An element. ``class_`` is ``class``, ``aria_label`` is ``aria-label``; None leaves an attribute out."""
    pairs = {key.rstrip("_").replace("_", "-"): value for key, value in named.items()} | (attrs or {})
    text = "".join(f' {key}="{fragment(_text(value))}"' for key, value in pairs.items() if value is not None)
    if name in _VOID and not children:
        return Markup(f"<{name}{text}>" if name in {"br", "meta", "link"} else f"<{name}{text}/>")
    return Markup(f"<{name}{text}>{fragment(*children)}</{name}>")


def _text(value: object) -> str:
    """A plain string, so that an attribute is escaped even when it is Markup."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str.__str__(value) if isinstance(value, Markup) else str(value)
