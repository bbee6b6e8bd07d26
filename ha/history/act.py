"""One operation of a counterexample, in words: what terminals, pages and pictures show of it."""

from __future__ import annotations

import msgspec

__all__ = ["Act"]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what, and when. `end` None: nobody knows whether and when it took effect. `guilty`: the answer that no
    order explains, where one stands out.
    """

    client: str
    what: str
    start: float
    end: float | None = None
    guilty: bool = False
