"""etcd's "API", section "Lease API", one test per statement."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from ha.etcd.client import EtcdClient, EtcdError
from tests.fakes.world import FakeWorld
from tests.paper.test_etcd_kv import keys_in, store
from tests.unit.etcd.support import start_cluster


async def test_a_lease_expires_without_keepalive_and_its_keys_are_deleted(autojump_clock: MockClock) -> None:
    async with store() as client:
        lease = (await client.lease_grant(10)).id
        await client.put(b"a", b"", lease=lease)
        await client.put(b"b", b"")
        await trio.sleep(9.5)
        assert await keys_in(client, b"\0", b"\0") == [b"a", b"b"]
        await trio.sleep(1)
        assert await keys_in(client, b"\0", b"\0") == [b"b"]


async def test_keepalives_refresh_the_whole_ttl(autojump_clock: MockClock) -> None:
    async with store() as client:
        lease = (await client.lease_grant(10)).id
        for _ in range(5):
            await trio.sleep(8)
            assert await client.lease_keepalive(lease) == 10
        assert (await client.lease_time_to_live(lease)).granted_ttl == 10


async def test_each_expired_key_is_a_delete_event(autojump_clock: MockClock) -> None:
    async with store() as client:
        lease = (await client.lease_grant(10)).id
        for key in (b"a", b"b"):
            await client.put(key, b"", lease=lease)
        async with client.watch(b"\0", b"\0") as reader:
            batch = await anext(reader)
        assert [(event.type, event.kv.key) for event in batch.events] == [("DELETE", b"a"), ("DELETE", b"b")]


async def test_revoking_a_lease_deletes_its_keys(autojump_clock: MockClock) -> None:
    async with store() as client:
        lease = (await client.lease_grant(10)).id
        await client.put(b"a", b"", lease=lease)
        await client.lease_revoke(lease)
        assert await keys_in(client, b"\0", b"\0") == []


async def test_a_key_is_attached_to_at_most_one_lease(autojump_clock: MockClock) -> None:
    async with store() as client:
        one, other = (await client.lease_grant(60)).id, (await client.lease_grant(60)).id
        await client.put(b"a", b"", lease=one)
        await client.put(b"a", b"", lease=other)
        assert (await client.lease_time_to_live(one, keys=True)).keys == []
        assert (await client.lease_time_to_live(other, keys=True)).keys == [b"a"]
        await client.lease_revoke(one)
        assert await keys_in(client, b"a") == [b"a"]


async def test_an_id_is_chosen_unless_it_is_given(autojump_clock: MockClock) -> None:
    async with store() as client:
        chosen = await client.lease_grant(60)
        given = await client.lease_grant(60, lease=777)
        assert (chosen.id > 0, given.id) == (True, 777)
        assert await client.leases() == sorted([chosen.id, 777])
        with pytest.raises(EtcdError, match="lease already exists"):
            await client.lease_grant(60, lease=777)


async def test_the_server_selects_the_time_to_live(autojump_clock: MockClock) -> None:
    """The one asked for is advisory: a lease outlasts an election."""
    async with store() as client:
        assert (await client.lease_grant(1)).ttl == 2
        assert (await client.lease_grant(60)).ttl == 60


async def test_no_lease_ends_before_its_time_whoever_leads(autojump_clock: MockClock) -> None:
    """A lease lives at least as long as its holder was told, over any number of elections."""
    async with FakeWorld(seed=9) as world:
        addresses = await start_cluster(world)
        client = EtcdClient(world.host("client").net, addresses, timeout_s=5)
        lease = (await client.lease_grant(10)).id
        await client.put(b"a", b"", lease=lease)
        for name in ("a", "b", "c"):
            await trio.sleep(6)  # the client takes 1.3 s to find out that it asks a member which is cut off
            world.partition([name], [other for other in "abc" if other != name])
            await trio.sleep(2.5)
            assert await keys_in(client, b"a") == [b"a"]
            assert await client.lease_keepalive(lease) == 10
            world.heal()
