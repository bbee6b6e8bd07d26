"""What a run observes, as it becomes known: in memory, and in the run directory if there is one.

A run that is interrupted, or whose supervisor is killed, leaves its history behind: every event, and all
operations and all that watchers were told, but the last buffer of them.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

import trio

from ha.history import Event, Operation
from ha.history.jsonl import encode_line
from ha.history.watch import WatchRecord

__all__ = ["Listener", "Recording"]


class Listener(Protocol):
    """Told of everything as it is recorded; must not block."""

    def operation(self, operation: Operation) -> None:
        """An operation is over."""
        ...

    def event(self, event: Event) -> None:
        """Something happened."""
        ...


class Recording:
    """Collects what one run shows, in memory and as JSON lines. Its clock starts at zero."""

    def __init__(self, directory: Path | None, listener: Listener) -> None:
        self.directory = directory
        self.operations: list[Operation] = []
        self.events: list[Event] = []
        self.watches: list[WatchRecord] = []
        self._listener = listener
        self._start = trio.current_time()
        self._files: list[IO[bytes]] = []
        """The history, the events, the watches; none without a directory."""
        if directory is not None:
            try:
                for name in ("history.jsonl", "events.jsonl", "watches.jsonl"):
                    self._files.append((directory / name).open("wb"))
            except OSError:
                for file in self._files:
                    file.close()
                raise

    def now_s(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._start

    def operation(self, operation: Operation) -> None:
        """Record a finished operation."""
        self.operations.append(operation)
        if self._files:
            self._files[0].write(encode_line(operation))
        self._listener.operation(operation)

    def event(self, event: Event) -> None:
        """Record an event; on file at once, since they are few and tell what a broken run was about."""
        self.events.append(event)
        if self._files:
            self._files[1].write(encode_line(event))
            self._files[1].flush()
        self._listener.event(event)

    def watch(self, record: WatchRecord) -> None:
        """Record what a watcher was told."""
        self.watches.append(record)
        if self._files:
            self._files[2].write(encode_line(record))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failures: list[OSError] = []
        for file in self._files:
            try:
                file.close()
            except OSError as failure:  # closed all the same; what it had buffered is lost
                failures.append(failure)
        if failures and error is None:
            raise failures[0]
        for lost in failures:
            assert error is not None
            error.add_note(f"the recording is incomplete, too: {lost}")
