"""A firewall that rejects: nobody new gets in."""

from __future__ import annotations

from collections.abc import Sequence

from ha.chaos.disturbances import Disturb, between
from ha.chaos.faults import Action, Strike
from ha.world import Refuse

__all__ = ["FAULT"]


class _Refuse:
    name = "refuse"
    summary = "new connections from the others to the target are refused; those that are open stay"
    attestation = "that all processes obey; the connections that were refused meanwhile"
    instant = False

    def actions(self, strike: Strike) -> Sequence[Action]:
        links = between(strike.others, strike.nodes)
        return [Disturb("links", Refuse(links))] if links else []


FAULT = _Refuse()
