"""When a silent node may be emptied: never in a panic. Pure.

If most of the cluster is silent, the fault is more likely in the network, or in us, than in the nodes, and moving
all pods makes it worse. Upstream: pkg/controller/nodelifecycle (ComputeZoneState) with one zone, and its rules
for clusters of up to 50 nodes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["ZoneState", "zone_state"]

ZoneState: TypeAlias = Literal["normal", "partial", "full"]

_UNHEALTHY_SHARE = 0.55


def zone_state(ready: int, not_ready: int) -> ZoneState:
    """full: no node is ready. partial: more than two are not, and they are at least 55 %. Else normal."""
    if ready == 0 and not_ready > 0:
        return "full"
    if not_ready > 2 and not_ready / (not_ready + ready) >= _UNHEALTHY_SHARE:
        return "partial"
    return "normal"
