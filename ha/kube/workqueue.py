"""A work queue of keys: what level-triggered controllers run on.

The promises are client-go's (util/workqueue): a key is worked on by one worker at a time; a key added while it
waits is not queued twice; a key added while it is worked on is queued again when that is done, so no change is
missed and none piles up. Failures come back after a delay that doubles (`retry`), until `forget`.

`WorkQueue` only orders keys and wakes its readers; the time is the caller's trio clock. Delayed keys wait in a
heap, and a reader sleeps exactly until the first of them is due: nothing polls.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

__all__ = ["Key", "WorkQueue", "work"]

Key = tuple[str, str]
"""Namespace ("" for a cluster-scoped object) and name."""

K = TypeVar("K", bound=tuple[str, ...])


class WorkQueue(Generic[K]):
    """Keys to work on, each at most once at a time. Delays are seconds."""

    def __init__(self, *, retry_base_s: float = 0.01, retry_max_s: float = 2.0) -> None:
        self._base_s = retry_base_s
        self._max_s = retry_max_s
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()  # invariant: the keys of _ready, and those to be queued again when done
        self._working: set[K] = set()
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}  # the earliest delay of each delayed key; other heap entries are stale
        self._failures: dict[K, int] = {}
        self._sequence = 0
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Queue a key, unless it waits already."""
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._notify()

    def add_after(self, key: K, delay_s: float) -> None:
        """Queue a key after a delay. Of several delays the shortest counts."""
        if delay_s <= 0:
            self.add(key)
            return
        due = trio.current_time() + delay_s
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._delayed, (due, self._sequence, key))
        self._notify()

    def retry(self, key: K) -> float:
        """Queue a key that failed, after a delay that doubles with each failure in a row; returns the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay_s = float(min(self._base_s * 2.0 ** min(failures, 32), self._max_s))
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: K) -> None:
        """The key was worked on without failure: its next one counts as the first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key. The caller must say `done` of it."""
        while True:
            self._promote()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._working.add(key)
                await trio.lowlevel.checkpoint()
                return key
            with trio.move_on_at(self._delayed[0][0] if self._delayed else float("inf")):
                await self._wake.wait()

    def done(self, key: K) -> None:
        """The key is no longer worked on; it is queued again if it was added meanwhile."""
        self._working.discard(key)
        if key in self._waiting:
            self._ready.append(key)
            self._notify()

    def _promote(self) -> None:
        now = trio.current_time()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _notify(self) -> None:
        self._wake.set()
        self._wake = trio.Event()


async def work(
    queue: WorkQueue[K],
    sync: Callable[[K], Awaitable[float | None]],
    *,
    transient: tuple[type[Exception], ...],
    on_error: Callable[[K, Exception, float], None],
) -> None:
    """One worker: sync keys for ever. `sync` returns when to look again in seconds, or None: at the next change.

    A `transient` error (the API did not do what was asked) is retried with back-off. Any other exception is our
    bug and ends the worker.
    """
    while True:
        key = await queue.get()
        try:
            again_s = await sync(key)
        except transient as error:
            on_error(key, error, queue.retry(key))
        else:
            queue.forget(key)
            if again_s is not None:
                queue.add_after(key, again_s)
        finally:
            queue.done(key)
