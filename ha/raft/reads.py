"""ReadIndex (thesis 6.4): linearizable reads without writing to the log.

A read index is the leader's commit index when the read arrived, but at least the no-op of its own term: every
write that was acknowledged before is at or below that. It may be used once a majority has answered a round of
appends that was sent after the read arrived: nobody else can have led then. And it is enough to have applied it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Reads"]


@dataclass(frozen=True, slots=True)
class _Read:
    sequence: int
    index: int
    token: object


class Reads:
    """Reads that wait for a round to be confirmed, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[_Read] = deque()

    @property
    def newest(self) -> int:
        """The round that the last read waits for (0: none waits)."""
        return self._waiting[-1].sequence if self._waiting else 0

    def add(self, token: object, index: int, sequence: int) -> None:
        """A read that may use `index` once round `sequence` is confirmed."""
        self._waiting.append(_Read(sequence, index, token))

    def confirm(self, sequence: int) -> list[tuple[object, int | None]]:
        """A majority answered this round: the reads that waited for it or for an earlier one."""
        done: list[tuple[object, int | None]] = []
        while self._waiting and self._waiting[0].sequence <= sequence:
            read = self._waiting.popleft()
            done.append((read.token, read.index))
        return done

    def fail(self) -> list[tuple[object, int | None]]:
        """Leadership was lost: all of them, without an index."""
        failed: list[tuple[object, int | None]] = [(read.token, None) for read in self._waiting]
        self._waiting.clear()
        return failed
