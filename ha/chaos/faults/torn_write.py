"""A process that dies within a write: the beginning of its last record is on the disk, the end is not.

A simulated power cut tears what was not synced as well; this is the same for one process, and for real ones. It lasts:
whoever comes back and writes dies again.
"""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike
from ha.world import TornWrite

__all__ = ["FAULT"]


class _TornWrite:
    name = "torn-write"
    summary = "every write stops in its middle, and takes its process along"
    attestation = "that all processes obey; the writes that were torn meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        return [Disturb(str(victim), TornWrite(victim.node, victim.process)) for victim in strike.victims]


FAULT = _TornWrite()
