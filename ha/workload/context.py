"""What a workload is given, and what all of them do alike: many clients at once, and patience with limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import trio

from ha.history import Operation
from ha.history.watch import WatchRecord
from ha.spec import Workload
from ha.workload.client import Client
from ha.workload.connection import Connection
from ha.workload.pacing import Arrivals
from ha.workload.recorder import Recorder
from ha.workload.store_client import StoreClient
from ha.world import Address, Host

__all__ = ["Context", "NotSetUpError", "for_each", "persist", "read_all", "share", "take_turns"]

C = TypeVar("C", bound=Connection)


class NotSetUpError(Exception):
    """The cluster did not let a workload be set up in time. The message says what it answered last."""


@dataclass(frozen=True, slots=True)
class Context:
    """One workload of a run. `name` is unique among them; keys and values begin with it."""

    name: str
    spec: Workload
    workloads: Mapping[str, Workload]
    """All of the run, by name."""
    host: Host
    server: Address | None
    """The control-plane endpoint; None: there is none."""
    members: Mapping[str, Address]
    """Where the etcd members serve clients, by name."""
    recorder: Recorder
    record_watch: Callable[[WatchRecord], None]
    timeout_s: float
    """Of each request."""
    patience_s: float
    """How long setting up, and reading back, may take."""

    def clients(self) -> list[Client]:
        """As many as the file says, fresh."""
        return [self.client(number) for number in range(self.spec.clients)]

    def client(self, number: int) -> Client:
        """One client of the API; `number` is its identity in the history."""
        return Client(
            self.name,
            number,
            host=self.host,
            server=self.endpoint,
            recorder=self.recorder,
            timeout_s=self.timeout_s,
        )

    def store_client(self, number: int) -> StoreClient:
        """One client of a member, of the members in turn."""
        member = list(self.members)[number % len(self.members)]
        return StoreClient(
            self.name,
            number,
            host=self.host,
            member=member,
            server=self.members[member],
            recorder=self.recorder,
            timeout_s=self.timeout_s,
        )

    @property
    def endpoint(self) -> Address:
        """The control-plane endpoint, where there is one."""
        assert self.server is not None, "a workload that needs an API is refused where there is none"
        return self.server


async def for_each(clients: Sequence[C], work: Callable[[C], Awaitable[None]]) -> None:
    """All clients at once; returns when all are done. Their connections are given up."""

    async def one(client: C) -> None:
        try:
            await work(client)
        finally:
            await client.hang_up()

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(one, client)


async def take_turns(
    clients: Sequence[C], arrivals: Arrivals, turn: Callable[[C], Awaitable[None]], until: trio.Event
) -> None:
    """Each client takes a turn with each arrival that it gets, until `until` is set and all are answered."""

    async def work(client: C) -> None:
        while await arrivals.wait(until):
            await turn(client)
            await client.rest(until)

    await for_each(clients, work)


async def persist(client: Connection, attempt: Callable[[], Awaitable[str | None]], *, patience_s: float) -> str | None:
    """Attempt until it returns None: done. Returns what was wrong last when `patience_s` are over."""
    deadline = trio.current_time() + patience_s
    while True:
        wrong = await attempt()
        if wrong is None or trio.current_time() >= deadline:
            return wrong
        await client.pause()


def share(keys: Sequence[str], client: C, clients: Sequence[C]) -> Sequence[str]:
    """The keys that fall to one of several clients."""
    return keys[client.number :: len(clients)]


async def read_all(clients: Sequence[Client], keys: Sequence[str], *, patience_s: float) -> list[Operation]:
    """Read every key until it is answered. A client that loses its patience leaves the rest of its keys out.

    One read per key, and no list: a server may answer a list from a cache, which would vouch for the store.
    """
    final: list[Operation] = []

    async def read(client: Client, key: str) -> str | None:
        operation = await client.ask("read", key)
        if operation.outcome != "ok":
            return f"{key}: {operation.error}"
        final.append(operation)
        return None

    async def work(client: Client) -> None:
        for key in share(keys, client, clients):
            if await persist(client, partial(read, client, key), patience_s=patience_s) is not None:
                return

    await for_each(clients, work)
    return final
