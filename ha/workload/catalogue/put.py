"""Unique puts into the store: every request puts a key of its own, and nobody deletes one.

Whatever was acknowledged must be there in the end. Values of some size fill snapshots, which is what makes them be sent
in pieces; what fills them is random, since a snapshot may be compressed.
"""

from __future__ import annotations

from ha.history import Operation
from ha.history.store import Put, StoreRequest
from ha.workload.catalogue import WorkloadKind
from ha.workload.context import Context
from ha.workload.store_client import StoreClient
from ha.workload.store_driver import StoreDriver

__all__ = ["WORKLOAD", "PutMind"]


class PutMind:
    """See `ha.workload.store_driver.Mind`. It keeps no lease."""

    kept: int | None = None

    def __init__(self, client: StoreClient, value_bytes: int) -> None:
        self._client = client
        self._value_bytes = value_bytes

    def next(self, now_s: float) -> StoreRequest:  # noqa: ARG002  (there is nothing to renew)
        """Another key; its value begins with its name."""
        client, name = self._client, self._client.new_value()
        filling = client.random.randbytes(self._value_bytes // 2).hex()
        value = f"{name} {filling}"[: max(self._value_bytes, len(name))]
        return Put(f"{client.workload}/{name.removeprefix(client.workload + '-')}", value)

    def learn(self, operation: Operation) -> None:
        """What was put before changes nothing."""


def _drive(context: Context) -> StoreDriver:
    return StoreDriver(context, lambda client, _keys: PutMind(client, context.spec.value_bytes))


WORKLOAD = WorkloadKind(
    "put", "puts of unique keys into the store by clients of its members, none of which may vanish", _drive
)
