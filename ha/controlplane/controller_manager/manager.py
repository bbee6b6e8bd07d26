"""Runs the controllers: informers always, work only while leading."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import trio

from ha.controlplane.controller_manager.config import Config
from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.controlplane.controller_manager.registry import all_controllers
from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.events import EventRecorder
from ha.kube.informer import Informer
from ha.kube.kinds import LEASE, Kind, Object
from ha.kube.workqueue import WorkQueue, work
from ha.world import Host

__all__ = ["Manager"]

_NAMESPACES = {LEASE: "kube-node-lease"}
"""Kinds of which only one namespace is watched: leader-election leases are nobody's business here."""


class Manager:
    """All controllers of one process. `run` keeps the informers; `lead` works."""

    def __init__(self, client: KubeClient, events: EventRecorder, config: Config, *, host: Host) -> None:
        self._host = host
        self._leading = False
        self._failures = 0
        self._informers: dict[Kind, Informer] = {}
        context = Context(client, host, config, events, self._informers)
        classes = all_controllers()
        for kind in sorted({k for c in classes.values() for k in c.kinds}, key=lambda k: k.qualified_plural):
            self._informers[kind] = Informer(
                client,
                kind,
                host=host,
                namespace=_NAMESPACES.get(kind),
                on_change=partial(self._changed, kind),
            )
        self._controllers: dict[str, Controller] = {name: c(context) for name, c in classes.items()}
        self._queues: dict[str, WorkQueue[Key]] = {name: WorkQueue() for name in classes}

    async def run(self) -> None:
        """Keep the copies up to date."""
        async with trio.open_nursery() as nursery:
            for informer in self._informers.values():
                nursery.start_soon(informer.run)

    async def lead(self) -> None:
        """Work until cancelled. Every object is looked at first."""
        for informer in self._informers.values():
            await informer.synced.wait()
        self._leading = True
        for kind, informer in self._informers.items():
            for obj in informer.list():
                self._changed(kind, None, obj)
        async with trio.open_nursery() as nursery:
            for name, controller in self._controllers.items():
                for _ in range(controller.workers):
                    nursery.start_soon(self._work, name, controller)

    def metrics(self) -> Mapping[str, float]:
        """Upstream's names where it has the same metric."""
        depths = {f'workqueue_depth{{name="{name}"}}': float(len(queue)) for name, queue in self._queues.items()}
        return {**depths, "controller_sync_failures_total": self._failures}

    def _changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        for name, controller in self._controllers.items():
            if kind in controller.kinds:
                for key in controller.keys(kind, old, new):
                    if self._leading:
                        self._queues[name].add(key)

    async def _work(self, name: str, controller: Controller) -> None:
        await work(
            self._queues[name],
            controller.sync,
            transient=(ApiError, HttpError),
            on_error=partial(self._failed, name),
        )

    def _failed(self, name: str, key: Key, error: Exception, again_s: float) -> None:
        self._failures += 1
        self._host.log("sync failed", controller=name, key="/".join(key), error=str(error), again_s=again_s)
