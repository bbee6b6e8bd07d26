"""A map of texts: get, put and append, every key empty in the beginning; the key-value format of porcupine's tests.

``{:process 0, :type :invoke, :f :put, :key "a", :value "x"}``, one per line.
"""

from __future__ import annotations

import re
from typing import get_args

from ha.history import Outcome
from ha.history.calls import CallType
from ha.history.formats import Format, History, ReadProgress, bad_line
from ha.history.pairing import Pairing, PairingError

__all__ = ["FORMAT"]

_ALLOWED = '{:process N, :type :invoke|:ok|:fail|:info, :f :get|:put|:append, :key "KEY", :value nil or "TEXT"}'
_TEXT = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    r"\{:process (\d+), :type :(invoke|ok|fail|info), :f :(get|put|append), :key "
    + _TEXT
    + r", :value (?:nil|"
    + _TEXT
    + r")\}"
)
_TYPES: dict[str, CallType] = {"get": "read", "put": "write", "append": "append"}
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_OUTCOMES: dict[str, Outcome] = {outcome: outcome for outcome in get_args(Outcome)}


def _matches(line: bytes) -> bool:
    return line.lstrip().startswith(b"{:")


def _read(data: bytes, source: str, progress: ReadProgress) -> History:
    pairing = Pairing()
    for number, raw in enumerate(bytes(data).split(b"\n"), start=1):
        line = raw.decode("utf-8", "replace").strip()
        if not line:
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise bad_line(source, number, "is no line of the kv format", raw, _ALLOWED)
        process, kind, function, key, value = found.groups()
        type_, value = _TYPES[function], None if value is None else _ESCAPED.sub(_unescaped, value)
        if value is None and (kind == "invoke") != (type_ == "read") and kind in ("invoke", "ok"):
            raise bad_line(source, number, "has no value", raw, _ALLOWED)
        try:
            if kind == "invoke":
                pairing.invoke(number, process, key, type_, value, None)
            else:
                pairing.complete(number, process, key, type_, _OUTCOMES[kind], value)
        except PairingError as error:
            raise bad_line(
                source, number, str(error), raw, "one operation at a time for each process, completed as it began"
            ) from error
    progress(len(pairing.calls))
    return History(calls=pairing.calls, initial="")


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1], found[1])


FORMAT = Format("kv", 'a map of texts ({:process 0, :type :invoke, :f :get, :key "a", :value nil})', _matches, _read)
