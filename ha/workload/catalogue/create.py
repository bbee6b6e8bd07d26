"""Unique creations: every request creates a ConfigMap that nobody else creates, and nobody deletes one.

Whatever was acknowledged must be there in the end, and every key that was ever asked for is read to see.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from ha.history import Operation
from ha.workload.catalogue import WorkloadKind
from ha.workload.client import Client
from ha.workload.context import Context, NotSetUpError, persist, read_all, take_turns
from ha.workload.pacing import Arrivals

__all__ = ["WORKLOAD", "Create"]


class Create:
    """See `ha.workload.catalogue.Driver`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._clients = context.clients()
        self._keys: list[str] = []

    async def set_up(self) -> None:
        """Only the namespace."""
        client = self._clients[0]
        wrong = await persist(client, client.ensure_namespace, patience_s=self._context.patience_s)
        if wrong is not None:
            raise NotSetUpError(f"workload {self._context.name}: {wrong}")

    async def run(self, arrivals: Arrivals, until: trio.Event) -> None:
        """One creation after the other; the key is its value."""
        await take_turns(self._clients, arrivals, self._turn, until)

    async def read_back(self) -> Sequence[Operation]:
        """Every key, those of unknown outcome too."""
        return await read_all(self._clients, self._keys, patience_s=self._context.patience_s)

    async def _turn(self, client: Client) -> None:
        value = client.new_value()
        self._keys.append(value)
        await client.ask("create", value, value=value)


WORKLOAD = WorkloadKind("create", "creations of unique ConfigMaps, none of which may vanish", Create)
