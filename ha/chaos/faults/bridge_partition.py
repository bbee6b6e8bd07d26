"""A bridge: two halves that do not see each other, and one node that sees both."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb, between
from ha.chaos.faults import Action, Strike
from ha.world import Cut

__all__ = ["FAULT"]


class _BridgePartition:
    name = "bridge-partition"
    summary = "the target's nodes fall into two halves, and one of them sees both"
    attestation = "that all processes obey; the bytes and connections that were held up meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        nodes = sorted(set(strike.nodes))
        strike.random.shuffle(nodes)
        _bridge, *rest = nodes
        half = len(rest) // 2
        links = between(rest[:half], rest[half:]) + between(rest[half:], rest[:half])
        return [Disturb("links", Cut(links))] if links else []


FAULT = _BridgePartition()
