"""Bugs in how the time of leases is counted."""
# ruff: noqa: SLF001  (a bug is planted inside)

from __future__ import annotations

from collections.abc import Sequence

import trio

from ha.etcd import member
from ha.etcd.gateway import Gateway, Timing
from ha.etcd.lessor import Lessor
from ha.etcd.member import Config
from ha.etcd.service import EtcdService
from ha.etcd.watch import WatchHub
from ha.mutants import Patch, mutant
from ha.world import Host

__all__: list[str] = []


@mutant("lease-not-extended", "etcd", "a new leader counts leases from when they were granted, renewed or not")
def _lease_not_extended() -> Sequence[Patch]:
    granted, promote = Lessor.lease_granted, Lessor.promote

    def lease_granted(self: Lessor, lease: int, ttl_s: int) -> None:
        granted(self, lease, ttl_s)
        vars(self).setdefault("granted_s", {})[lease] = self._clock()

    def promoted(self: Lessor, term: int, *, extend_s: float) -> None:
        promote(self, term, extend_s=extend_s)
        known = vars(self).get("granted_s", {})
        for lease, ttl_s in self._machine.leases.ttls_s.items():
            if lease in known:
                self._set(lease, known[lease] + ttl_s)
        self._changed()

    return [(Lessor, "lease_granted", lease_granted), (Lessor, "promote", promoted)]


@mutant("lease-by-wall-clock", "etcd", "the time of leases is told by the wall clock, too, which may jump ahead")
def _lease_by_wall_clock() -> Sequence[Patch]:
    right = member._gateway

    def gateway(host: Host, config: Config, service: EtcdService, hub: WatchHub, timing: Timing) -> Gateway:
        ahead_s = host.wall_clock() - trio.current_time()
        service.lessor._clock = lambda: max(host.wall_clock() - ahead_s, trio.current_time())
        return right(host, config, service, hub, timing)

    return [(member, "_gateway", gateway)]
