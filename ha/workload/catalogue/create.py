"""Unique creations: every request creates a ConfigMap that nobody else creates, and nobody deletes one.

Whatever was acknowledged must be there in the end. Reading back is one consistent list (in pages of one
snapshot), recorded as a read of each key that was ever asked for: each by a client of its own, since all of
them took place at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from ha.history import Operation
from ha.workload.catalogue import WorkloadKind
from ha.workload.client import Client
from ha.workload.configmaps import Answer
from ha.workload.context import Context, NotSetUpError, for_each, persist, take_turns
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
        """List until it is answered."""
        final: list[Operation] = []

        async def work(client: Client) -> None:
            await persist(client, lambda: self._list(client, final), patience_s=self._context.patience_s)

        await for_each([self._context.client(len(self._clients))], work)
        return final

    async def _turn(self, client: Client) -> None:
        value = client.new_value()
        self._keys.append(value)
        await client.ask("create", value, value=value)

    async def _list(self, client: Client, final: list[Operation]) -> str | None:
        recorder = self._context.recorder
        pending = [
            recorder.invoke(client.workload, client.number + index, "read", key) for index, key in enumerate(self._keys)
        ]
        found = await client.list_all()
        if isinstance(found, Answer):
            for read in pending:
                recorder.complete(read, found.outcome, error=found.error)
            return found.error
        for read in pending:
            value, revision = found.get(read.key, (None, 0))
            final.append(recorder.complete(read, "ok", value=value, revision=revision))
        return None


WORKLOAD = WorkloadKind("create", "creations of unique ConfigMaps, none of which may vanish", Create)
