import pytest
import trio
import trio.testing

from ha.etcd.api import Compare, LeaseGrantRequest, PutRequest, RangeRequest, TxnRequest, request_ops
from ha.etcd.errors import EtcdError, EtcdTimeoutError, EtcdUnavailableError
from ha.etcd.service import EtcdService
from ha.raft import NoLeaderError, NotInTimeError, OutcomeUnknownError, OverloadedError, TooLargeError
from tests.unit.etcd.support import make_service


async def settled(nursery: trio.Nursery, service: EtcdService) -> None:
    """Run a service, and wait until it counts leases."""
    await nursery.start(service.run)
    await trio.testing.wait_all_tasks_blocked()


async def test_a_read_waits_for_a_barrier_unless_it_is_serializable() -> None:
    service, replica = make_service()
    await service.range(RangeRequest(b"a"))
    assert replica.barriers == 1
    await service.range(RangeRequest(b"a", serializable=True))
    assert replica.barriers == 1


async def test_a_transaction_that_only_reads_is_not_proposed() -> None:
    service, replica = make_service()
    await service.txn(TxnRequest(success=request_ops([RangeRequest(b"a")])))
    await service.txn(TxnRequest(success=request_ops([RangeRequest(b"a", serializable=True)])))
    assert (replica.barriers, replica.proposed) == (1, [])


async def test_a_transaction_that_only_compares_is_linearizable() -> None:
    """No operation of it says that it may be stale."""
    service, replica = make_service()
    assert (await service.txn(TxnRequest(compare=[Compare(b"a")]))).succeeded
    assert (replica.barriers, replica.proposed) == (1, [])


async def test_a_request_that_is_wrong_in_itself_is_not_proposed() -> None:
    service, replica = make_service()
    with pytest.raises(EtcdError, match="key is not provided") as caught:
        await service.put(PutRequest())
    assert caught.value.definite
    assert replica.proposed == []


@pytest.mark.parametrize(
    ("fault", "message", "definite"),
    [
        (NoLeaderError(), "etcdserver: no leader", True),
        (TooLargeError(), "etcdserver: request is too large", True),
        (OverloadedError(), "etcdserver: too many requests", True),
        (OutcomeUnknownError(), "etcdserver: request timed out", False),
        (NotInTimeError(), "etcdserver: request timed out", False),
    ],
)
async def test_failures_of_consensus_have_the_words_of_etcd(fault: Exception, message: str, *, definite: bool) -> None:
    service, replica = make_service()
    replica.fault = fault
    with pytest.raises(EtcdError) as caught:
        await service.put(PutRequest(b"a"))
    assert (caught.value.message, caught.value.definite) == (message, definite)
    assert (service.proposals_failed, service.proposals_pending) == (1, 0)


@pytest.mark.parametrize("earlier", [[], [("follower", None), ("leader", "a")]])
async def test_the_time_without_a_leader_begins_when_the_leader_is_lost(
    autojump_clock: trio.abc.Clock, earlier: list[tuple[str, str | None]]
) -> None:
    """Even when it was lost so recently that only the replica knows: not at an earlier loss, nor ever since."""
    service, replica = make_service(election_s=1.0)
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        for role, leader in earlier:
            replica.become(role, term=1, leader=leader)
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(100)
        replica.become("follower", term=2, leader=None)
        assert service.leaderless_s() == 0
        await trio.sleep(1)
        assert service.leaderless_s() == pytest.approx(1)
        nursery.cancel_scope.cancel()


async def test_a_member_that_is_long_without_a_leader_says_so_at_once(autojump_clock: trio.abc.Clock) -> None:
    service, replica = make_service(election_s=1.0)
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        replica.become("follower", term=2, leader=None)
        replica.stalled = True
        await trio.sleep(2.1)
        started_s = trio.current_time()
        with pytest.raises(EtcdUnavailableError) as caught:
            await service.put(PutRequest(b"a"))
        assert caught.value.definite
        assert trio.current_time() == started_s
        nursery.cancel_scope.cancel()


async def test_changes_of_leader_are_counted(autojump_clock: trio.abc.Clock) -> None:
    service, replica = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        assert service.leader_changes == 1
        for leader, term in ((None, 2), ("b", 2), ("c", 3)):
            replica.become("follower", term=term, leader=leader)
            await trio.testing.wait_all_tasks_blocked()
        assert service.leader_changes == 3
        nursery.cancel_scope.cancel()


