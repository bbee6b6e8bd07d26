"""A partition: the target's nodes against the others, both ways or one way. Packets are lost, so TCP waits."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb, between
from ha.chaos.faults import Action, Strike
from ha.world import Cut

__all__ = ["FAULT"]


class _Partition:
    name = "partition"
    summary = "nothing passes between the target and the others, in both directions or in one"
    attestation = "that all processes obey; the bytes and connections that were held up meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        fault, here, there = strike.fault, strike.nodes, strike.others
        inbound = between(there, here) if fault.direction != "outbound" else ()
        outbound = between(here, there) if fault.direction != "inbound" else ()
        return [Disturb("links", Cut(inbound + outbound))] if inbound + outbound else []


FAULT = _Partition()
