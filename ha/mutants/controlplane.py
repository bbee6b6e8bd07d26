"""Bugs above the store: API server, load balancer, scheduler, controllers."""
# ruff: noqa: SLF001  (a bug is planted inside)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from ha.balancer.backends import Backend, Finding, Transition
from ha.balancer.program import _Balancer
from ha.controlplane.apiserver import subresources
from ha.controlplane.apiserver.cache import Feed
from ha.controlplane.apiserver.store import Check, Commit, Store, Write
from ha.controlplane.controller_manager.controllers.taint_eviction import TaintEvictionController
from ha.etcd.errors import EtcdError
from ha.kube.election import LeaderElector
from ha.kube.errors import ApiError
from ha.kube.kinds import Object
from ha.mutants import Patch, mutant
from ha.world import Stream

__all__: list[str] = []


@mutant("watch-cache-stuck", "kube-apiserver", "a watch cache that lost its watch never gets another one")
def _watch_cache_stuck() -> Sequence[Patch]:
    async def run(self: Feed, *, retry_s: float = 0.1) -> None:
        while True:
            try:
                await self._read_everything()
                await self._follow()
            except (ApiError, EtcdError) as error:
                self._log("the watch of the store was lost", error=str(error), revision=self.revision)
                if self.synced:
                    await trio.sleep_forever()
            await trio.sleep(retry_s)

    return [(Feed, "run", run)]


@mutant("precondition-dropped", "kube-apiserver", "an update overwrites whatever happened meanwhile")
def _precondition_dropped() -> Sequence[Patch]:
    right = Store.commit

    async def commit(self: Store, checks: Sequence[Check], writes: Sequence[Write]) -> Commit:
        return await right(self, [check for check in checks if not check.revision], writes)

    return [(Store, "commit", commit)]


@mutant(
    "dead-backend-kept",
    "load-balancer",
    "a dead backend stays, and nobody tries another one",
)
def _dead_backend_kept() -> Sequence[Patch]:
    right = Backend.observe

    def observe(self: Backend, finding: Finding, at: float, *, fall: int, rise: int) -> Transition | None:
        if finding.state != "up" and self.state == "up":
            return None
        return right(self, finding, at, fall=fall, rise=rise)

    async def try_backends(self: _Balancer, client: Stream) -> None:
        backend = self.pool.choose()
        if backend is not None:
            await self._relay_through(backend, client)

    return [(Backend, "observe", observe), (_Balancer, "_try_backends", try_backends)]


@mutant(
    "bound-twice",
    "kube-scheduler",
    "a scheduler that lost its Lease goes on, and the API server binds a Pod again",
)
def _bound_twice() -> Sequence[Patch]:
    right = LeaderElector._renew_until_lost
    certain = LeaderElector.certain

    def require_unassigned(_pod: Object, _name: str) -> None:
        pass

    def leads_for_ever(self: LeaderElector) -> bool:
        return self.leading if self._name == "kube-scheduler" else certain(self)

    async def renew_for_ever(self: LeaderElector) -> None:
        await right(self)
        if self._name == "kube-scheduler":
            await trio.sleep_forever()

    return [
        (subresources, "_require_unassigned", require_unassigned),
        (LeaderElector, "certain", leads_for_ever),
        (LeaderElector, "_renew_until_lost", renew_for_ever),
    ]


@mutant("eviction-never-comes", "kube-controller-manager", "Pods of a dead node are to be evicted later, for ever")
def _eviction_never_comes() -> Sequence[Patch]:
    async def sync(_self: TaintEvictionController, _key: Any) -> float | None:  # noqa: ANN401
        await trio.lowlevel.checkpoint()
        return None

    return [(TaintEvictionController, "sync", sync)]