async def test_a_lease_that_is_not_renewed_expires_with_its_keys(autojump_clock: trio.abc.Clock) -> None:
    service, _ = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        granted = await service.lease_grant(LeaseGrantRequest(10))
        await service.put(PutRequest(b"a", lease=granted.id))
        await trio.sleep(9)
        assert await service.lease_keep_alive(granted.id) == 10
        await trio.sleep(9.9)
        assert (await service.range(RangeRequest(b"a"))).count == 1
        await trio.sleep(0.2)
        assert (await service.range(RangeRequest(b"a"))).count == 0
        assert await service.lease_keep_alive(granted.id) == 0
        assert await service.leases() == []
        nursery.cancel_scope.cancel()


async def test_a_lease_lasts_longer_than_an_election(autojump_clock: trio.abc.Clock) -> None:
    service, _ = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        granted = await service.lease_grant(LeaseGrantRequest(1))
        assert granted.ttl == 2
        info = await service.lease_time_to_live(granted.id, keys=True)
        assert (info.ttl, info.granted_ttl) == (2, 2)
        nursery.cancel_scope.cancel()


async def test_an_expiry_that_cannot_be_proposed_is_tried_again(autojump_clock: trio.abc.Clock) -> None:
    service, replica = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        granted = await service.lease_grant(LeaseGrantRequest(5))
        replica.fault = OverloadedError()
        await trio.sleep(10)
        assert granted.id in service.machine.leases
        replica.fault = None
        await trio.sleep(2)
        assert granted.id not in service.machine.leases
        nursery.cancel_scope.cancel()


async def test_a_new_leader_gives_leases_their_whole_time_again(autojump_clock: trio.abc.Clock) -> None:
    service, replica = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        granted = await service.lease_grant(LeaseGrantRequest(5))
        await trio.sleep(4)
        replica.become("follower", term=2, leader="b")
        await trio.sleep(30)
        assert granted.id in service.machine.leases
        replica.become("leader", term=3, leader="a")
        await trio.sleep(5.5)
        assert granted.id in service.machine.leases
        await trio.sleep(1)
        assert granted.id not in service.machine.leases
        nursery.cancel_scope.cancel()


async def test_a_lease_that_was_about_to_expire_is_safe_after_re_election(autojump_clock: trio.abc.Clock) -> None:
    service, replica = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        granted = await service.lease_grant(LeaseGrantRequest(5))
        replica.fault = NoLeaderError()
        await trio.sleep(6)
        replica.become("follower", term=2, leader="b")
        await trio.testing.wait_all_tasks_blocked()
        replica.fault = None
        replica.become("leader", term=3, leader="a")
        await trio.sleep(4)
        assert await service.lease_keep_alive(granted.id) == 5
        nursery.cancel_scope.cancel()


async def test_a_leader_renews_only_once_it_is_sure_that_it_still_leads(autojump_clock: trio.abc.Clock) -> None:
    service, replica = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        granted = await service.lease_grant(LeaseGrantRequest(60))
        replica.stalled = True
        for asking in (service.lease_keep_alive(granted.id), service.lease_time_to_live(granted.id, keys=False)):
            with pytest.raises(EtcdTimeoutError):
                await asking
        nursery.cancel_scope.cancel()


async def test_only_the_leader_renews(autojump_clock: trio.abc.Clock) -> None:
    service, replica = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        granted = await service.lease_grant(LeaseGrantRequest(5))
        replica.become("follower", term=2, leader="b")
        with pytest.raises(EtcdUnavailableError, match="no leader"):
            await service.lease_keep_alive(granted.id)
        nursery.cancel_scope.cancel()


async def test_a_renewal_at_a_new_leader_waits_until_it_counts(autojump_clock: trio.abc.Clock) -> None:
    service, replica = make_service()
    async with trio.open_nursery() as nursery:
        await settled(nursery, service)
        granted = await service.lease_grant(LeaseGrantRequest(5))
        replica.become("follower", term=2, leader="b")
        await trio.testing.wait_all_tasks_blocked()
        renewed: list[int] = []

        async def renew() -> None:
            renewed.append(await service.lease_keep_alive(granted.id))

        release = trio.Event()
        propose = replica.propose

        async def slowly(command: bytes) -> object:
            await release.wait()
            return await propose(command)

        replica.propose = slowly  # type: ignore[method-assign]
        replica.become("leader", term=3, leader="a")
        nursery.start_soon(renew)
        await trio.sleep(1)
        assert renewed == []
        release.set()
        await trio.testing.wait_all_tasks_blocked()
        assert renewed == [5]
        nursery.cancel_scope.cancel()


async def test_reads_through_the_log_wait_for_a_command_that_changes_nothing() -> None:
    service, replica = make_service(reads="log")
    await service.put(PutRequest(b"k", b"v"))
    revision = service.revision
    assert (await service.range(RangeRequest(b"k"))).kvs[0].value == b"v"
    assert (len(replica.proposed), replica.barriers, service.revision) == (2, 0, revision)
    await service.range(RangeRequest(b"k", serializable=True))
    assert len(replica.proposed) == 2
