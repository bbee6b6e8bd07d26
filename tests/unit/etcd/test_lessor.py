from math import inf

from ha.etcd.api import LeaseGrantRequest, LeaseRevokeRequest
from ha.etcd.commands import encode
from ha.etcd.lessor import Lessor
from ha.etcd.machine import EtcdMachine


class Counted:
    """A lessor with a clock that stands still until it is set, and how often it asked to be looked at."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.changes = 0
        self.machine = EtcdMachine()
        self.lessor = Lessor(self.machine, clock=lambda: self.now_s, changed=self.note)

    def note(self) -> None:
        self.changes += 1

    def grant(self, lease: int, ttl_s: int) -> None:
        self.machine.apply(1, encode(LeaseGrantRequest(ttl_s, lease)))


def test_a_new_leader_gives_every_lease_its_whole_ttl_and_an_election() -> None:
    counted = Counted()
    counted.grant(7, 10)
    assert counted.lessor.next_expiry_s == inf
    counted.lessor.promote(2, extend_s=1.5)
    assert counted.lessor.next_expiry_s == 111.5
    assert counted.lessor.remaining_s(7) == 11.5


def test_a_lease_that_is_granted_while_leading_is_counted_at_once() -> None:
    counted = Counted()
    counted.lessor.promote(2, extend_s=1)
    counted.changes = 0
    counted.grant(7, 10)
    assert counted.lessor.next_expiry_s == 110
    assert counted.changes == 1


def test_an_expired_lease_is_named_once_and_cannot_be_renewed() -> None:
    counted = Counted()
    counted.lessor.promote(2, extend_s=1)
    counted.grant(7, 10)
    counted.now_s = 110
    assert counted.lessor.renew(7) is None
    assert counted.lessor.expire() == [7]
    assert counted.lessor.expire() == []
    assert counted.lessor.is_expiring(7)
    assert counted.lessor.renew(7) is None


def test_a_renewed_lease_lasts_its_ttl_from_then_on() -> None:
    counted = Counted()
    counted.lessor.promote(2, extend_s=1)
    counted.grant(7, 10)
    counted.now_s = 109
    assert counted.lessor.renew(7) == 10
    counted.now_s = 118.9
    assert counted.lessor.expire() == []
    counted.now_s = 119
    assert counted.lessor.expire() == [7]


def test_a_revoked_lease_is_forgotten() -> None:
    counted = Counted()
    counted.lessor.promote(2, extend_s=1)
    counted.grant(7, 10)
    counted.machine.apply(2, encode(LeaseRevokeRequest(7)))
    assert counted.lessor.next_expiry_s == inf
    assert counted.lessor.renew(7) is None
    assert counted.lessor.remaining_s(7) is None


def test_who_leads_no_more_counts_no_more() -> None:
    counted = Counted()
    counted.lessor.promote(2, extend_s=1)
    counted.grant(7, 10)
    counted.lessor.demote()
    counted.now_s = 1000
    assert counted.lessor.expire() == []
    assert counted.lessor.term is None
    counted.grant(8, 10)
    assert counted.lessor.next_expiry_s == inf


def test_leases_expire_in_the_order_of_their_time() -> None:
    counted = Counted()
    counted.lessor.promote(2, extend_s=1)
    for lease, ttl_s in ((1, 30), (2, 10), (3, 20)):
        counted.grant(lease, ttl_s)
    counted.now_s = 200
    assert counted.lessor.expire() == [2, 3, 1]
