"""Histories and events as JSON lines: one `Operation`, `WatchRecord` or `Event` per line, in the order of completion.

A run may be killed while it writes, so a last line without its newline is taken for torn: it is dropped and
said to be, never guessed at. Anything else that cannot be read is an error with its line number, because a
checker that skips what it does not understand proves nothing. Pure functions over bytes: whoever owns the
file does the I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from ha.history import Event, Operation
from ha.history.watch import WatchRecord

__all__ = ["HistoryFormatError", "Lines", "decode_events", "decode_operations", "decode_watches", "encode_line"]

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_operations: msgspec.json.Decoder[Operation] = msgspec.json.Decoder(Operation)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_watches: msgspec.json.Decoder[WatchRecord] = msgspec.json.Decoder(WatchRecord)


class HistoryFormatError(ValueError):
    """A line is not what it should be. The message names source, line and reason."""


@dataclass(frozen=True, slots=True)
class Lines(Generic[T]):
    """What a file held. `torn`: its last line had not been written to the end and is not among the items."""

    items: list[T]
    torn: bool


def encode_line(item: Operation | WatchRecord | Event) -> bytes:
    """One item as a line, newline included."""
    return _encoder.encode(item) + b"\n"


def decode_operations(data: bytes, source: str = "history.jsonl") -> Lines[Operation]:
    """Read a history. Raises HistoryFormatError."""
    return _decode(_operations, data, source)


def decode_events(data: bytes, source: str = "events.jsonl") -> Lines[Event]:
    """Read events. Raises HistoryFormatError."""
    return _decode(_events, data, source)


def decode_watches(data: bytes, source: str = "watches.jsonl") -> Lines[WatchRecord]:
    """Read what watchers were told. Raises HistoryFormatError."""
    return _decode(_watches, data, source)


def _decode(decoder: msgspec.json.Decoder[T], data: bytes, source: str) -> Lines[T]:
    *complete, rest = data.split(b"\n")
    items = []
    for number, line in enumerate(complete, start=1):
        try:
            items.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HistoryFormatError(f"{source}:{number}: {error}") from error
    return Lines(items, torn=bool(rest))
