"""What a workload is given, and what all of them do alike: many clients at once, and patience with limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import trio

from ha.history import Operation
from ha.spec import Workload
from ha.workload.client import Client
from ha.workload.pacing import Arrivals
from ha.workload.recorder import Recorder
from ha.world import Address, Host

__all__ = ["Context", "NotSetUpError", "Turn", "for_each", "persist", "read_all", "share", "take_turns"]

Turn: TypeAlias = Callable[[Client], Awaitable[None]]
"""One operation of one client."""


class NotSetUpError(Exception):
    """The cluster did not let a workload be set up in time. The message says what it answered last."""


@dataclass(frozen=True, slots=True)
class Context:
    """One workload of a run. `name` is unique among them; keys and values begin with it."""

    name: str
    spec: Workload
    host: Host
    server: Address
    recorder: Recorder
    timeout_s: float
    """Of each request."""
    patience_s: float
    """How long setting up, and reading back, may take."""

    def clients(self) -> list[Client]:
        """As many as the file says, fresh."""
        return [self.client(number) for number in range(self.spec.clients)]

    def client(self, number: int) -> Client:
        """One client; `number` is its identity in the history."""
        return Client(
            self.name,
            number,
            host=self.host,
            server=self.server,
            recorder=self.recorder,
            timeout_s=self.timeout_s,
        )


async def for_each(clients: Sequence[Client], work: Callable[[Client], Awaitable[None]]) -> None:
    """All clients at once; returns when all are done. Their connections are given up."""

    async def one(client: Client) -> None:
        try:
            await work(client)
        finally:
            await client.hang_up()

    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(one, client)


async def take_turns(clients: Sequence[Client], arrivals: Arrivals, turn: Turn, until: trio.Event) -> None:
    """Each client takes a turn with each arrival that it gets, until `until` is set and all are answered."""

    async def work(client: Client) -> None:
        while await arrivals.wait(until):
            await turn(client)
            await client.rest(until)

    await for_each(clients, work)


async def persist(client: Client, attempt: Callable[[], Awaitable[str | None]], *, patience_s: float) -> str | None:
    """Attempt until it returns None: done. Returns what was wrong last when `patience_s` are over."""
    deadline = trio.current_time() + patience_s
    while True:
        wrong = await attempt()
        if wrong is None or trio.current_time() >= deadline:
            return wrong
        await client.pause()


def share(keys: Sequence[str], client: Client, clients: Sequence[Client]) -> Sequence[str]:
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
