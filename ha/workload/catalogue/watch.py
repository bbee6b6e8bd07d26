"""Watchers of whatever the other workloads write: of the store, each pinned to one member, some through all of them;
and of the API, through the load balancer.

They look at all keys or at one, with the versions that were replaced or without, with deletions left out or with
nothing else. When the cluster healed, each of them has to come to what the store holds by then.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from ha.etcd.client import EtcdError
from ha.history import Operation
from ha.http import HttpError
from ha.kube.errors import ApiError
from ha.workload.catalogue import WorkloadKind
from ha.workload.context import Context
from ha.workload.pacing import Arrivals, Backoff
from ha.workload.watchers import ApiWatcher, Interest, StoreWatcher, Watcher, objects
from ha.world import Address

__all__ = ["WORKLOAD", "Watch"]

_CATCH_UP_S = 30.0
"""How long watchers may take to come to the end, once everything is healed: far longer than any timeout in between."""
_SILENT_S = 5.0
"""The same where a watch stays silent that has nothing to tell (of the real etcd), so that its end is not seen."""
_EVERYTHING = Interest(key="a", range_end="{")
"""Every key of the clients of the store: it begins with the name of its workload."""
_ON_THE_STORE = ("store", "put", "lock")
_OBJECTS = ("register", "create")


class Watch:
    """See `ha.workload.catalogue.Driver`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._watchers = [self._watcher(number) for number in range(context.spec.clients)]

    async def set_up(self) -> None:
        """Nothing is needed."""

    async def run(self, arrivals: Arrivals, until: trio.Event) -> None:  # noqa: ARG002  (it asks once)
        """Watch."""
        async with trio.open_nursery() as nursery:
            for watcher in self._watchers:
                nursery.start_soon(watcher.run)
            await until.wait()
            nursery.cancel_scope.cancel()

    async def read_back(self) -> Sequence[Operation]:
        """Resume every watch, until it has come to what the store holds now."""
        async with trio.open_nursery() as nursery:
            for watcher in self._watchers:
                nursery.start_soon(self._finish, watcher)
        return []

    async def _finish(self, watcher: Watcher) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.run)
            watcher.owed = await self._newest(watcher)
            with trio.move_on_after(_CATCH_UP_S if watcher.speaks else _SILENT_S):
                await watcher.come_to(watcher.owed)
            nursery.cancel_scope.cancel()
        await watcher.aclose()

    async def _newest(self, watcher: Watcher) -> int:
        """0: nobody would tell."""
        backoff = Backoff(self._context.host.random)
        with trio.move_on_after(self._context.patience_s):
            while True:
                try:
                    return await watcher.newest()
                except (ApiError, EtcdError, HttpError):
                    await backoff.pause()
        return 0

    def _watcher(self, number: int) -> Watcher:
        """Each place in turn; what is watched there changes from round to round."""
        context = self._context
        kinds = {name: spec.type for name, spec in context.workloads.items()}
        on_store = [name for name, kind in kinds.items() if kind in _ON_THE_STORE]
        registers = [name for name, kind in kinds.items() if kind == "register"]
        of_objects = any(kind in _OBJECTS for kind in kinds.values())
        places: list[str | None] = [*context.members, "any member", *([None] if of_objects else [])]
        at, place = divmod(number, len(places))
        server = places[place]
        if server is None:
            return self._of_api(number, f"{registers[0]}-0" if registers and at % 2 else None)
        interests = [Interest(key=i.key, range_end=i.range_end, prev_kv=True) for i in [objects(None)] * of_objects]
        if on_store:
            whole, some = _EVERYTHING, f"{on_store[0]}/0"
            interests = [
                Interest(key=whole.key, range_end=whole.range_end, prev_kv=True),
                *interests,
                Interest(key=whole.key, range_end=whole.range_end, filters=["NODELETE"]),
                Interest(key=some, prev_kv=True),
                Interest(key=whole.key, range_end=whole.range_end, prev_kv=True, filters=["NOPUT"]),
            ]
        members = list(context.members.values()) if place == len(context.members) else [context.members[server]]
        return self._of_store(number, server, members, interests[(at + place) % len(interests)])

    def _of_store(self, number: int, server: str, members: Sequence[Address], interest: Interest) -> Watcher:
        context = self._context
        return StoreWatcher(
            context.name,
            number,
            host=context.host,
            record=context.record_watch,
            now_s=context.recorder.now_s,
            server=server,
            members=members,
            interest=interest,
            timeout_s=context.timeout_s,
        )

    def _of_api(self, number: int, name: str | None) -> Watcher:
        context = self._context
        return ApiWatcher(
            context.name,
            number,
            host=context.host,
            record=context.record_watch,
            now_s=context.recorder.now_s,
            server=context.endpoint,
            name=name,
            timeout_s=context.timeout_s,
        )


WORKLOAD = WorkloadKind("watch", "watchers of everything that the other workloads write", Watch)
