"""A narrow network: what each link between the target and the others can carry."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb, between
from ha.chaos.faults import Action, Strike
from ha.world import Bandwidth

__all__ = ["FAULT"]


class _Bandwidth:
    name = "bandwidth"
    summary = "each link between the target and the others passes so many bytes a second, both ways"
    attestation = "that all processes obey; the bytes that were held up meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        fault, here, there = strike.fault, strike.nodes, strike.others
        assert fault.bytes_per_s is not None, "validated"
        links = between(here, there) + between(there, here)
        return [Disturb("links", Bandwidth(links, fault.bytes_per_s))] if links else []


FAULT = _Bandwidth()
