"""What happened in a simulation, as a digest: two runs that agree on it did the same things at the same times.

Every segment that is sent (with its content), every sync, start, exit and line of log goes into it, with its time.
The digest so far is kept at each second, so that two runs that differ can be told from when on.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct

__all__ = ["Trace", "first_difference"]

_HEADER = Struct("<dI").pack


class Trace:
    """Grows with the simulation."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self._update = self._hash.update
        self._second = 1.0
        self.events = 0
        self.marks: list[str] = []
        """The digest when each second of virtual time was over (seconds without events have that of the one before)."""

    def add(self, now: float, who: int, what: bytes) -> None:
        """Something happened. `who` tells similar events apart (a connection's number, say)."""
        while now >= self._second:
            self.marks.append(self._hash.copy().hexdigest())
            self._second += 1.0
        self.events += 1
        self._update(_HEADER(now, who))
        self._update(what)

    def digest(self) -> str:
        """Of everything up to now, in hexadecimal."""
        return self._hash.hexdigest()


def first_difference(one: list[str], other: list[str]) -> int | None:
    """The second of virtual time in which two lists of `Trace.marks` part; None when they agree as far as both go."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
