"""etcd's "API" (Key-Value API) and "API guarantees", one test per statement; docstrings name the section."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from ha.etcd.api import Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResult, TxnRequest, prefix_end
from ha.etcd.client import CompactedError, EtcdClient, EtcdError, FutureRevisionError
from tests.fakes.world import FakeWorld
from tests.unit.etcd.support import NAMES, start_cluster


@asynccontextmanager
async def store() -> AsyncIterator[EtcdClient]:
    """A new store with one member."""
    async with FakeWorld(seed=1) as world:
        yield EtcdClient(world.host("client").net, await start_cluster(world, ["a"]), timeout_s=5)


async def keys_in(client: EtcdClient, key: bytes, range_end: bytes = b"") -> list[bytes]:
    return [kv.key for kv in (await client.range(key, range_end)).kvs]


async def test_the_revision_grows_by_one_with_each_change_and_not_with_reads(autojump_clock: MockClock) -> None:
    """API, Revisions."""
    async with store() as client:
        assert (await client.range(b"a")).revision == 1
        assert [await client.put(b"a", b""), await client.put(b"b", b"")] == [2, 3]
        assert (await client.delete_range(b"a")).revision == 4
        assert (await client.delete_range(b"a")).revision == 4
        assert (await client.range(b"a")).revision == 4


async def test_a_key_s_version_counts_its_changes_and_a_deletion_resets_it(autojump_clock: MockClock) -> None:
    """API, Key-Value pair."""
    async with store() as client:
        for version in (1, 2, 3):
            await client.put(b"a", b"")
            assert (await client.range(b"a")).kvs[0].version == version
        await client.delete_range(b"a")
        await client.put(b"a", b"")
        assert (await client.range(b"a")).kvs[0].version == 1


async def test_create_and_mod_revision_are_those_of_the_last_creation_and_change(autojump_clock: MockClock) -> None:
    """API, Key-Value pair."""
    async with store() as client:
        created = await client.put(b"a", b"")
        changed = await client.put(b"a", b"")
        (kv,) = (await client.range(b"a")).kvs
        assert (kv.create_revision, kv.mod_revision) == (created, changed)


async def test_an_empty_key_is_not_allowed(autojump_clock: MockClock) -> None:
    """API, Key-Value pair."""
    async with store() as client:
        for request in (client.put(b"", b""), client.range(b""), client.delete_range(b"")):
            with pytest.raises(EtcdError, match="key is not provided"):
                await request


async def test_ranges_are_intervals_prefixes_and_the_rest_of_the_keyspace(autojump_clock: MockClock) -> None:
    """API, Key ranges."""
    async with store() as client:
        for key in (b"a", b"aa", b"ab", b"a\xff", b"b"):
            await client.put(key, b"")
        assert await keys_in(client, b"a") == [b"a"]
        assert await keys_in(client, b"a", b"a\0") == [b"a"]
        assert await keys_in(client, b"aa", b"b") == [b"aa", b"ab", b"a\xff"]
        assert await keys_in(client, b"a", prefix_end(b"a")) == [b"a", b"aa", b"ab", b"a\xff"]
        assert await keys_in(client, b"a\xff", prefix_end(b"a\xff")) == [b"a\xff"]
        assert await keys_in(client, b"ab", b"\0") == [b"ab", b"a\xff", b"b"]
        assert await keys_in(client, b"\0", b"\0") == [b"a", b"aa", b"ab", b"a\xff", b"b"]


async def test_limit_more_and_count(autojump_clock: MockClock) -> None:
    """API, Range: count is of all keys in the range, and limit 0 is no limit."""
    async with store() as client:
        for key in (b"a", b"b", b"c"):
            await client.put(key, b"v")
        for limit, found, more in ((0, 3, False), (2, 2, True), (3, 3, False)):
            answer = await client.range(b"a", b"\0", limit=limit)
            assert (len(answer.kvs), answer.more, answer.count) == (found, more, 3)
        answer = await client.range(b"a", b"\0", count_only=True)
        assert (answer.kvs, answer.count) == ([], 3)
        assert [kv.value for kv in (await client.range(b"a", keys_only=True)).kvs] == [b""]


async def test_reads_at_a_revision_see_the_store_of_that_moment(autojump_clock: MockClock) -> None:
    """API, Revisions and Range: and the header tells the latest one."""
    async with store() as client:
        await client.put(b"a", b"1")
        await client.put(b"a", b"2")
        await client.delete_range(b"a")
        assert [kv.value for kv in (await client.range(b"a", revision=2)).kvs] == [b"1"]
        assert [kv.value for kv in (await client.range(b"a", revision=3)).kvs] == [b"2"]
        answer = await client.range(b"a", revision=4)
        assert (answer.kvs, answer.revision) == ([], 4)
        with pytest.raises(FutureRevisionError):
            await client.range(b"a", revision=5)


async def test_a_compacted_revision_cannot_be_read(autojump_clock: MockClock) -> None:
    """API, Range: ErrCompacted. The compacted revision itself can be."""
    async with store() as client:
        for value in (b"1", b"2", b"3"):
            await client.put(b"a", value)
        await client.compact(3)
        with pytest.raises(CompactedError):
            await client.range(b"a", revision=2)
        assert [kv.value for kv in (await client.range(b"a", revision=3)).kvs] == [b"2"]


async def test_sorting_and_filters_by_revision(autojump_clock: MockClock) -> None:
    """API, Range."""
    async with store() as client:
        for key, value in ((b"a", b"3"), (b"b", b"2"), (b"c", b"1"), (b"a", b"0")):
            await client.put(key, value)

        async def read(**how: object) -> list[bytes]:
            return [kv.key for kv in (await client.read(RangeRequest(b"\0", b"\0", **how))).kvs]  # type: ignore[arg-type]

        assert await read(sort_target="VALUE", sort_order="DESCEND") == [b"b", b"c", b"a"]
        assert await read(sort_target="MOD", sort_order="ASCEND") == [b"b", b"c", b"a"]
        assert await read(sort_target="VERSION", sort_order="DESCEND") == [b"a", b"b", b"c"]
        assert await read(min_mod_revision=4) == [b"a", b"c"]
        assert await read(max_mod_revision=4) == [b"b", b"c"]
        assert await read(min_create_revision=3, max_create_revision=3) == [b"b"]


async def test_puts_can_keep_value_or_lease_of_a_key_that_exists(autojump_clock: MockClock) -> None:
    """API, Put: ignore_value and ignore_lease."""
    async with store() as client:
        lease = (await client.lease_grant(60)).id
        await client.put(b"a", b"1", lease=lease)
        await client.txn([], [PutRequest(b"a", ignore_value=True, lease=lease)])
        await client.txn([], [PutRequest(b"a", b"2", ignore_lease=True)])
        (kv,) = (await client.range(b"a")).kvs
        assert (kv.value, kv.lease, kv.version) == (b"2", lease, 3)
        for request in (PutRequest(b"x", ignore_value=True), PutRequest(b"x", ignore_lease=True)):
            with pytest.raises(EtcdError, match="key not found"):
                await client.txn([], [request])


async def test_a_transaction_succeeds_if_all_comparisons_hold_and_else_fails(autojump_clock: MockClock) -> None:
    """API, Transaction."""
    async with store() as client:
        await client.put(b"a", b"1")
        holds, fails = Compare(b"a", "VALUE", value=b"1"), Compare(b"a", "VERSION", "GREATER", version=1)
        for compare, succeeded in (([], True), ([holds], True), ([holds, fails], False), ([fails, holds], False)):
            answer = await client.txn(compare, [RangeRequest(b"a")], [RangeRequest(b"b")])
            assert answer.succeeded is succeeded
            (response,) = answer.responses
            assert isinstance(response, RangeResult)
            assert response.count == int(succeeded)


async def test_a_transaction_makes_one_revision(autojump_clock: MockClock) -> None:
    """API, Transaction; API guarantees, Revision."""
    async with store() as client:
        await client.put(b"z", b"")
        answer = await client.txn([], [PutRequest(b"a"), PutRequest(b"b"), DeleteRangeRequest(b"z")])
        assert answer.revision == 3
        assert [kv.mod_revision for kv in (await client.range(b"\0", b"\0")).kvs] == [3, 3]


async def test_a_key_cannot_be_changed_twice_in_a_transaction(autojump_clock: MockClock) -> None:
    """API, Transaction: puts share keys neither with puts nor with deletions."""
    async with store() as client:
        again = TxnRequest(success=[])
        assert (await client.txn([], [PutRequest(b"a"), again])).succeeded
        for other in (PutRequest(b"a"), DeleteRangeRequest(b"a"), DeleteRangeRequest(b"\0", b"b")):
            with pytest.raises(EtcdError, match="duplicate key given in txn request"):
                await client.txn([], [PutRequest(b"a"), other])


async def test_an_operation_completes_entirely_or_not_at_all(autojump_clock: MockClock) -> None:
    """API guarantees, Atomicity."""
    async with store() as client:
        with pytest.raises(EtcdError, match="lease not found"):
            await client.txn([], [PutRequest(b"a"), PutRequest(b"b", lease=12345)])
        answer = await client.range(b"\0", b"\0")
        assert (answer.count, answer.revision) == (0, 1)


async def test_completed_operations_are_durable(autojump_clock: MockClock) -> None:
    """API guarantees, Durability: also when every member loses its power at once."""
    async with FakeWorld(seed=2) as world:
        addresses = await start_cluster(world)
        client = EtcdClient(world.host("client").net, addresses, timeout_s=5)
        revision = await client.put(b"a", b"1")
        for name in NAMES:
            await world.power_off(name)
        await start_cluster(world)
        assert [kv.mod_revision for kv in (await client.range(b"a")).kvs] == [revision]


async def test_a_read_returns_at_least_what_was_written_before_it(autojump_clock: MockClock) -> None:
    """API guarantees, strict serializability: at any member, by default."""
    async with FakeWorld(seed=3) as world:
        addresses = await start_cluster(world)
        clients = [EtcdClient(world.host("client").net, [address], timeout_s=5) for address in addresses]
        for number in range(12):
            revision = await clients[number % 3].put(b"a", b"%d" % number)
            (kv,) = (await clients[(number + 1) % 3].range(b"a")).kvs
            assert (kv.value, kv.mod_revision) == (b"%d" % number, revision)


async def test_a_serializable_read_is_served_without_consensus_and_may_be_stale(autojump_clock: MockClock) -> None:
    """API, Range: serializable."""
    async with FakeWorld(seed=4) as world:
        addresses = await start_cluster(world)
        cut_off = EtcdClient(world.host("client").net, addresses[:1], timeout_s=5)
        rest = EtcdClient(world.host("client").net, addresses[1:], timeout_s=5)
        await cut_off.put(b"a", b"old")
        world.partition(["a"], ["b", "c"])
        await rest.put(b"a", b"new")
        assert (await cut_off.range(b"a", serializable=True)).kvs[0].value == b"old"
        with pytest.raises(EtcdError):
            await cut_off.range(b"a")


async def test_the_client_of_a_write_that_got_no_answer_is_told_that_it_cannot_know(autojump_clock: MockClock) -> None:
    """API guarantees, Operation completed."""
    async with FakeWorld(seed=5) as world:
        addresses = await start_cluster(world)
        client = EtcdClient(world.host("client").net, addresses[:1], timeout_s=3)
        await client.put(b"a", b"1")
        world.partition(["a"], ["b", "c"])
        with pytest.raises(EtcdError) as caught:
            await client.put(b"a", b"2")
        world.heal()
        await trio.sleep(5)
        value = (await client.range(b"a")).kvs[0].value
        assert not caught.value.definite or value == b"1"
