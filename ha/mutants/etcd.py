"""Bugs in the store: revisions, transactions, compaction, leases."""
# ruff: noqa: SLF001  (a bug is planted inside)

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ha.etcd import txn
from ha.etcd.api import Compare, Done, Fault, KeyValue
from ha.etcd.errors import LEASE_NOT_FOUND
from ha.etcd.machine import EtcdMachine
from ha.etcd.mvcc import Snapshot, Store
from ha.mutants import Patch, mutant

__all__: list[str] = []


@mutant("compaction-one-too-far", "etcd", "compaction takes the versions of the compacted revision itself, too")
def _compaction_one_too_far() -> Sequence[Patch]:
    right = Store._trim

    def trim(self: Store, keys: object, revision: int) -> None:
        right(self, keys, min(revision + 1, self.revision))  # type: ignore[arg-type]

    return [(Store, "_trim", trim)]


@mutant("lease-keeps-keys", "etcd", "a lease that expires or is revoked is forgotten, and its keys stay")
def _lease_keeps_keys() -> Sequence[Patch]:
    def revoke(self: EtcdMachine, lease: int) -> Done | Fault:
        if lease not in self.leases:
            return LEASE_NOT_FOUND
        self.leases.remove(lease)
        for observer in self.observers:
            observer.lease_removed(lease)
        return Done(self.store.revision)

    return [(EtcdMachine, "_revoke", revoke)]


@mutant("lost-compare", "etcd", "a comparison of revisions holds for keys that were changed since, too")
def _lost_compare() -> Sequence[Patch]:
    right = txn._matches

    def matches(compare: Compare, kv: KeyValue) -> bool:
        if compare.target == "MOD" and compare.result == "EQUAL" and kv.mod_revision:
            return kv.mod_revision >= compare.mod_revision > 0
        return right(compare, kv)

    return [(txn, "_matches", matches)]


@mutant(
    "revision-lost-in-snapshot",
    "etcd",
    "a restored store goes on from the newest revision of any key",
)
def _revision_lost_in_snapshot() -> Sequence[Patch]:
    right = Store.restored

    def restored(snapshot: Snapshot) -> Store:
        store = right(snapshot)
        newest = max((kv.mod_revision for kv in store.live(b"\0", b"\0")), default=store.revision)
        del store._offsets[max(newest, store._first_revision) - store._first_revision + 1 :]
        store._log[:] = [kv for kv in store._log if kv.mod_revision <= newest]
        store.revision = max(newest, store.compact_revision)
        return store

    return [(Store, "restored", staticmethod(restored))]


@mutant("version-forgotten", "etcd", "a key that is written again after a restore begins at version one")
def _version_forgotten() -> Sequence[Patch]:
    right = Store.restored

    def restored(snapshot: Snapshot) -> Store:
        base, log = (
            [msgspec.structs.replace(kv, version=min(kv.version, 1)) for kv in kvs]
            for kvs in (snapshot.base, snapshot.log)
        )
        return right(snapshot._replace(base=base, log=log))

    return [(Store, "restored", staticmethod(restored))]
