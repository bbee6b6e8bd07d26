"""Looks whether the load was one: clients that cease to ask meet no outage, and measure none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ha.history import Operation

__all__ = ["standstills"]


def standstills(load: Sequence[Operation], start_s: float, end_s: float, allowed_s: Mapping[str, float]) -> list[str]:
    """A sentence for each workload that asked nothing for longer than `allowed_s` within ``[start_s, end_s]``.

    Allowed is what all its clients may spend on answers that do not come, and on waiting for an arrival.
    """
    found = []
    for workload, limit_s in allowed_s.items():
        asked = sorted(operation.invoked_s for operation in load if operation.workload == workload)
        pause_s, since_s = max((later - earlier, earlier) for earlier, later in pairwise([start_s, *asked, end_s]))
        if pause_s > limit_s:
            found.append(f"workload {workload} asked nothing for {pause_s:.1f} s, from {since_s:.1f} s on")
    return found
