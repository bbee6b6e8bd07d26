"""Locks in the store, held with leases: a few keys, many who want them, and writes that the holder fences.

What they ask is decided in `ha.workload.lock_mind`; the history holds every request and every answer whole.
"""

from __future__ import annotations

from ha.workload.catalogue import WorkloadKind
from ha.workload.context import Context
from ha.workload.lock_mind import LockMind
from ha.workload.store_driver import StoreDriver

__all__ = ["WORKLOAD"]


def _drive(context: Context) -> StoreDriver:
    return StoreDriver(context, lambda client, locks: LockMind(locks, client.random, client.new_value))


WORKLOAD = WorkloadKind("lock", "locks in the store, held with leases by clients of its members", _drive)
