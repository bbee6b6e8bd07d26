"""What the processes of a world keep together, in memory that they share: what disturbances did, when links are free.

Made by the zygote, so every process that it forks has it. What a process writes here outlives it: a member that stops
because its disk failed would else take the evidence with it.

Nobody locks: a process that is paused while it holds a lock would stop all others. Two that count at the very same
moment may count once, and two that take a link at the same moment may both get it, which lets one piece too many pass.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

from ha.world import Link

__all__ = ["Books", "Count"]

Count: TypeAlias = Literal["bytes_held", "connections_held", "connections_refused", "refused", "slowed", "torn"]
_COUNTS: tuple[Count, ...] = get_args(Count)
_PLACES = 1024
"""More disturbances than will ever be in force at once."""


class Books:
    """See the module. Disturbances are known by their numbers."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self._index = {node: i for i, node in enumerate(sorted(nodes))}
        self._free_at = memoryview(mmap.mmap(-1, 8 * max(1, len(self._index) ** 2))).cast("d")
        self._counts = memoryview(mmap.mmap(-1, 8 * len(_COUNTS) * _PLACES)).cast("q")

    def open(self, number: int) -> None:
        """A disturbance begins."""
        for i in range(len(_COUNTS)):
            self._counts[self._place(number) + i] = 0

    def count(self, number: int, what: Count, by: int = 1) -> None:
        """It did that."""
        self._counts[self._place(number) + _COUNTS.index(what)] += by

    def read(self, number: int) -> dict[str, int]:
        """All that it did, as far as it did anything."""
        counts = {what: self._counts[self._place(number) + i] for i, what in enumerate(_COUNTS)}
        return {what: count for what, count in counts.items() if count}

    def take(self, link: Link, duration_s: float) -> float:
        """Take a link for so long, as soon as it is free; in how many seconds that will be over."""
        place, now = self._link(link), time.monotonic()
        self._free_at[place] = over = max(now, self._free_at[place]) + duration_s
        return over - now

    def free(self, link: Link) -> None:
        """Nobody has it any more."""
        self._free_at[self._link(link)] = 0.0

    def _link(self, link: Link) -> int:
        return self._index[link[0]] * len(self._index) + self._index[link[1]]

    def _place(self, number: int) -> int:
        return number % _PLACES * len(_COUNTS)
