"""An in-memory store client: etcd's own state machine behind the methods that the API server uses.

Faults: `unavailable` refuses every request definitely, `silent` lets every request run into its deadline,
`lose_next_answer` applies the next write and lets its answer get lost, `drop_watches` ends every watch.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import trio

from ha.etcd.api import (
    Answer,
    CompactionRequest,
    Compare,
    Fault,
    LeaseGrantRequest,
    LeaseGrantResult,
    Op,
    RangeRequest,
    RangeResult,
    TxnRequest,
    TxnResult,
    WatchBatch,
    request_op,
)
from ha.etcd.commands import Request, encode
from ha.etcd.errors import COMPACTED, CompactedError, EtcdTimeoutError, EtcdUnavailableError, error_of
from ha.etcd.machine import EtcdMachine
from ha.etcd.watch import Compacted, WatchCreateRequest, WatchHub


class FakeEtcd:
    """Implements `ha.controlplane.apiserver.store.StoreClient`; several clients may share one `machine`."""

    def __init__(self, machine: EtcdMachine | None = None, *, timeout_s: float = 5.0) -> None:
        self.machine = machine or EtcdMachine()
        self.hub = WatchHub(self.machine)
        self.timeout_s = timeout_s
        self.unavailable = False
        self.silent = False
        self.lose_next_answer = False
        self.watches_stalled = False
        self.requests = 0
        self._drop = trio.Event()
        self._leases = 0

    async def range(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        revision: int = 0,
        limit: int = 0,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
    ) -> RangeResult:
        await self._reach()
        answer = self.machine.store.range(
            RangeRequest(
                key,
                range_end,
                limit=limit,
                revision=revision,
                serializable=serializable,
                keys_only=keys_only,
                count_only=count_only,
            )
        )
        if isinstance(answer, Fault):
            raise error_of(answer.code, answer.message)
        return answer

    async def txn(self, compare: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op] = ()) -> TxnResult:
        request = TxnRequest(list(compare), [request_op(o) for o in success], [request_op(o) for o in failure])
        answer = await self._apply(request)
        assert isinstance(answer, TxnResult)
        return answer

    async def compact(self, revision: int) -> object:
        return await self._apply(CompactionRequest(revision))

    async def lease_grant(self, ttl_s: int) -> LeaseGrantResult:
        self._leases += 1
        answer = await self._apply(LeaseGrantRequest(ttl_s, self._leases))
        assert isinstance(answer, LeaseGrantResult)
        return answer

    @asynccontextmanager
    async def watch(
        self,
        key: bytes,
        range_end: bytes = b"",
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
    ) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        await self._reach()
        request = WatchCreateRequest(key, range_end, start_revision, progress_notify, prev_kv=prev_kv)
        async with aclosing(self._batches(request)) as batches:
            yield batches

    def drop_watches(self) -> None:
        """End every watch, as a lost connection does."""
        self._drop.set()
        self._drop = trio.Event()

    async def _batches(self, request: WatchCreateRequest) -> AsyncGenerator[WatchBatch, None]:
        dropped, woken = self._drop, trio.Event()

        def wake() -> None:
            woken.set()

        watcher = self.hub.add(request, wake)
        try:
            while not dropped.is_set():
                taken = None if self.watches_stalled else watcher.take()
                if isinstance(taken, Compacted):
                    raise CompactedError(COMPACTED.code, COMPACTED.message, definite=True)
                if taken is not None:
                    yield taken
                elif self.watches_stalled or watcher.caught_up:
                    await _either(dropped, woken)
                    woken = trio.Event()
            raise EtcdUnavailableError(14, "connection lost", definite=True)
        finally:
            self.hub.remove(watcher)

    async def _apply(self, request: Request) -> Answer:
        await self._reach()
        answer = self.machine.apply(0, encode(request))
        if self.lose_next_answer:
            self.lose_next_answer = False
            raise EtcdTimeoutError(4, "context deadline exceeded", definite=False)
        if isinstance(answer, Fault):
            raise error_of(answer.code, answer.message)
        return answer

    async def _reach(self) -> None:
        self.requests += 1
        await trio.lowlevel.checkpoint()
        if self.silent:
            await trio.sleep(self.timeout_s)
            raise EtcdTimeoutError(4, "context deadline exceeded", definite=False)
        if self.unavailable:
            raise EtcdUnavailableError(14, "etcdserver: no leader", definite=True)


async def _either(*events: trio.Event) -> None:
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)
