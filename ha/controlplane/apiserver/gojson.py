"""Faulty JSON, described in the words of Go's ``encoding/json``: clients and people see them in upstream's errors."""

from __future__ import annotations

import json

__all__ = ["go_json_error"]

_CONTEXT = (
    ("Expecting property name", "looking for beginning of object key string"),
    ("Illegal trailing comma before end of object", "looking for beginning of object key string"),
    ("Illegal trailing comma before end of array", "looking for beginning of value"),
    ("Expecting value", "looking for beginning of value"),
    ("Expecting ':'", "after object key"),
    ("Extra data", "after top-level value"),
    ("Invalid control character", "in string literal"),
    ("Invalid \\escape", "in string escape code"),
)


def go_json_error(raw: bytes) -> str:
    """What is wrong with a text that is no JSON."""
    text = raw.decode("latin-1")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or error.msg.startswith("Unterminated"):
            return "unexpected end of JSON input"
        context = next((words for start, words in _CONTEXT if error.msg.startswith(start)), None)
        if context is None:
            context = "after array element" if _inside_array(text[: error.pos]) else "after object key:value pair"
        return f"invalid character {_quoted(text[error.pos])} {context}"
    return "invalid UTF-8"


def _inside_array(text: str) -> bool:
    """Whether the innermost bracket that is open at the end of a valid beginning is ``[``."""
    open_brackets: list[str] = []
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[{":
            open_brackets.append(character)
        elif character in "]}":
            open_brackets.pop()
    return open_brackets[-1:] == ["["]


def _quoted(character: str) -> str:
    return "'\\''" if character == "'" else "'\"'" if character == '"' else repr(character)
