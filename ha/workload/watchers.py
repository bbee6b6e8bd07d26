"""Watchers: clients that want to know of every change, and go on where they were when a watch breaks.

They use the clients that the components themselves use (`ha.etcd.client`, `ha.kube.client`), with what these make of
silence, of lost leaders and of compacted revisions. What they were told is written down message by message
(`ha.history.watch`); they look at none of it but for how far they have come.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import trio

from ha.etcd.api import Filter, KeyValue, WatchBatch
from ha.etcd.client import CompactedError, EtcdClient, EtcdError
from ha.history.store import Version
from ha.history.watch import WatchBegun, WatchedEvent, WatchEnded, WatchRecord, WatchTold
from ha.http import HttpError
from ha.kube.client import KubeClient, WatchEvent
from ha.kube.errors import ApiError
from ha.kube.kinds import CONFIG_MAP, Object
from ha.workload.configmaps import NAMESPACE
from ha.workload.pacing import Backoff
from ha.world import Address, Host

__all__ = ["ApiWatcher", "Interest", "StoreWatcher", "Watcher"]

API_WATCH_S = 3.0
"""How long a watch of the API is asked to last: then the server ends it with a bookmark, and it is resumed."""
_GONE = 410


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What to watch: a key or ``[key, range_end)``; the rest as etcd means it."""

    key: str
    range_end: str = ""
    prev_kv: bool = False
    filters: Sequence[Filter] = ()


class Watcher(ABC):
    """One watcher. `run` may be called again when it was cancelled: then it resumes."""

    def __init__(
        self,
        workload: str,
        number: int,
        *,
        host: Host,
        record: Callable[[WatchRecord], None],
        now_s: Callable[[], float],
    ) -> None:
        self.owed = 0
        """How far it must have come before it is stopped; see `WatchEnded`."""
        self.speaks = True
        """Whether a watch in which nothing happens is told how far it has come."""
        self._who: dict[str, Any] = {"workload": workload, "client": number}
        self._record = record
        self._now_s = now_s
        self._backoff = Backoff(host.random)
        self._watches = 0
        self._position = 0
        """Everything up to this revision was told; 0: nothing was asked for yet."""
        self._moved = trio.Event()

    async def run(self) -> None:
        """Watch until cancelled, again and again."""
        try:
            while True:
                await self._watch_once()
                await self._backoff.pause()
        except trio.Cancelled:
            self._ended("stopped", owed=self.owed)
            raise

    async def _watch_once(self) -> None:
        try:
            await self._watch()
            self._ended("closed")
        except CompactedError as error:
            self._position = error.compact_revision  # of which etcd itself may have dropped a part
            self._ended("compacted", compact_revision=error.compact_revision)
        except (ApiError, EtcdError, HttpError) as error:
            gone = isinstance(error, ApiError) and error.status == _GONE
            self._position = 0 if gone else self._position
            self._ended("compacted" if gone else "lost", error=f"{type(error).__name__}: {error}")

    async def come_to(self, revision: int) -> None:
        """Wait until everything up to a revision was told. Bound it with a deadline."""
        while self._position < revision:
            await self._moved.wait()

    @abstractmethod
    async def newest(self) -> int:
        """The revision that the store has now. Raises what the client raises."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give the connections up."""

    @abstractmethod
    async def _watch(self) -> None:
        """One watch, from where the last one ended."""

    def _begun(self, server: str, interest: Interest, *, resumed: bool, state: list[Version] | None = None) -> None:
        """From the position on."""
        self._backoff.reset()
        self._record(
            WatchBegun(
                **self._who,
                number=self._watches,
                at_s=self._now_s(),
                server=server,
                key=interest.key,
                range_end=interest.range_end,
                revision=self._position + 1,
                resumed=resumed,
                prev_kv=interest.prev_kv,
                filters=list(interest.filters),
                state=state,
            )
        )

    def _told(self, revision: int, events: list[WatchedEvent]) -> None:
        record = WatchTold(**self._who, number=self._watches, at_s=self._now_s(), revision=revision, events=events)
        self._record(record)
        self._position = max(self._position, revision)
        self._moved.set()
        self._moved = trio.Event()

    def _ended(self, reason: Literal["compacted", "lost", "closed", "stopped"], **details: Any) -> None:  # noqa: ANN401
        self._record(WatchEnded(**self._who, number=self._watches, at_s=self._now_s(), reason=reason, **details))
        self._watches += 1


