"""The client against our member and against a real etcd: the same calls, the same results.

And against three real members of which some are paused or killed: what the client promises does not depend
on whose member it is.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest
import trio

from ha.etcd.api import Compare, DeleteRangeRequest, PutRequest, PutResult, RangeRequest, TxnRequest, TxnResult
from ha.etcd.client import CompactedError, EtcdClient, EtcdError, EtcdUnavailableError, FutureRevisionError
from ha.world import Address
from tests.unit.etcd.support import (
    NAMES,
    Sockets,
    free_ports,
    our_member,
    real_etcd,
    start_real_etcd,
    until_healthy,
)


@pytest.fixture(params=["ours", "real"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EtcdClient]:
    """A client of a new store with one member."""
    async with AsyncExitStack() as stack:
        if request.param == "real":
            address = await stack.enter_async_context(real_etcd(tmp_path))
        else:
            fast = our_member(tmp_path, heartbeat_s=0.02, election_s=0.2, progress_s=0.2)
            address = await stack.enter_async_context(fast)
        client = EtcdClient(Sockets(), [address], timeout_s=5)
        client.address = address  # type: ignore[attr-defined]
        yield client
        await client.aclose()


async def test_keys(client: EtcdClient) -> None:
    assert [await client.put(key, b"v") for key in (b"a", b"b", b"c")] == [2, 3, 4]
    answer = await client.range(b"a", b"\0", limit=2, keys_only=True)
    assert ([kv.key for kv in answer.kvs], answer.more, answer.count, answer.revision) == ([b"a", b"b"], True, 3, 4)
    assert (await client.range(b"a", b"\0", count_only=True, revision=3)).count == 2
    assert (await client.range(b"nothing", serializable=True)).kvs == []
    assert (await client.read(RangeRequest(b"a", b"\0", sort_target="MOD", sort_order="DESCEND"))).kvs[0].key == b"c"
    deleted = await client.delete_range(b"a", b"c", prev_kv=True)
    assert (deleted.deleted, deleted.revision, [kv.key for kv in deleted.prev_kvs]) == (2, 5, [b"a", b"b"])


async def test_transactions(client: EtcdClient) -> None:
    revision = await client.put(b"a", b"1")
    compare = [Compare(b"a", "MOD", mod_revision=revision)]
    nested = TxnRequest(success=[])
    won = await client.txn(compare, [PutRequest(b"a", b"2", prev_kv=True), DeleteRangeRequest(b"x"), nested])
    assert (won.succeeded, won.revision) == (True, 3)
    first, last = won.responses[0], won.responses[-1]
    assert isinstance(first, PutResult)
    assert first.prev_kv is not None
    assert first.prev_kv.value == b"1"
    assert isinstance(last, TxnResult)
    assert last.succeeded
    lost = await client.txn(compare, [PutRequest(b"a", b"3")], [RangeRequest(b"a")])
    assert (lost.succeeded, lost.revision) == (False, 3)


async def test_errors(client: EtcdClient) -> None:
    for number in range(5):
        await client.put(b"a", b"%d" % number)
    await client.compact(4)
    with pytest.raises(CompactedError):
        await client.compact(4)
    with pytest.raises(CompactedError):
        await client.range(b"a", revision=3)
    with pytest.raises(FutureRevisionError):
        await client.range(b"a", revision=99)
    with pytest.raises(EtcdError, match="key is not provided") as caught:
        await client.put(b"", b"")
    assert (caught.value.code, caught.value.definite) == (3, True)
    with pytest.raises(CompactedError) as compacted:
        async with client.watch(b"a", start_revision=2) as reader:
            await anext(reader)
    assert compacted.value.compact_revision == 4


async def test_leases(client: EtcdClient) -> None:
    lease = (await client.lease_grant(60)).id
    await client.put(b"a", b"v", lease=lease)
    assert await client.lease_keepalive(lease) == 60
    info = await client.lease_time_to_live(lease, keys=True)
    assert (info.granted_ttl, info.keys) == (60, [b"a"])
    assert await client.leases() == [lease]
    assert await client.lease_revoke(lease) == 3
    with pytest.raises(EtcdError, match="lease not found"):
        await client.lease_keepalive(lease)
    assert (await client.lease_time_to_live(lease)).ttl == -1


async def test_watches(client: EtcdClient) -> None:
    await client.put(b"a", b"1")
    async with client.watch(b"a", b"b", start_revision=1, prev_kv=True, progress_notify=True) as reader:
        assert reader.created_revision == 2
        batch = await anext(reader)
        assert [(event.type, event.kv.value) for event in batch.events] == [("PUT", b"1")]
        await client.delete_range(b"a")
        batch = await anext(reader)
        while not batch.events:
            batch = await anext(reader)
        (event,) = batch.events
        assert (event.type, event.kv.mod_revision, event.prev_kv and event.prev_kv.value) == ("DELETE", 3, b"1")
        assert batch.revision == 3
        with trio.fail_after(5):
            progress = await anext(reader)
        assert (progress.events, progress.revision) == ([], 3)


async def test_the_cluster(client: EtcdClient) -> None:
    await client.put(b"a", b"1")
    (member,) = await client.member_list()
    status = await client.status(client.address)  # type: ignore[attr-defined]
    assert status.member_id == status.leader == member.id
    assert (status.revision, member.name) == (2, "a")
    assert status.raft_index >= status.raft_applied_index > 0


# Three real members


class RealCluster:
    def __init__(self, directory: Path) -> None:
        ports = free_ports(6)
        peers = dict(zip(NAMES, ports[:3], strict=True))
        self.addresses = {name: Address("127.0.0.1", port) for name, port in zip(NAMES, ports[3:], strict=True)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {
            name: start_real_etcd(directory, name, peers, address.port) for name, address in self.addresses.items()
        }

    @asynccontextmanager
    async def client(self, *names: str, timeout_s: float = 4.0) -> AsyncIterator[EtcdClient]:
        addresses = [self.addresses[name] for name in names]
        async with aclosing(EtcdClient(Sockets(), addresses, timeout_s=timeout_s)) as client:
            yield client

    async def leader(self) -> str:
        for address in self.addresses.values():
            await until_healthy(address)
        async with self.client("a") as client:
            status = await client.status(self.addresses["a"])
            return next(member.name for member in await client.member_list() if member.id == status.leader)

    def signal(self, name: str, number: signal.Signals) -> None:
        self._processes[name].send_signal(number)

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RealCluster]:
    cluster = RealCluster(tmp_path)
    yield cluster
    cluster.close()


async def test_a_paused_real_leader_costs_a_fraction_of_the_timeout_once(cluster: RealCluster) -> None:
    leader = await cluster.leader()
    followers = [name for name in NAMES if name != leader]
    async with cluster.client(leader, *followers) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await client.put(b"a", b"1")
        async with client.watch(b"a") as reader:
            cluster.signal(leader, signal.SIGSTOP)
            started_s = trio.current_time()
            with pytest.raises(EtcdError) as caught:
                await client.put(b"a", b"2")
            assert not caught.value.definite
            await client.put(b"a", b"3")
            assert trio.current_time() - started_s < 4.0
            with pytest.raises(EtcdUnavailableError), trio.fail_after(5):
                await anext(reader)
        started_s = trio.current_time()
        await client.put(b"a", b"4")
        assert trio.current_time() - started_s < 1.0
        nursery.cancel_scope.cancel()


async def test_a_real_member_without_a_quorum_ends_watches_and_answers_in_time(cluster: RealCluster) -> None:
    await cluster.leader()
    async with cluster.client("a", timeout_s=1.5) as client:
        async with client.watch(b"a") as reader:
            for name in ("b", "c"):
                cluster.signal(name, signal.SIGKILL)
            with pytest.raises(EtcdUnavailableError), trio.fail_after(10):
                await anext(reader)
        started_s = trio.current_time()
        with pytest.raises(EtcdError) as caught:
            await client.put(b"a", b"1")
        assert not caught.value.definite
        assert trio.current_time() - started_s < 2.0
        assert (await client.range(b"a", serializable=True)).count == 0
