"""The store against the simplest model of it: a list of dicts, the whole keyspace at each revision.

Whatever sequence of puts, deletes, transactions, leases, compactions, snapshots and restarts: every
uncompacted revision reads as the model says, the changes told to watches turn one revision into the next,
and a member that was restored from a snapshot cannot be told from one that applied everything.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ha.etcd.api import (
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    DeleteResult,
    Done,
    Fault,
    KeyValue,
    LeaseGrantRequest,
    LeaseRevokeRequest,
    PutRequest,
    PutResult,
    RangeRequest,
    RangeResult,
    TxnRequest,
    TxnResult,
    request_ops,
)
from ha.etcd.commands import Request, encode
from ha.etcd.errors import COMPACTED, FUTURE_REVISION, LEASE_NOT_FOUND
from ha.etcd.machine import EtcdMachine
from ha.etcd.mvcc import in_range

Keyspace = dict[bytes, KeyValue]

keys = st.sampled_from([b"a", b"aa", b"ab", b"b", b"c\xff", b"\xff"])
range_ends = st.sampled_from([b"", b"\0", b"aa", b"b", b"c", b"\xff"])
values = st.sampled_from([b"", b"1", b"2", b"3"])
leases = st.sampled_from([0, 0, 0, 7, 8])
puts = st.builds(PutRequest, key=keys, value=values, prev_kv=st.booleans())
deletes = st.builds(DeleteRangeRequest, key=keys, range_end=range_ends, prev_kv=st.booleans())


def put_into(keyspace: Keyspace, request: PutRequest, revision: int) -> None:
    old = keyspace.get(request.key)
    created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
    keyspace[request.key] = KeyValue(request.key, request.value, created, revision, version, request.lease)


class StoreAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.machine = EtcdMachine()
        self.history: dict[int, Keyspace] = {1: {}}
        self.revision = 1
        self.compacted = 0
        self.granted: set[int] = set()
        self.applied = 0

    @property
    def now(self) -> Keyspace:
        return self.history[self.revision]

    def apply(self, request: Request) -> object:
        self.applied += 1
        return self.machine.apply(self.applied, encode(request))

    def advance(self, keyspace: Keyspace) -> None:
        if keyspace != self.now:
            self.revision += 1
            self.history[self.revision] = keyspace

    @rule(request=puts, lease=leases)
    def put(self, request: PutRequest, lease: int) -> None:
        request = PutRequest(request.key, request.value, lease, prev_kv=request.prev_kv)
        answer = self.apply(request)
        if lease and lease not in self.granted:
            assert answer == LEASE_NOT_FOUND
            return
        before = self.now.get(request.key) if request.prev_kv else None
        assert answer == PutResult(self.revision + 1, before)
        after = dict(self.now)
        put_into(after, request, self.revision + 1)
        self.advance(after)

    @rule(request=deletes)
    def delete(self, request: DeleteRangeRequest) -> None:
        doomed = [kv for key, kv in sorted(self.now.items()) if in_range(key, request.key, request.range_end)]
        answer = self.apply(request)
        self.advance({key: kv for key, kv in self.now.items() if kv not in doomed})
        assert answer == DeleteResult(self.revision, len(doomed), doomed if request.prev_kv else [])

    @rule(
        compared=keys, version=st.integers(0, 3), success=st.lists(puts, max_size=3), failure=st.lists(keys, max_size=3)
    )
    def txn(self, compared: bytes, version: int, success: list[PutRequest], failure: list[bytes]) -> None:
        success = list({request.key: request for request in success}.values())
        reads = [RangeRequest(b"\0", b"\0")]
        request = TxnRequest(
            [Compare(compared, "VERSION", "EQUAL", version=version)],
            request_ops([*success, *reads]),
            request_ops([*(DeleteRangeRequest(key) for key in failure), *reads]),
        )
        answer = self.apply(request)
        after = dict(self.now)
        succeeded = (self.now[compared].version if compared in self.now else 0) == version
        if succeeded:
            for put in success:
                put_into(after, put, self.revision + 1)
        else:
            for key in failure:
                after.pop(key, None)
        self.advance(after)
        assert isinstance(answer, TxnResult)
        assert (answer.succeeded, answer.revision) == (succeeded, self.revision)
        assert answer.responses[-1] == RangeResult(
            [kv for _, kv in sorted(self.now.items())], more=False, count=len(self.now), revision=self.revision
        )

    @rule(lease=st.sampled_from([7, 8]))
    def grant(self, lease: int) -> None:
        assert isinstance(self.apply(LeaseGrantRequest(10, lease)), Fault) is (lease in self.granted)
        self.granted.add(lease)

    @precondition(lambda self: self.granted)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.granted)))
        answer = self.apply(LeaseRevokeRequest(lease))
        self.granted.discard(lease)
        self.advance({key: kv for key, kv in self.now.items() if kv.lease != lease})
        assert answer == Done(self.revision)

    @rule(back=st.integers(-1, 12))
    def compact(self, back: int) -> None:
        target = self.revision - back
        answer = self.apply(CompactionRequest(target))
        if target <= self.compacted:
            assert answer == COMPACTED
        elif target > self.revision:
            assert answer == FUTURE_REVISION
        else:
            assert answer == Done(self.revision)
            self.compacted = target

    @rule()
    def restart_from_a_snapshot(self) -> None:
        snapshot = list(self.machine.snapshot())
        restored = EtcdMachine()
        restored.restore(iter(snapshot))
        assert list(restored.snapshot()) == snapshot
        assert restored.store.size_bytes == self.machine.store.size_bytes
        assert restored.store.keys_total == self.machine.store.keys_total
        self.machine = restored

    @rule(key=keys, range_end=range_ends, limit=st.integers(0, 3), data=st.data())
    def read_the_past(self, key: bytes, range_end: bytes, limit: int, data: st.DataObject) -> None:
        revision = data.draw(st.integers(max(self.compacted, 1), self.revision))
        kvs = [kv for k, kv in sorted(self.history[revision].items()) if in_range(k, key, range_end)]
        answer = self.machine.store.range(RangeRequest(key, range_end, limit=limit, revision=revision))
        cut = kvs[:limit] if limit else kvs
        assert answer == RangeResult(cut, more=len(cut) < len(kvs), count=len(kvs), revision=self.revision)

    @invariant()
    def every_uncompacted_revision_reads_as_it_was(self) -> None:
        store = self.machine.store
        assert (store.revision, store.compact_revision) == (self.revision, self.compacted)
        for revision in range(max(self.compacted, 1), self.revision + 1):
            assert store.live(b"\0", b"\0", revision) == [kv for _, kv in sorted(self.history[revision].items())]
        if self.compacted > 1:
            assert store.range(RangeRequest(b"a", revision=self.compacted - 1)) == COMPACTED

    @invariant()
    def changes_turn_one_revision_into_the_next(self) -> None:
        first = max(self.compacted, 1)
        changes, following = self.machine.store.changes_since(first + 1, limit=10_000)
        assert following == self.revision + 1
        told: dict[int, Keyspace] = {first: self.history[first]}
        for revision in range(first + 1, self.revision + 1):
            keyspace = dict(told[revision - 1])
            for kv in changes:
                if kv.mod_revision == revision:
                    keyspace.pop(kv.key, None)
                    if kv.version:
                        keyspace[kv.key] = kv
            told[revision] = keyspace
        assert all(told[revision] == self.history[revision] for revision in told)
        assert all(one.mod_revision <= other.mod_revision for one, other in pairwise(changes))

    @invariant()
    def leases_hold_the_keys_whose_latest_version_names_them(self) -> None:
        assert set(self.machine.leases.ttls_s) == self.granted
        for lease in self.granted:
            assert self.machine.leases.keys(lease) == sorted(k for k, kv in self.now.items() if kv.lease == lease)


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