class StoreWatcher(Watcher):
    """Of the members at `members`; with one of them it is pinned to that, whatever becomes of it."""

    def __init__(
        self,
        workload: str,
        number: int,
        *,
        host: Host,
        record: Callable[[WatchRecord], None],
        now_s: Callable[[], float],
        server: str,
        members: Sequence[Address],
        interest: Interest,
        timeout_s: float,
    ) -> None:
        super().__init__(workload, number, host=host, record=record, now_s=now_s)
        self._server = server
        self._interest = interest
        self._client = EtcdClient(host.net, members, timeout_s=timeout_s)

    async def newest(self) -> int:
        """See `Watcher`."""
        return (await self._client.range(self._interest.key.encode())).revision

    async def aclose(self) -> None:
        """See `Watcher`."""
        await self._client.aclose()

    async def _watch(self) -> None:
        interest = self._interest
        resumed = bool(self._position)
        async with self._client.watch(
            interest.key.encode(),
            interest.range_end.encode(),
            start_revision=self._position + 1 if resumed else 0,
            prev_kv=interest.prev_kv,
            progress_notify=True,
            filters=interest.filters,
        ) as batches:
            self.speaks = batches.speaks
            if not resumed:
                self._position = batches.created_revision
            self._begun(self._server, interest, resumed=resumed)
            async for batch in batches:
                self._told(batch.revision, _events(batch))


class ApiWatcher(Watcher):
    """Of the ConfigMaps of all workloads, or of one, at the control-plane endpoint: list, watch, resume; list again
    when it is told that its revision is too old.
    """

    def __init__(
        self,
        workload: str,
        number: int,
        *,
        host: Host,
        record: Callable[[WatchRecord], None],
        now_s: Callable[[], float],
        server: Address,
        name: str | None,
        timeout_s: float,
    ) -> None:
        super().__init__(workload, number, host=host, record=record, now_s=now_s)
        self._client = KubeClient(host.net, server, user_agent="ha-workload", timeout_s=timeout_s)
        self._field_selector = "" if name is None else f"metadata.name={name}"
        self._interest = objects(name)

    async def newest(self) -> int:
        """See `Watcher`."""
        return int((await self._client.list(CONFIG_MAP, NAMESPACE, limit=1)).resource_version)

    async def aclose(self) -> None:
        """See `Watcher`."""
        await self._client.aclose()

    async def _watch(self) -> None:
        resumed, state = bool(self._position), None
        if not resumed:
            found = await self._client.list(CONFIG_MAP, NAMESPACE, field_selector=self._field_selector)
            state = [_version(item) for item in found.items]
            self._position = int(found.resource_version)
        async with self._client.watch(
            CONFIG_MAP,
            NAMESPACE,
            resource_version=str(self._position),
            field_selector=self._field_selector,
            timeout_s=API_WATCH_S,
        ) as changes:
            self._begun("API", self._interest, resumed=resumed, state=state)
            async for change in changes:
                self._heed(change)

    def _heed(self, change: WatchEvent) -> None:
        version = _version(change.object)
        if change.type == "BOOKMARK":
            self._told(version.mod_revision, [])
        else:
            self._told(version.mod_revision, [WatchedEvent(change.type, version)])


def objects(name: str | None) -> Interest:
    """Where the store keeps the ConfigMaps of all workloads, or one of them."""
    prefix = f"{CONFIG_MAP.prefix}{NAMESPACE}/"
    if name is not None:
        return Interest(key=f"{prefix}{name}")
    return Interest(key=prefix, range_end=f"{prefix[:-1]}0")


def _events(batch: WatchBatch) -> list[WatchedEvent]:
    return [
        WatchedEvent(event.type, _of_store(event.kv), None if event.prev_kv is None else _of_store(event.prev_kv))
        for event in batch.events
    ]


def _of_store(kv: KeyValue) -> Version:
    key, value = (data.decode(errors="backslashreplace") for data in (kv.key, kv.value))
    return Version(key, value, kv.create_revision, kv.mod_revision, kv.version, kv.lease)


def _version(item: Object) -> Version:
    meta = item["metadata"]
    key = f"{CONFIG_MAP.prefix}{NAMESPACE}/{meta.get('name', '')}"
    return Version(key, item.get("data", {}).get("value", ""), 0, int(meta["resourceVersion"]), 0)
