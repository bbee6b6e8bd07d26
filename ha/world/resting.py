"""Large work behind the back of others: it rests for longer than it works, so that they hardly notice."""

from __future__ import annotations

import trio

__all__ = ["REST", "rest"]

REST = 4
"""For so many times as long as it works."""
_LONGEST_S = 0.2
"""It may have been stopped meanwhile, or have waited for a slow disk: others gain nothing by a long rest after that."""


async def rest(begun_s: float, times: int = REST) -> None:
    """Rest from a piece of work that began at `begun_s`, by `trio.current_time`. Virtual time does not pass while one
    works: there others just have their turn.
    """
    await trio.sleep(min(times * (trio.current_time() - begun_s), _LONGEST_S))
