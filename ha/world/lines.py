"""How a line of a component's log looks, the same in every world."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["log_line"]


def log_line(at: str, message: str, fields: Mapping[str, object]) -> bytes:
    """One line with its end: when, what, and ``name=value`` of each field."""
    text = " ".join([at, message, *(f"{name}={_word(value)}" for name, value in fields.items())])
    return (text.replace("\n", "\\n") + "\n").encode(errors="backslashreplace")


def _word(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text) if not text or any(c.isspace() or c in "\"'" for c in text) else text
