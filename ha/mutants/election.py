"""Bugs in the election of components of which one at a time is active."""
# ruff: noqa: SLF001  (a bug is planted inside)

from __future__ import annotations

from collections.abc import Sequence

from ha.kube.election import LeaderElector
from ha.kube.kinds import Object
from ha.mutants import Patch, mutant

__all__: list[str] = []


@mutant("two-active", "kube-scheduler", "a candidate, of any component, takes a Lease that missed a few renewals")
def _two_active() -> Sequence[Patch]:
    right = LeaderElector._observe

    def observe(self: LeaderElector, lease: Object) -> None:
        right(self, lease)
        if self.holder != self._identity:
            self._observed_at -= self._lease_duration_s - 3 * self._retry_period_s

    return [(LeaderElector, "_observe", observe)]
