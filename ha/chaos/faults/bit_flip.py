"""Bit rot: found only when the file is read again, after a restart."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike
from ha.world import BitFlip

__all__ = ["FAULT"]


class _BitFlip:
    name = "bit-flip"
    summary = "one bit of what is durable is flipped; put right afterwards, as a scrub from a mirror does"
    attestation = "file, byte and bit; found by a checksum when the file is read, after a restart"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        return [Disturb(str(victim), BitFlip(victim.node, victim.process)) for victim in strike.victims]


FAULT = _BitFlip()
