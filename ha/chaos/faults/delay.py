"""A slow network: latency, and jitter on top, between the target's nodes and the others."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb, between
from ha.chaos.faults import Action, Strike
from ha.world import Delay

__all__ = ["FAULT"]


class _Delay:
    name = "delay"
    summary = "what passes between the target and the others takes longer, both ways"
    attestation = "that all processes obey; the bytes that were held up meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        fault, here, there = strike.fault, strike.nodes, strike.others
        assert fault.latency_s is not None, "validated"
        links = between(here, there) + between(there, here)
        return [Disturb("links", Delay(links, fault.latency_s, fault.jitter_s or 0.0))] if links else []


FAULT = _Delay()
