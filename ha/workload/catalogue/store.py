"""The store itself, as etcd's clients use it: puts, deletes, transactions over several keys, reads of every kind
(linearizable, serializable, of older revisions), compactions, leases.

What they ask is decided in `ha.workload.store_mind`; the history holds every request and every answer whole.
"""

from __future__ import annotations

from functools import partial

from ha.history.store import Put
from ha.workload.catalogue import WorkloadKind
from ha.workload.context import Context, NotSetUpError, for_each, persist, share
from ha.workload.store_client import StoreClient
from ha.workload.store_driver import StoreDriver
from ha.workload.store_mind import StoreMind

__all__ = ["WORKLOAD", "Store"]


class Store(StoreDriver):
    """See `ha.workload.catalogue.Driver`."""

    def __init__(self, context: Context) -> None:
        super().__init__(
            context,
            lambda client, keys: StoreMind(context.name, client.number, keys, client.random, client.new_value),
        )

    async def set_up(self) -> None:
        """Put every key. A put of unknown outcome is followed by another one, with another value."""
        wrong: list[str] = []

        async def work(client: StoreClient) -> None:
            for key in share(self._keys, client, self._clients):
                error = await persist(client, partial(_put, client, key), patience_s=self._context.patience_s)
                if error:
                    wrong.append(error)
                    return

        await for_each(self._clients, work)
        if wrong:
            raise NotSetUpError(f"workload {self._context.name}: {wrong[0]}")


async def _put(client: StoreClient, key: str) -> str | None:
    operation = await client.call(Put(key, client.new_value()))
    return None if operation.outcome == "ok" else f"{key}: {operation.error}"


WORKLOAD = WorkloadKind("store", "everything that etcd's API offers, asked of its members directly", Store)
