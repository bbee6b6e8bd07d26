"""A failing disk: every write and sync fails, and what was not synced is gone."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb
from ha.chaos.faults import Action, Strike
from ha.world import DiskError

__all__ = ["FAULT"]


class _DiskError:
    name = "disk-error"
    summary = "EIO from every write and every sync"
    attestation = "that all processes obey; the syncs that were refused meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        return [Disturb(str(victim), DiskError(victim.node, victim.process)) for victim in strike.victims]


FAULT = _DiskError()
