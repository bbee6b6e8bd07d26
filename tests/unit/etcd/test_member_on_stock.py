"""A whole member on stock PySyncObj: undisturbed it does what a member does, in both worlds."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from ha.etcd.client import EtcdClient
from tests.fakes.world import FakeWorld
from tests.unit.etcd.support import NAMES, Sockets, our_member, start_cluster, start_member
from tests.unit.etcd.test_member import client_of, configs

STOCK = "pysyncobj-stock"


async def test_watches_leases_and_hashes_are_those_of_any_engine(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=1) as world:
        addresses = await start_cluster(world, engine=STOCK)
        client = client_of(world, *addresses)
        lease = (await client.lease_grant(5)).id
        async with client_of(world, addresses[1]).watch(b"k") as events:
            await client.put(b"k", b"v", lease=lease)
            assert [event.kv.value for event in (await anext(events)).events] == [b"v"]
        await trio.sleep(4)
        assert await client.lease_keepalive(lease) == 5
        await trio.sleep(4)
        assert (await client.range(b"k")).count == 1
        await trio.sleep(6)
        assert (await client.range(b"k")).count == 0
        assert len({await client.hash_kv(address, 3) for address in addresses}) == 1


async def test_reads_through_the_log_see_what_was_acknowledged_anywhere(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=2) as world:
        addresses = await start_cluster(world, engine=STOCK, reads="log")
        for number, address in enumerate(addresses):
            revision = await client_of(world, address).put(b"k", b"%d" % number)
            for reader in addresses:
                assert (await client_of(world, reader).range(b"k")).kvs[0].mod_revision == revision


async def test_other_reads_are_stale_on_followers(autojump_clock: trio.abc.Clock) -> None:
    """It learns with the next heartbeat what the leader has acknowledged."""
    async with FakeWorld(seed=2) as world:
        addresses = await start_cluster(world, engine=STOCK)
        stale = 0
        for number in range(10):
            revision = await client_of(world, addresses[number % 3]).put(b"k", b"%d" % number)
            for reader in addresses:
                answer = await client_of(world, reader).range(b"k")
                stale += not answer.kvs or answer.kvs[0].mod_revision < revision
        assert stale


async def test_members_that_are_killed_one_after_the_other_keep_everything(autojump_clock: trio.abc.Clock) -> None:
    """Killed, not without power: what was written is in the page cache."""
    async with FakeWorld(seed=3) as world:
        addresses = await start_cluster(world, engine=STOCK, snapshot_every=10)
        client = client_of(world, *addresses, timeout_s=20)
        for round_, name in enumerate(NAMES):
            for number in range(15):
                await client.put(b"%d-%d" % (round_, number), b"v")
            await world.kill(name)
            await trio.sleep(10)
            await start_member(world, configs(world, engine=STOCK, snapshot_every=10)[name])
            await trio.sleep(10)
        for address in addresses:
            assert (await client_of(world, address).range(b"\0", b"\0")).count == 45


async def test_in_the_real_world_nothing_is_synced_and_what_was_written_is_found_again(
    tmp_path: Path, monkeypatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    settings = {"engine": STOCK, "heartbeat_s": 0.02, "election_s": 0.2}
    with trio.fail_after(30):
        async with our_member(tmp_path, **settings) as address:
            client = EtcdClient(Sockets(), [address], timeout_s=10)
            for number in range(5):
                await client.put(b"%d" % number, b"v")
            journal = (tmp_path / "ours" / "raft" / "journal").read_bytes()
            await client.aclose()
        assert len(journal) > 5 * 20
        async with our_member(tmp_path, **settings) as address:
            client = EtcdClient(Sockets(), [address], timeout_s=10)
            assert (await client.range(b"\0", b"\0")).count == 5
            await client.aclose()
    assert not synced
