"""Jepsen's log: one register, read, written, compared and set, and empty (nil) in the beginning.

``INFO  jepsen.util - 3 :invoke :cas [1 2]``: tabs between process, kind, operation and value. An ``:info`` is an
unknown outcome, a ``:fail`` was not done (of a cas: it found another value); a read that failed says nothing. Lines of
other loggers, and of the nemesis, are no operations; a log that has no others is none of Jepsen's, and refused.
"""

from __future__ import annotations

import re

from ha.history.calls import CallType
from ha.history.formats import Format, History, ReadProgress, bad_line
from ha.history.pairing import Pairing, PairingError

__all__ = ["FORMAT"]

_ALLOWED = (
    "INFO  jepsen.util - PROCESS :invoke|:ok|:fail|:info :read|:write|:cas VALUE, where VALUE is a number, nil, "
    "[EXPECTED NEW] or :timed-out, with tabs in between"
)
_LOG = re.compile(r"[A-Z]+\s+\S+ - ")
_LINE = re.compile(r"INFO\s+jepsen\.util - (\d+)\t:(invoke|ok|fail|info)\t:(read|write|cas)\t(.*)")
_NEMESIS = re.compile(r"INFO\s+jepsen\.util - :nemesis\b")
_OTHER = re.compile(r"[A-Z]+\s+(?!jepsen\.util )\S+ - ")
_PAIR = re.compile(r"\[(-?\d+|nil) (-?\d+|nil)\]")
_VALUE = re.compile(r"-?\d+|nil")
_REGISTER = "register"


def _matches(line: bytes) -> bool:
    return _LOG.match(line.decode("utf-8", "replace")) is not None


def _read(data: bytes, source: str, progress: ReadProgress) -> History:
    pairing = Pairing()
    for number, raw in enumerate(bytes(data).split(b"\n"), start=1):
        line = raw.decode("utf-8", "replace").rstrip()
        if not line or _OTHER.match(line) or _NEMESIS.match(line):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise bad_line(source, number, "is no line of Jepsen", raw, _ALLOWED)
        try:
            _take(pairing, number, *found.groups())
        except PairingError as error:
            raise bad_line(
                source, number, str(error), raw, "one operation at a time for each process, completed as it began"
            ) from error
        except ValueError as error:
            raise bad_line(source, number, "has a wrong value", raw, _ALLOWED) from error
    if data.strip() and not pairing.calls:
        number, first = next((n, line) for n, line in enumerate(data.split(b"\n"), start=1) if line.strip())
        raise bad_line(source, number, "no line of this log is an operation, and this is the first", first, _ALLOWED)
    progress(len(pairing.calls))
    return History(calls=pairing.calls)


def _take(pairing: Pairing, number: int, process: str, kind: str, function: str, value: str) -> None:
    type_: CallType = "read" if function == "read" else "write" if function == "write" else "cas"
    if kind in {"invoke", "ok"}:
        expected, new = _pair(value) if type_ == "cas" else (None, _value(value))
        if kind == "invoke":
            pairing.invoke(number, process, _REGISTER, type_, new, expected)
        else:
            pairing.complete(number, process, _REGISTER, type_, "ok", new, expected)
    else:
        pairing.complete(number, process, _REGISTER, type_, "fail" if kind == "fail" else "info", None)


def _pair(text: str) -> tuple[str | None, str | None]:
    found = _PAIR.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return _value(found[1]), _value(found[2])


def _value(text: str) -> str | None:
    if _VALUE.fullmatch(text) is None:
        raise ValueError(text)
    return None if text == "nil" else text


FORMAT = Format("jepsen", "Jepsen's log of a register (INFO  jepsen.util - 0 :invoke :read nil)", _matches, _read)
