"""Our own ``history.jsonl``: one `ha.history.Operation` per line.

Operations on objects become columns, a few hundred thousand per second; those on the store itself stay what they are,
for their requests and answers are judged whole. A history in which no answer tells a revision is one of values alone.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence

import msgspec
import numpy as np

from ha.history import Operation, OperationType
from ha.history.calls import Call, CallType
from ha.history.columns import NONE, OUTCOMES, TYPES, Columns, Rows
from ha.history.formats import Format, History, ReadProgress, bad_line
from ha.history.jsonl import HistoryFormatError

__all__ = ["FORMAT"]

_CHUNK_BYTES = 4 << 20
_ALLOWED = (
    'an operation as an object of JSON, with "workload", "client", "type" (one of '
    f'{", ".join(TYPES)}), "key", "invoked_s", "outcome" (one of {", ".join(OUTCOMES)}), and what else is known: '
    '"value", "expected", "revision", "completed_s", "error", "store"'
)
_EARLY = "is answered before it is asked", "completed_s from invoked_s on"
_SEEN = '"value", "revision" or both, or "revision": 0 alone for a key that was not there'
_ENDLESS = "has an outcome and no completed_s", "outcome info, or a time"
_OF_VALUES: dict[OperationType, CallType] = {
    "read": "read", "write": "write", "create": "create", "delete": "delete"
}  # fmt: skip

_OF_OBJECTS: tuple[OperationType, ...] = ("read", "write", "cas", "create", "delete")

_decoder: msgspec.json.Decoder[Operation] = msgspec.json.Decoder(Operation)


def _matches(line: bytes) -> bool:
    return re.match(rb'\s*\{\s*"', line) is not None


def _read(data: bytes, source: str, progress: ReadProgress) -> History:
    torn = bool(data) and not data.endswith(b"\n")
    if torn and _is_whole(data[data.rfind(b"\n") + 1 :]):
        data, torn = data + b"\n", False
    lines = _Lines(data, source)
    objects, store = lines.read(progress)
    columns = objects.columns(lines.operation)
    lines.refuse_overlaps(columns)
    lines.refuse_impossible(columns)
    if _tells_revisions(columns):
        return History(columns=columns, store=store, unit="s", torn=torn)
    calls = [_call(columns.operation(row)) for row in range(len(columns))]
    return History(calls=[call for call in calls if call is not None], store=store, unit="s", torn=torn)


def _is_whole(line: bytes) -> bool:
    """Whether a line without its newline was written to its end all the same; no beginning of an operation is one."""
    try:
        _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


class _Lines:
    """A file, line by line, and where the operations stand in it."""

    def __init__(self, data: bytes, source: str) -> None:
        self._data = data
        self._source = source
        self._starts = array("q")
        """Of each row."""

    def read(self, progress: ReadProgress) -> tuple[Rows, list[Operation]]:
        """Operations on objects as columns, and those on the store."""
        rows, position, number = Rows(), 0, 1
        store: list[Operation] = []
        while True:
            end = self._data.rfind(b"\n", position, position + _CHUNK_BYTES) + 1
            end = end or self._data.find(b"\n", position) + 1
            if not end:
                return rows, store
            lines = self._data[position : end - 1].split(b"\n")
            operations = self._decode(lines, number)
            lengths = np.fromiter(map(len, lines), np.int64, len(lines)) + 1
            starts = position + np.concatenate([[0], np.cumsum(lengths[:-1])])
            objects = [operation.store is None for operation in operations]
            if not all(objects):
                self._refuse_impossible(operations, lines, number)
                store += [operation for operation in operations if operation.store is not None]
                operations = [operation for operation in operations if operation.store is None]
                starts = starts[objects]
            rows.extend(operations)
            self._starts.frombytes(starts.tobytes())
            position, number = end, number + len(lines)
            progress(len(rows) + len(store))

    def operation(self, row: int) -> Operation:
        """The operation of a row."""
        start = self._starts[row]
        return _decoder.decode(self._data[start : self._data.index(b"\n", start)])

    def refuse_overlaps(self, columns: Columns) -> None:
        """A client has one operation at a time, but for those of which nobody knows when they end."""
        order = np.lexsort((columns.start_s, columns.client))
        ends = np.where(columns.outcome == OUTCOMES["info"], -np.inf, columns.end_s)[order]
        same = columns.client[order][1:] == columns.client[order][:-1]
        wrong = np.flatnonzero(same & (columns.start_s[order][1:] < ends[:-1]))
        if len(wrong):
            earlier, later = order[wrong[0] : wrong[0] + 2].tolist()
            operation = self.operation(later)
            reason = (
                f"client {operation.client} of {operation.workload} begins an operation while that of line "
                f"{self._number(earlier)} is not over"
            )
            raise self._wrong(later, reason, "one operation at a time for each client")

    def refuse_impossible(self, columns: Columns) -> None:
        """What was answered before it was asked, has an outcome and no time at which it was answered, or no meaning."""
        early = np.flatnonzero(columns.end_s < columns.start_s)
        if len(early):
            raise self._wrong(int(early[0]), *_EARLY)
        endless = np.flatnonzero((columns.outcome != OUTCOMES["info"]) & np.isinf(columns.end_s))
        if len(endless):
            raise self._wrong(int(endless[0]), *_ENDLESS)
        other = np.flatnonzero(~np.isin(columns.type, [TYPES[type_] for type_ in _OF_OBJECTS]))
        if len(other):
            reason = "is an operation on a store, and does not say what was asked"
            raise self._wrong(int(other[0]), reason, f'"store", or type {", ".join(_OF_OBJECTS)}')
        self._refuse_vague(columns)

    def _refuse_vague(self, columns: Columns) -> None:
        """What does not say what was seen, or what was demanded: left out, it would hide what it is to show."""
        reads = (columns.type == TYPES["read"]) & (columns.outcome == OUTCOMES["ok"])
        silent = np.flatnonzero(reads & (columns.value == NONE) & (columns.revision == NONE))
        if len(silent):
            raise self._wrong(int(silent[0]), "is a read that was answered, and does not say what it saw", _SEEN)
        mixed = np.flatnonzero(reads & (columns.value != NONE) & (columns.revision == 0))
        if len(mixed):
            raise self._wrong(int(mixed[0]), "is a read that saw a value where nothing was", _SEEN)
        blind = np.flatnonzero((columns.type == TYPES["cas"]) & (columns.expected == NONE))
        if len(blind):
            raise self._wrong(int(blind[0]), "is a cas that demands nothing", '"expected", a revision; or type write')

    def _refuse_impossible(self, operations: Sequence[Operation], lines: Sequence[bytes], number: int) -> None:
        """The same of operations on the store, which are no rows. `number`: of the first line."""
        for at, operation in enumerate(operations):
            if operation.store is None:
                continue
            if operation.completed_s is None and operation.outcome != "info":
                raise bad_line(self._source, number + at, _ENDLESS[0], lines[at], _ENDLESS[1])
            if operation.completed_s is not None and operation.completed_s < operation.invoked_s:
                raise bad_line(self._source, number + at, _EARLY[0], lines[at], _EARLY[1])

    def _wrong(self, row: int, reason: str, allowed: str) -> HistoryFormatError:
        start = self._starts[row]
        line = self._data[start : self._data.index(b"\n", start)]
        return bad_line(self._source, self._number(row), reason, line, allowed)

    def _number(self, row: int) -> int:
        return self._data.count(b"\n", 0, self._starts[row]) + 1

    def _decode(self, lines: Sequence[bytes], number: int) -> list[Operation]:
        try:
            return list(map(_decoder.decode, lines))
        except (msgspec.DecodeError, UnicodeDecodeError):
            for at, line in enumerate(lines, start=number):
                try:
                    _decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    reason = str(error) if line.strip() else "is an empty line"
                    raise bad_line(self._source, at, reason, line, _ALLOWED) from error
            raise


def _tells_revisions(columns: Columns) -> bool:
    """A cas is one over a revision, whoever was told of it."""
    return bool((columns.revision > 0).any() or (columns.type == TYPES["cas"]).any())


def _call(operation: Operation) -> Call | None:
    """The same without revisions; None: it says nothing. A refusal may have any reason."""
    absent = operation.revision == 0
    says = operation.outcome == "info" or (operation.type != "read" or absent or operation.value is not None)
    if operation.outcome == "fail" or not says or operation.type not in _OF_VALUES:
        return None
    return Call(
        client=f"{operation.workload} {operation.client}",
        key=operation.key,
        type=_OF_VALUES[operation.type],
        value=operation.value,
        start=operation.invoked_s,
        end=operation.completed_s,
        outcome=operation.outcome,
    )


FORMAT = Format("ha", 'our history.jsonl ({"workload":"register","client":0,"type":"read",...})', _matches, _read)
