"""What workloads that ask the store itself have in common: clients, each pinned to one member, the members in turn, so
that a deposed or an isolated leader is asked, too; a mind per client that decides what it asks; a last look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import trio

from ha.history import Operation
from ha.history.store import LeaseKeepAlive, StoreRequest, Version
from ha.workload.context import Context, for_each, persist, take_turns
from ha.workload.pacing import Arrivals
from ha.workload.store_client import StoreClient
from ha.workload.store_mind import TTL_S, everything

__all__ = ["Mind", "StoreDriver"]

_EXPIRY_S = TTL_S + 15.0
"""How long reading back waits for leases that nobody renews: far longer than a store that works may take."""
_LOOK_S = 0.5
"""How often it looks."""


class Mind(Protocol):
    """What one client asks next: decided by its stream of randomness and by what it was answered."""

    kept: int | None
    """A lease that is to be renewed until the end."""

    def next(self, now_s: float) -> StoreRequest:
        """What to ask now."""
        ...

    def learn(self, operation: Operation) -> None:
        """Take note of how it went."""
        ...


class StoreDriver:
    """See `ha.workload.catalogue.Driver`. `mind` makes the mind of a client."""

    def __init__(self, context: Context, mind: Callable[[StoreClient, Sequence[str]], Mind]) -> None:
        self._context = context
        self._keys = [f"{context.name}/{number}" for number in range(context.spec.keys)]
        self._clients = [context.store_client(number) for number in range(context.spec.clients)]
        self._minds = {client: mind(client, self._keys) for client in self._clients}

    async def set_up(self) -> None:
        """Nothing is needed."""

    async def run(self, arrivals: Arrivals, until: trio.Event) -> None:
        """Whatever the clients have in mind."""
        await take_turns(self._clients, arrivals, self._turn, until)

    async def read_back(self) -> Sequence[Operation]:
        """Everything, linearizably, of each member. Before that, leases that nobody renews get the time to run out;
        those that are kept are renewed until the end.
        """
        final: list[Operation] = []
        count = len(self._context.members)
        readers = [self._context.store_client(len(self._clients) + number) for number in range(count)]
        async with trio.open_nursery() as nursery:
            for client in self._clients:
                nursery.start_soon(self._keep, client)
            await for_each(readers[:1], self._await_expiry)

            async def read(reader: StoreClient) -> None:
                attempt = partial(self._read, reader, final)
                await persist(reader, attempt, patience_s=self._context.patience_s)

            await for_each(readers, read)
            nursery.cancel_scope.cancel()
        return final

    async def _turn(self, client: StoreClient) -> None:
        mind = self._minds[client]
        mind.learn(await client.call(mind.next(self._context.recorder.now_s())))

    async def _keep(self, client: StoreClient) -> None:
        """Renew the lease that this client keeps, until cancelled."""
        mind = self._minds[client]
        while mind.kept is not None:
            mind.learn(await client.call(LeaseKeepAlive(mind.kept)))
            await trio.sleep(TTL_S / 3)

    async def _await_expiry(self, reader: StoreClient) -> None:
        kept = {mind.kept for mind in self._minds.values()}
        with trio.move_on_after(_EXPIRY_S):
            while True:
                found: list[Operation] = []
                await persist(reader, partial(self._read, reader, found), patience_s=self._context.patience_s)
                if not any(kv.lease and kv.lease not in kept for read in found for kv in _kvs(read)):
                    return
                await trio.sleep(_LOOK_S)

    async def _read(self, reader: StoreClient, found: list[Operation]) -> str | None:
        operation = await reader.call(everything(self._context.name))
        if operation.outcome != "ok":
            return operation.error or operation.outcome
        found.append(operation)
        return None


def _kvs(read: Operation) -> Sequence[Version]:
    return read.store.answer.kvs if read.store and read.store.answer else []
