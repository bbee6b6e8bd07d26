"""Watches inside a member: who wants which changes, and how far each has come.

As in etcd a watcher is *synced* or *unsynced*. A synced one is handed every revision as it is committed, in
a bounded buffer. When its reader is so slow that the buffer is full it becomes unsynced: what is buffered
stays, and from there on it reads the store's own log in bounded steps until it has caught up. A watcher that
starts in the past begins unsynced. So a slow reader costs the member a bounded amount of memory and misses
nothing, unless what it has not read yet is compacted, which ends the watch and says so.

Promises: events in order of revision, each once, a revision never split over batches, and a watch that ends
can be resumed after the revision of its last batch. Two readings of etcd's text that its own server does not
keep are kept here: the events *of* the compacted revision can still be watched, and the revision of a batch
is one up to which everything was delivered, also while catching up.

Sans-IO: a watcher calls `wake` when there is something to `take`, and does nothing else by itself. Watchers
of one key are found by that key, so that a commit costs what is interested in it plus the range watchers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ha.etcd.api import KeyValue, WatchBatch, WatchCreateRequest, WatchEvent
from ha.etcd.machine import EtcdMachine, Observer
from ha.etcd.mvcc import in_range

__all__ = ["Compacted", "WatchHub", "Watcher"]

BUFFERED_EVENTS_MAX = 1024
CATCH_UP_EVENTS = 1000
"""How many changes a step of catching up looks at; etcd's watchBatchMaxRevs is the same number of revisions."""


class Compacted(msgspec.Struct, frozen=True):
    """The watch ended: what comes next is compacted."""

    compact_revision: int


class Watcher:
    """One watch. `take` until it gives None, then wait for `wake`."""

    __slots__ = ("_buffer", "_buffered", "_machine", "_next", "_no_delete", "_no_put", "_synced", "request", "wake")

    def __init__(self, machine: EtcdMachine, request: WatchCreateRequest, wake: Callable[[], None]) -> None:
        self.request = request
        self.wake = wake
        self._machine = machine
        self._no_put = "NOPUT" in request.filters
        self._no_delete = "NODELETE" in request.filters
        self._buffer: list[KeyValue] = []
        self._buffered = 0
        next_revision = machine.store.next_revision
        self._next = max(request.start_revision, 1) if request.start_revision else next_revision
        """The first revision that is neither buffered nor delivered."""
        self._synced = self._next >= next_revision

    @property
    def caught_up(self) -> bool:
        """Whether everything that was committed has been taken: then a progress notification is true."""
        return self._synced and not self._buffer

    def offer(self, revision: int, changes: Sequence[KeyValue]) -> None:
        """Take note of a commit."""
        if not self._synced or revision < self._next:
            return
        wanted = self._wanted(changes)
        if wanted:
            if self._buffered + len(wanted) > BUFFERED_EVENTS_MAX and self._buffer:
                self.unsync(revision)
                return
            self._buffer += wanted
            self._buffered = len(self._buffer)
            self.wake()

    def unsync(self, revision: int) -> None:
        """Read the log from `revision` on, which has neither been buffered nor delivered."""
        if self._synced:
            self._synced = False
            self._next = max(revision, self._next)
            self.wake()

    def take(self) -> WatchBatch | Compacted | None:
        """What to deliver next; None: nothing for now. While not `caught_up` call again: it may have to search."""
        if self._buffer:
            changes, self._buffer, self._buffered = self._buffer, [], 0
            return self._batch(changes[-1].mod_revision, changes)
        return None if self._synced else self._catch_up()

    def _catch_up(self) -> WatchBatch | Compacted | None:
        store = self._machine.store
        if self._next < store.compact_revision:
            return Compacted(store.compact_revision)
        changes, self._next = store.changes_since(self._next, limit=CATCH_UP_EVENTS)
        self._synced = self._next > store.revision
        wanted = self._wanted(changes)
        return self._batch(self._next - 1, wanted) if wanted else None

    def _wanted(self, changes: Iterable[KeyValue]) -> list[KeyValue]:
        key, range_end = self.request.key, self.request.range_end
        wanted = [kv for kv in changes if in_range(kv.key, key, range_end)]
        if self._no_put or self._no_delete:
            wanted = [kv for kv in wanted if not (self._no_put if kv.version else self._no_delete)]
        return wanted

    def _batch(self, revision: int, changes: Iterable[KeyValue]) -> WatchBatch:
        previous = self._machine.store.previous if self.request.prev_kv else _nothing
        return WatchBatch(revision, [WatchEvent("PUT" if kv.version else "DELETE", kv, previous(kv)) for kv in changes])


class WatchHub(Observer):
    """All watchers of a member."""

    def __init__(self, machine: EtcdMachine) -> None:
        self._machine = machine
        self._seen = machine.store.revision
        self._of_key: dict[bytes, dict[Watcher, None]] = {}
        self._of_range: dict[Watcher, None] = {}
        machine.observers.append(self)

    def __len__(self) -> int:
        return len(self._of_range) + sum(len(watchers) for watchers in self._of_key.values())

    def add(self, request: WatchCreateRequest, wake: Callable[[], None]) -> Watcher:
        """Begin a watch."""
        watcher = Watcher(self._machine, request, wake)
        self._group(request)[watcher] = None
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """End a watch."""
        group = self._group(watcher.request)
        del group[watcher]
        if not group and not watcher.request.range_end:
            del self._of_key[watcher.request.key]

    def committed(self, revision: int, changes: Sequence[KeyValue]) -> None:
        """Hand a revision to those who want it."""
        self._seen = revision
        for watcher in self._of_range:
            watcher.offer(revision, changes)
        if self._of_key:
            for key in dict.fromkeys(kv.key for kv in changes):
                for watcher in self._of_key.get(key, ()):
                    watcher.offer(revision, changes)

    def restored(self) -> None:
        """The store jumped: everyone catches up from the log that came with the snapshot."""
        first, self._seen = self._seen + 1, self._machine.store.revision
        for group in (self._of_range, *self._of_key.values()):
            for watcher in group:
                watcher.unsync(first)

    def _group(self, request: WatchCreateRequest) -> dict[Watcher, None]:
        return self._of_range if request.range_end else self._of_key.setdefault(request.key, {})


def _nothing(kv: KeyValue) -> None:
    del kv
