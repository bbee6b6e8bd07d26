"""A full disk: nothing can grow. A store that cannot write must stop, not lie."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike
from ha.world import DiskFull

__all__ = ["FAULT"]


class _DiskFull:
    name = "disk-full"
    summary = "ENOSPC for whatever would make a file grow"
    attestation = "that all processes obey; the syncs that were refused meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        return [Disturb(str(victim), DiskFull(victim.node, victim.process)) for victim in strike.victims]


FAULT = _DiskFull()
