"""Bugs in watches, of the store and of the API."""
# ruff: noqa: SLF001  (a bug is planted inside)

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ha.controlplane.apiserver import watching as api
from ha.etcd.api import KeyValue, WatchBatch, WatchCreateRequest, WatchEvent
from ha.etcd.machine import EtcdMachine
from ha.etcd.streams import WatchStream
from ha.etcd.watch import Compacted, Watcher
from ha.http import Send
from ha.mutants import Patch, mutant

__all__: list[str] = []

_MANY = 8


@mutant("watch-event-dropped", "etcd", "a watch that has many changes to catch up with misses the last of them")
def _watch_event_dropped() -> Sequence[Patch]:
    right = Watcher._catch_up

    def catch_up(self: Watcher) -> WatchBatch | Compacted | None:
        batch = right(self)
        if isinstance(batch, WatchBatch) and len(batch.events) > _MANY:
            return WatchBatch(batch.revision, batch.events[:-1])
        return batch

    return [(Watcher, "_catch_up", catch_up)]


@mutant("watch-events-reordered", "etcd", "the events of one message come in order of key, not of revision")
def _watch_events_reordered() -> Sequence[Patch]:
    right = Watcher._batch

    def batch(self: Watcher, revision: int, changes: Iterable[KeyValue]) -> WatchBatch:
        return right(self, revision, sorted(changes, key=lambda kv: kv.key))

    return [(Watcher, "_batch", batch)]


@mutant("watch-event-repeated", "etcd", "a watch that is resumed begins with the revision before the one asked for")
def _watch_event_repeated() -> Sequence[Patch]:
    right = Watcher.__init__

    def init(self: Watcher, machine: EtcdMachine, request: WatchCreateRequest, wake: Callable[[], None]) -> None:
        right(self, machine, request, wake)
        if 1 < request.start_revision <= machine.store.revision:
            self._next = max(request.start_revision - 1, machine.store.compact_revision)

    return [(Watcher, "__init__", init)]


@mutant("previous-as-of-now", "etcd", "what an event replaced is looked up when it is sent, below the newest revision")
def _previous_as_of_now() -> Sequence[Patch]:
    def batch(self: Watcher, revision: int, changes: Iterable[KeyValue]) -> WatchBatch:
        store = self._machine.store
        events = []
        for kv in changes:
            previous = store.at(kv.key, store.revision - 1) if self.request.prev_kv else None
            events.append(WatchEvent("PUT" if kv.version else "DELETE", kv, previous))
        return WatchBatch(revision, events)

    return [(Watcher, "_batch", batch)]


@mutant("progress-before-events", "etcd", "a watch that is resumed is told how far the member is, then what it missed")
def _progress_before_events() -> Sequence[Patch]:
    right = WatchStream._create

    async def create(self: WatchStream, request: WatchCreateRequest, send: Send) -> None:
        await right(self, request, send)
        if request.progress_notify and request.start_revision:
            await send(self._encoder.watch_progress(self._service.revision, self._term, max(self._watchers)))

    return [(WatchStream, "_create", create)]


@mutant("bookmark-one-ahead", "kube-apiserver", "a bookmark names the revision that comes next")
def _bookmark_one_ahead() -> Sequence[Patch]:
    right = api.Watcher._bookmark

    def bookmark(self: api.Watcher, annotations: dict[str, str] | None = None) -> bytes:
        self._position = max(self._feed.revision, self._position) + 1
        return right(self, annotations)

    return [(api.Watcher, "_bookmark", bookmark)]
