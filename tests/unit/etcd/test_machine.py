from collections.abc import Sequence

import msgspec
import pytest

from ha.etcd.api import (
    CompactionRequest,
    DeleteRangeRequest,
    Done,
    KeyValue,
    LeaseGrantRequest,
    LeaseGrantResult,
    LeaseRevokeRequest,
    PutRequest,
    PutResult,
)
from ha.etcd.commands import LeaseExpire, LessorPromote, Request, decode, encode
from ha.etcd.errors import LEASE_EXISTS, LEASE_NOT_FOUND, STALE_LESSOR, UNKNOWN_COMMAND
from ha.etcd.machine import EtcdMachine, Observer


def run(machine: EtcdMachine, *requests: Request) -> list[object]:
    return [machine.apply(index, encode(request)) for index, request in enumerate(requests, 1)]


class Notes(Observer):
    def __init__(self) -> None:
        self.taken: list[object] = []

    def committed(self, revision: int, changes: Sequence[KeyValue]) -> None:
        self.taken.append((revision, [kv.key for kv in changes]))

    def lease_granted(self, lease: int, ttl_s: int) -> None:
        self.taken.append(("granted", lease, ttl_s))

    def lease_removed(self, lease: int) -> None:
        self.taken.append(("removed", lease))


def test_a_command_survives_encoding() -> None:
    request = PutRequest(b"\0key", b"\xff", lease=5, prev_kv=True)
    assert decode(encode(request)) == request


@pytest.mark.parametrize(
    "command", [b"", b"\x00", b"\x02" + encode(PutRequest(b"a"))[1:], b"\x01nonsense", b"\x01\x80"]
)
def test_a_command_that_cannot_be_read_is_answered_with_an_error_and_changes_nothing(command: bytes) -> None:
    machine = EtcdMachine()
    before = list(machine.snapshot())
    assert machine.apply(1, command) == UNKNOWN_COMMAND
    assert list(machine.snapshot()) == before


def test_revoking_a_lease_deletes_its_keys_in_one_revision() -> None:
    machine, notes = EtcdMachine(), Notes()
    machine.observers.append(notes)
    answers = run(
        machine,
        LeaseGrantRequest(10, 7),
        PutRequest(b"b", lease=7),
        PutRequest(b"a", lease=7),
        PutRequest(b"c"),
        LeaseRevokeRequest(7),
    )
    assert answers == [LeaseGrantResult(1, 7, 10), PutResult(2), PutResult(3), PutResult(4), Done(5)]
    assert notes.taken == [
        ("granted", 7, 10),
        (2, [b"b"]),
        (3, [b"a"]),
        (4, [b"c"]),
        (5, [b"a", b"b"]),
        ("removed", 7),
    ]


def test_revoking_a_lease_without_keys_makes_no_revision() -> None:
    assert run(EtcdMachine(), LeaseGrantRequest(10, 7), LeaseRevokeRequest(7))[-1] == Done(1)


def test_a_key_put_without_its_lease_outlives_it() -> None:
    machine = EtcdMachine()
    run(machine, LeaseGrantRequest(10, 7), PutRequest(b"a", lease=7), PutRequest(b"a"), LeaseRevokeRequest(7))
    assert machine.store.latest(b"a") is not None


def test_a_lease_can_be_granted_once() -> None:
    assert run(EtcdMachine(), LeaseGrantRequest(10, 7), LeaseGrantRequest(10, 7))[-1] == LEASE_EXISTS
    assert run(EtcdMachine(), LeaseGrantRequest(10, 0))[-1] == LEASE_NOT_FOUND


def test_a_leader_that_was_replaced_cannot_expire_a_lease() -> None:
    machine = EtcdMachine()
    answers = run(machine, LessorPromote(3), LeaseGrantRequest(10, 7), LessorPromote(4), LeaseExpire(7, term=3))
    assert answers[-1] == STALE_LESSOR
    assert 7 in machine.leases
    assert run(machine, LeaseExpire(7, term=4)) == [Done(1)]


def test_a_snapshot_carries_leases_their_keys_and_who_counts_them() -> None:
    machine, restored = EtcdMachine(), EtcdMachine()
    run(machine, LessorPromote(3), LeaseGrantRequest(10, 7), PutRequest(b"a", lease=7), LeaseGrantRequest(20, 5))
    restored.restore(machine.snapshot())
    assert list(restored.snapshot()) == list(machine.snapshot())
    assert restored.leases.keys(7) == [b"a"]
    assert restored.leases.ttls_s == {7: 10, 5: 20}
    assert restored.lessor_term == 3


def test_a_snapshot_of_another_version_is_refused() -> None:
    head = msgspec.msgpack.decode(next(EtcdMachine().snapshot()))
    head[0] = 99
    with pytest.raises(msgspec.ValidationError, match="version 99"):
        EtcdMachine().restore(iter([msgspec.msgpack.encode(head)]))


def test_a_snapshot_is_of_the_moment_of_the_call_whatever_is_applied_while_its_parts_are_taken() -> None:
    machine, restored = EtcdMachine(), EtcdMachine()
    value = bytes(100_000)
    run(machine, *[PutRequest(b"%d" % (number % 4), value) for number in range(20)], CompactionRequest(8))
    whole = list(machine.snapshot())
    assert len(whole) > 3
    assert max(map(len, whole)) < 400_000
    parts = machine.snapshot()
    taken = [next(parts)]
    for part in parts:
        run(machine, PutRequest(b"1", b"new"), DeleteRangeRequest(b"2"), CompactionRequest(machine.store.revision))
        taken.append(part)
    assert taken == whole
    restored.restore(iter(taken))
    assert restored.store.revision == 21
    assert restored.store.at(b"2", 8) is not None
