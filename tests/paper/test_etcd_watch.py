"""etcd's "API", section "Watch API", and "API guarantees" on watches, one test per statement."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from ha.etcd.api import PutRequest, WatchBatch
from ha.etcd.client import CompactedError, DeleteRangeRequest, EtcdClient
from ha.etcd.client_watch import WatchReader
from tests.fakes.world import FakeWorld
from tests.paper.test_etcd_kv import store
from tests.unit.etcd.support import start_cluster


async def events(reader: WatchReader, count: int) -> list[tuple[str, bytes, int]]:
    """The next events: type, key, revision."""
    found: list[tuple[str, bytes, int]] = []
    with trio.fail_after(10):
        while len(found) < count:
            found += [(event.type, event.kv.key, event.kv.mod_revision) for event in (await anext(reader)).events]
    return found


async def test_a_watch_begins_inclusively_at_its_start_revision(autojump_clock: MockClock) -> None:
    async with store() as client:
        for key in (b"a", b"b", b"c"):
            await client.put(key, b"")
        async with client.watch(b"\0", b"\0", start_revision=3) as reader:
            assert await events(reader, 2) == [("PUT", b"b", 3), ("PUT", b"c", 4)]


async def test_without_a_start_revision_it_begins_after_the_revision_of_its_creation(autojump_clock: MockClock) -> None:
    async with store() as client:
        await client.put(b"a", b"")
        async with client.watch(b"a") as reader:
            assert reader.created_revision == 2
            await client.put(b"a", b"")
            assert await events(reader, 1) == [("PUT", b"a", 3)]


async def test_the_whole_history_from_the_last_compaction_can_be_watched(autojump_clock: MockClock) -> None:
    """Deletions of the compacted revision included, which real etcd lost for years (issue 18089)."""
    async with store() as client:
        await client.put(b"a", b"")
        await client.delete_range(b"a")
        await client.put(b"b", b"")
        await client.compact(3)
        async with client.watch(b"\0", b"\0", start_revision=3) as reader:
            assert await events(reader, 2) == [("DELETE", b"a", 3), ("PUT", b"b", 4)]


async def test_a_watch_from_a_compacted_revision_is_canceled_with_what_is_available(autojump_clock: MockClock) -> None:
    async with store() as client:
        for _ in range(4):
            await client.put(b"a", b"")
        await client.compact(4)
        for _ in range(2):
            async with client.watch(b"a", start_revision=3) as reader:
                with pytest.raises(CompactedError) as caught:
                    await anext(reader)
                assert caught.value.compact_revision == 4


async def test_puts_carry_the_new_pair_and_version_one_means_creation(autojump_clock: MockClock) -> None:
    async with store() as client, client.watch(b"a") as reader:
        await client.put(b"a", b"1")
        await client.put(b"a", b"2")
        found = [event for _ in range(2) for event in (await anext(reader)).events]
        assert [(event.kv.value, event.kv.version) for event in found] == [(b"1", 1), (b"2", 2)]


async def test_deletions_carry_the_key_and_the_revision_of_the_deletion(autojump_clock: MockClock) -> None:
    async with store() as client:
        await client.put(b"a", b"1")
        async with client.watch(b"a") as reader:
            await client.delete_range(b"a")
            (event,) = (await anext(reader)).events
        assert (event.type, event.kv.key, event.kv.mod_revision, event.kv.value) == ("DELETE", b"a", 3, b"")


async def test_previous_pairs_are_sent_only_to_who_asks(autojump_clock: MockClock) -> None:
    async with store() as client:
        await client.put(b"a", b"1")
        async with client.watch(b"a", prev_kv=True) as asking, client.watch(b"a") as silent:
            await client.put(b"a", b"2")
            (event,) = (await anext(asking)).events
            assert event.prev_kv is not None
            assert event.prev_kv.value == b"1"
            assert (await anext(silent)).events[0].prev_kv is None


async def test_events_are_ordered_and_none_is_missing(autojump_clock: MockClock) -> None:
    """Ordered, Reliable: also while writers at every member compete and the watch catches up."""
    async with FakeWorld(seed=6) as world:
        addresses = await start_cluster(world)
        net = world.host("client").net
        clients = [EtcdClient(net, [address], timeout_s=5) for address in addresses]

        async def write(client: EtcdClient) -> None:
            for number in range(40):
                await client.put(b"k%d" % (number % 5), b"")

        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(write, client)
            async with clients[0].watch(b"k", b"l", start_revision=1) as reader:
                found = await events(reader, 120)
        assert [revision for _, _, revision in found] == list(range(2, 122))


async def test_the_events_of_one_revision_come_together(autojump_clock: MockClock) -> None:
    """Atomic."""
    async with store() as client:
        await client.txn([], [PutRequest(b"a"), PutRequest(b"b"), PutRequest(b"x")])
        await client.txn([], [DeleteRangeRequest(b"a", b"c"), PutRequest(b"c")])
        for start_revision in (2, 3):
            async with client.watch(b"a", b"d", start_revision=start_revision) as reader:
                batch = await anext(reader)
            revisions = [event.kv.mod_revision for event in batch.events]
            assert [revisions.count(revision) for revision in range(start_revision, 4)] == [2, 3][start_revision - 2 :]


async def test_progress_is_notified_when_there_are_no_events(autojump_clock: MockClock) -> None:
    async with store() as client, client.watch(b"a", progress_notify=True) as reader:
        await client.put(b"other", b"")
        assert await anext(reader) == WatchBatch(2, [])


async def test_a_watch_that_was_cut_resumes_after_the_last_revision_it_saw(autojump_clock: MockClock) -> None:
    async with store() as client:
        async with client.watch(b"a") as reader:
            await client.put(b"a", b"1")
            last = (await anext(reader)).revision
        await client.put(b"a", b"2")
        await client.put(b"a", b"3")
        async with client.watch(b"a", start_revision=last + 1) as reader:
            assert [revision for _, _, revision in await events(reader, 2)] == [3, 4]
