"""A slow disk: the syncs of a busy neighbour, or of a cloud volume without credits."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike
from ha.world import SlowDisk

__all__ = ["FAULT"]


class _SlowDisk:
    name = "slow-disk"
    summary = "every sync takes longer"
    attestation = "that all processes obey; the syncs that were held up meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        latency_s = strike.fault.latency_s
        assert latency_s is not None, "validated"
        return [Disturb(str(victim), SlowDisk(victim.node, latency_s, victim.process)) for victim in strike.victims]


FAULT = _SlowDisk()
