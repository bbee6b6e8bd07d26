"""What a controller is, and what runs those of a process: informers always, work only while leading.

A controller is level-triggered: `keys` says which keys a change concerns, `sync` makes the world right for one key,
looking only at how things are now. `sync` may be called for any key, at any time, any number of times, and after any
failure. It is called for every object when leadership begins. Between two calls a controller may remember only what it
can do without: expectations, when it saw something first.

Controllers read from the shared informers, which run on standbys too, and write through the client, guarded by
resourceVersion or uid, because what they read may be old and another may lead already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from functools import partial
from typing import ClassVar, Protocol, TypeAlias

import trio

from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.informer import Informer
from ha.kube.kinds import Kind, Object
from ha.kube.workqueue import WorkQueue, work
from ha.world import Host

__all__ = ["Controller", "Key", "Manager"]

Key: TypeAlias = tuple[str, ...]
"""What a controller calls its units of work; mostly namespace and name."""


class Controller(Protocol):
    """One controller. `kinds` are those that it watches, `workers` how many keys it works on at a time."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    workers: ClassVar[int]

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """The keys that a change concerns. Called for every change, on standbys too; must not block."""
        ...

    async def sync(self, key: Key) -> float | None:
        """Make things right for one key. Returns seconds after which to look again, or None."""
        ...


class Manager:
    """All controllers of one process. `run` keeps the informers, which it puts into the mapping that the controllers
    share; `lead` works. `namespaces` names the one namespace that is watched of a kind, if it is only one.
    """

    def __init__(
        self,
        client: KubeClient,
        controllers: Iterable[Controller],
        informers: MutableMapping[Kind, Informer],
        *,
        host: Host,
        namespaces: Mapping[Kind, str] | None = None,
    ) -> None:
        self._host = host
        self._leading = False
        self._failures = 0
        self._informers = informers
        self._controllers = {controller.name: controller for controller in controllers}
        self._queues: dict[str, WorkQueue[Key]] = {name: WorkQueue() for name in self._controllers}
        kinds = {kind for controller in self._controllers.values() for kind in controller.kinds}
        for kind in sorted(kinds, key=lambda k: k.qualified_plural):
            informers[kind] = Informer(
                client,
                kind,
                host=host,
                namespace=(namespaces or {}).get(kind),
                on_change=partial(self._changed, kind),
            )

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
