"""A ring: each node sees a majority, and no two see the same one (Jepsen's majorities-ring)."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike
from ha.world import Cut

__all__ = ["FAULT"]


class _RingPartition:
    name = "ring-partition"
    summary = "the target's nodes stand in a ring and reach their neighbours only: each sees another majority"
    attestation = "that all processes obey; the bytes and connections that were held up meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        nodes = sorted(set(strike.nodes))
        strike.random.shuffle(nodes)
        count = len(nodes)
        reach = (count // 2 + 1) // 2  # so many neighbours on each side, and itself, make a majority
        links = tuple(
            (a, b)
            for i, a in enumerate(nodes)
            for j, b in enumerate(nodes)
            if min((i - j) % count, (j - i) % count) > reach
        )
        return [Disturb("links", Cut(links))] if links else []


FAULT = _RingPartition()
