"""Registers: clients read, overwrite, and compare-and-set a few keys at once.

The mix: one in five is an unconditional write (PUT without resourceVersion, of a random key); half are a cas of
the key that this client saw last, over the revision it saw there; the others, and those for which it has seen
nothing, are consistent reads (GET) of a random key. So most cas meet the revision that they expect, and some
lose the race: both are what the checker wants to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from ha.history import Operation, OperationType
from ha.workload.catalogue import WorkloadKind
from ha.workload.client import Client
from ha.workload.context import Context, NotSetUpError, for_each, persist, read_all, share, take_turns
from ha.workload.pacing import Arrivals
from ha.world import Random

__all__ = ["WORKLOAD", "Register", "choose"]

_WRITES = 0.2
_CAS = 0.5


def choose(random: Random, keys: Sequence[str], seen: tuple[str, int] | None) -> tuple[OperationType, str, int | None]:
    """Type, key and expected revision of a client's next operation. `seen`: the key and revision it saw last."""
    draw = random.random()
    if draw < _WRITES:
        return "write", random.choice(keys), None
    if draw < _WRITES + _CAS and seen is not None:
        return "cas", *seen
    return "read", random.choice(keys), None


class Register:
    """See `ha.workload.catalogue.Driver`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._keys = [f"{context.name}-{number}" for number in range(context.spec.keys)]
        self._clients = context.clients()
        self._seen: dict[Client, tuple[str, int] | None] = {}

    async def set_up(self) -> None:
        """Create every key. A creation of unknown outcome is followed by another one, with another value."""
        wrong: list[str] = []

        async def work(client: Client) -> None:
            error = await persist(client, client.ensure_namespace, patience_s=self._context.patience_s)
            for key in share(self._keys, client, self._clients):
                error = error or await persist(
                    client, partial(_create, client, key), patience_s=self._context.patience_s
                )
            wrong.extend([error] if error else [])

        await for_each(self._clients, work)
        if wrong:
            raise NotSetUpError(f"workload {self._context.name}: {wrong[0]}")

    async def run(self, arrivals: Arrivals, until: trio.Event) -> None:
        """Mixed operations."""
        await take_turns(self._clients, arrivals, self._turn, until)

    async def read_back(self) -> Sequence[Operation]:
        """Every key."""
        return await read_all(self._clients, self._keys, patience_s=self._context.patience_s)

    async def _turn(self, client: Client) -> None:
        type_, key, expected = choose(client.random, self._keys, self._seen.get(client))
        value = None if type_ == "read" else client.new_value()
        operation = await client.ask(type_, key, value=value, expected=expected)
        known = operation.outcome == "ok" and operation.revision
        self._seen[client] = (key, operation.revision) if known and operation.revision else None


async def _create(client: Client, key: str) -> str | None:
    operation = await client.ask("create", key, value=client.new_value())
    exists = operation.outcome == "ok" or (operation.error or "").startswith("409")
    return None if exists else f"{key}: {operation.error}"


WORKLOAD = WorkloadKind("register", "reads, writes and compare-and-sets of a few ConfigMaps", Register)
