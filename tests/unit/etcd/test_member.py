"""Whole members on the real Raft, in virtual time: what clients see when members die, pause or are cut off."""

from __future__ import annotations

import orjson
import pytest
import trio

from ha import http
from ha.etcd.api import PutRequest, RangeRequest, WatchBatch
from ha.etcd.client import CompactedError, Compare, EtcdClient, EtcdError, EtcdUnavailableError
from ha.world import Address
from tests.fakes.world import FakeWorld, run_virtual
from tests.unit.etcd.support import NAMES, configs, start_cluster, start_member

TIMEOUT_S = 5.0


def client_of(world: FakeWorld, *addresses: Address, timeout_s: float = TIMEOUT_S) -> EtcdClient:
    return EtcdClient(world.host("client").net, addresses, timeout_s=timeout_s)


async def leader_of(world: FakeWorld, addresses: list[Address]) -> str:
    """The name of the leader, once there is one."""
    client = client_of(world, *addresses)
    await client.range(b"x")
    leader = (await client.status(addresses[0])).leader
    return next(member.name for member in await client.member_list() if member.id == leader)


def others(name: str, addresses: list[Address]) -> list[Address]:
    return [address for other, address in zip(NAMES, addresses, strict=True) if other != name]


async def get(world: FakeWorld, address: Address, path: str) -> tuple[int, str]:
    client = http.Client(world.host("client").net, address)
    answer = await client.request("GET", path, timeout_s=10)
    return answer.status, answer.body.decode()


async def test_any_member_takes_writes_and_every_other_reads_them_at_once(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=1) as world:
        addresses = await start_cluster(world)
        for number, address in enumerate(addresses):
            revision = await client_of(world, address).put(b"k", b"%d" % number)
            for reader in addresses:
                answer = await client_of(world, reader).range(b"k")
                assert (answer.kvs[0].value, answer.kvs[0].mod_revision) == (b"%d" % number, revision)


async def test_members_agree_on_identities_and_on_the_hash_of_a_revision(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=2) as world:
        addresses = await start_cluster(world)
        client = client_of(world, *addresses)
        for number in range(20):
            await client.put(b"k%d" % (number % 7), b"%d" % number)
        await client.range(b"k")
        statuses = [await client.status(address) for address in addresses]
        assert len({status.leader for status in statuses}) == 1
        assert {status.member_id for status in statuses} == {member.id for member in await client.member_list()}
        for address in addresses:
            await client_of(world, address).range(b"k")
        for revision in (2, 10, 21):
            assert len({(await client.hash_kv(address, revision)).hash for address in addresses}) == 1
        earlier, latest = [await client.hash_kv(addresses[0], revision) for revision in (20, 21)]
        assert (earlier.hash, earlier.revision) != (latest.hash, latest.revision) == (latest.hash, 21)
        assert await client.hash_kv(addresses[0]) == await client.hash_kv(addresses[0], -1) == latest
        await client.compact(5)
        assert (await client.hash_kv(addresses[0], 21)).compact_revision == 5
        with pytest.raises(EtcdError, match="future revision"):
            await client.hash_kv(addresses[0], 99)


async def test_nothing_acknowledged_is_lost_when_the_leader_is_killed(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=3) as world:
        addresses = await start_cluster(world)
        client = client_of(world, *addresses)
        leader = await leader_of(world, addresses)
        acknowledged = [await client.put(b"k%d" % number, b"v") for number in range(10)]
        await world.kill(leader)
        acknowledged += [await client.put(b"l%d" % number, b"v") for number in range(10)]
        kvs = (await client.range(b"\0", b"\0")).kvs
        assert sorted(kv.mod_revision for kv in kvs) == acknowledged == list(range(2, 22))


async def test_a_cluster_that_lost_its_power_comes_back_with_everything(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=4) as world:
        addresses = await start_cluster(world, snapshot_every=20)
        client = client_of(world, *addresses)
        lease = (await client.lease_grant(30)).id
        for number in range(60):
            await client.put(b"k%d" % (number % 7), b"%d" % number, lease=lease)
        await client.compact(40)
        before = await client.range(b"\0", b"\0")
        for name in NAMES:
            await world.power_off(name)
        await start_cluster(world, snapshot_every=20)
        assert await client.range(b"\0", b"\0") == before
        assert (await client.lease_time_to_live(lease, keys=True)).keys == [kv.key for kv in before.kvs]
        with pytest.raises(CompactedError):
            await client.range(b"k1", revision=39)


async def test_a_lease_survives_a_change_of_leader_and_expires_after_it(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=5) as world:
        addresses = await start_cluster(world)
        leader = await leader_of(world, addresses)
        client = client_of(world, *others(leader, addresses))
        lease = (await client.lease_grant(10)).id
        await client.put(b"k", b"v", lease=lease)
        await trio.sleep(8)
        await world.kill(leader)
        await trio.sleep(8)
        assert (await client.range(b"k")).count == 1
        assert await client.lease_keepalive(lease) == 10
        await trio.sleep(11)
        assert (await client.range(b"k")).count == 0
        with pytest.raises(EtcdError, match="lease not found"):
            await client.lease_keepalive(lease)


async def test_any_member_renews_leases_through_the_leader(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=6) as world:
        addresses = await start_cluster(world)
        lease = (await client_of(world, *addresses).lease_grant(10)).id
        for address in addresses:
            await trio.sleep(6)
            assert await client_of(world, address).lease_keepalive(lease) == 10
            assert (await client_of(world, address).lease_time_to_live(lease)).ttl == 9
            assert await client_of(world, address).leases() == [lease]


@pytest.mark.parametrize("seed", [2, 3])
def test_renewals_wait_for_an_election(seed: int) -> None:
    """As in etcd: that there is no leader yet is no refusal."""

    async def renew() -> None:
        async with FakeWorld(seed=seed) as world:
            addresses = await start_cluster(world)
            lease = await client_of(world, *addresses).lease_grant(60)
            leader = await leader_of(world, addresses)
            await world.kill(leader)
            for address in others(leader, addresses):
                assert await client_of(world, address).lease_keepalive(lease.id) == 60

    run_virtual(renew, seed=seed)


async def test_a_paused_leader_that_wakes_up_expires_nothing_that_was_renewed(autojump_clock: trio.abc.Clock) -> None:
    """Etcd issue 15247. Its clock says that the lease is over; its successor renewed it."""
    async with FakeWorld(seed=7) as world:
        addresses = await start_cluster(world)
        leader = await leader_of(world, addresses)
        rest = others(leader, addresses)
        client = client_of(world, *rest)
        lease = (await client.lease_grant(10)).id
        await client.put(b"k", b"v", lease=lease)
        await world.signal(leader, "pause", process="etcd")
        for _ in range(4):
            await trio.sleep(5)
            assert await client.lease_keepalive(lease) == 10
        await world.signal(leader, "resume", process="etcd")
        await trio.sleep(5)
        assert (await client.range(b"k")).count == 1
        assert await client.lease_keepalive(lease) == 10


async def test_a_watch_moves_to_another_member_without_a_gap(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=11) as world:
        addresses = await start_cluster(world)
        watcher, writer = client_of(world, *addresses), client_of(world, *reversed(addresses))
        seen: list[int] = []

        async def watch_on() -> None:
            following = 1
            while len(seen) < 40:
                try:
                    async with watcher.watch(b"k", b"l", start_revision=following) as reader:
                        async for batch in reader:
                            seen.extend(event.kv.mod_revision for event in batch.events)
                            following = batch.revision + 1
                            if len(seen) >= 40:
                                break
                except EtcdUnavailableError:
                    await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_on)
            for number in range(40):
                if number == 10:
                    await world.kill("a")
                if number == 20:
                    await start_member(world, configs(world)["a"])
                if number == 30:
                    await world.kill("b")
                await writer.put(b"k%d" % number, b"v")
        assert seen == list(range(2, 42))


async def test_a_member_that_is_cut_off_ends_watches_and_refuses_what_needs_a_leader(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with FakeWorld(seed=9) as world:
        addresses = await start_cluster(world)
        await leader_of(world, addresses)
        cut_off = client_of(world, addresses[0])
        async with cut_off.watch(b"k") as reader:
            world.partition(["a"], ["b", "c"])
            with pytest.raises(EtcdUnavailableError, match="no leader"), trio.fail_after(10):
                await anext(reader)
        assert (await cut_off.range(b"k", serializable=True)).count == 0
        assert await get(world, addresses[0], "/health") == (503, '{"health":"false","reason":"RAFT NO LEADER"}')
        with pytest.raises(EtcdUnavailableError) as caught:
            await cut_off.put(b"k", b"v")
        assert caught.value.definite
        assert await client_of(world, *addresses).put(b"k", b"v") == 2
        world.heal()
        assert (await cut_off.range(b"k")).count == 1


async def test_a_member_that_missed_a_snapshot_s_worth_catches_up_with_its_watches(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with FakeWorld(seed=10) as world:
        addresses = await start_cluster(world, snapshot_every=10)
        client = client_of(world, *addresses[1:])
        await client.put(b"k", b"0")
        seen: list[int] = []
        network = http.Client(world.host("client").net, addresses[0])
        body = orjson.dumps({"create_request": {"key": "aw==", "start_revision": "2"}})
        async with network.stream("POST", "/v3/watch", body=body, connect_timeout_s=5) as response:

            async def collect() -> None:
                rest = b""
                async for piece in response:
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        events = orjson.loads(line)["result"].get("events", [])
                        seen.extend(int(event["kv"]["mod_revision"]) for event in events)
                    if len(seen) >= 61:
                        return

            async with trio.open_nursery() as nursery:
                nursery.start_soon(collect)
                world.partition(["a"], ["b", "c"])
                for number in range(60):
                    await client.put(b"k", b"%d" % number)
                world.heal()
        assert seen == list(range(2, 63))


async def test_writes_go_on_when_the_member_that_a_client_uses_is_paused(autojump_clock: trio.abc.Clock) -> None:
    """Upstream loses 40 s on a connection to a paused leader."""
    async with FakeWorld(seed=11) as world, trio.open_nursery() as nursery:
        addresses = await start_cluster(world)
        leader = await leader_of(world, addresses)
        client = client_of(world, addresses[NAMES.index(leader)], *others(leader, addresses))
        nursery.start_soon(client.run)
        await client.put(b"k", b"0")
        await world.signal(leader, "pause", process="etcd")
        started_s = trio.current_time()
        with pytest.raises(EtcdError) as caught:
            await client.put(b"k", b"1")
        assert not caught.value.definite
        await client.put(b"k", b"1")
        assert trio.current_time() - started_s < TIMEOUT_S
        started_s = trio.current_time()
        await client.put(b"k", b"2")
        assert trio.current_time() - started_s < 0.1
        nursery.cancel_scope.cancel()


async def test_concurrent_compare_and_set_lets_one_win(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=12) as world:
        addresses = await start_cluster(world)
        revision = await client_of(world, *addresses).put(b"k", b"0")
        winners: list[bytes] = []

        async def compete(address: Address, value: bytes) -> None:
            answer = await client_of(world, address).txn(
                [Compare(b"k", "MOD", mod_revision=revision)], [PutRequest(b"k", value)], [RangeRequest(b"k")]
            )
            if answer.succeeded:
                winners.append(value)

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(compete, addresses[number % 3], b"%d" % number)
        assert [kv.value for kv in (await client_of(world, *addresses).range(b"k")).kvs] == winners


async def test_a_quiet_watch_is_told_how_far_it_has_come(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=13) as world:
        addresses = await start_cluster(world)
        client = client_of(world, *addresses)
        async with client.watch(b"k", progress_notify=True) as reader:
            await client.put(b"other", b"v")
            assert await anext(reader) == WatchBatch(2, [])


async def test_health_version_and_metrics_are_served(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=14) as world:
        addresses = await start_cluster(world)
        await leader_of(world, addresses)
        for path in ("/health", "/healthz", "/health?serializable=true"):
            assert await get(world, addresses[0], path) == (200, '{"health":"true","reason":""}')
        assert (await get(world, addresses[0], "/version"))[0] == 200
        metrics = (await get(world, addresses[0], "/metrics"))[1]
        assert "\netcd_server_has_leader 1\n" in metrics
        assert "\netcd_server_leader_changes_seen_total 1\n" in metrics
        leading = [(await get(world, address, "/metrics"))[1].count("is_leader 1\n") for address in addresses]
        assert sum(leading) == 1


async def test_unknown_paths_and_methods_are_refused(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=15) as world:
        (address,) = await start_cluster(world, ["a"])
        assert await get(world, address, "/nothing") == (404, "404 page not found\n")
        assert await get(world, address, "/v3/kv/range") == (405, "Method Not Allowed\n")
        client = http.Client(world.host("client").net, address)
        assert (await client.request("POST", "/version", timeout_s=5)).status == 405


async def test_a_request_that_is_too_large_is_refused_and_changes_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=16) as world:
        (address,) = await start_cluster(world, ["a"])
        client = client_of(world, address)
        with pytest.raises(EtcdError, match="request is too large") as caught:
            await client.put(b"k", b"x" * 1_600_000)
        assert caught.value.definite
        assert await client.put(b"k", b"x" * 1_500_000) == 2


async def test_members_tell_equal_digests_of_what_they_applied(autojump_clock: trio.abc.Clock) -> None:
    async with FakeWorld(seed=17) as world:
        addresses = await start_cluster(world)
        client = client_of(world, *addresses)
        for number in range(150):
            await client.put(b"k", b"%d" % number)
        for address in addresses:
            await client_of(world, address).range(b"k")
        told = [dict(orjson.loads((await get(world, address, "/debug/digests"))[1])) for address in addresses]
        assert {64, 128} <= set(told[0]) & set(told[1]) & set(told[2])
        assert told[0] == told[1] == told[2]


async def test_a_member_that_lost_its_disk_says_that_it_is_a_learner_until_it_is_admitted(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with FakeWorld(seed=18) as world:
        addresses = await start_cluster(world)
        leader = await leader_of(world, addresses)
        lost, other = (name for name in NAMES if name != leader)
        await world.kill(other)
        await world.kill(lost)
        await world.wipe(lost)
        await start_member(world, configs(world)[lost])
        await trio.sleep(10)
        assert b'"isLearner":true' in await status_of(world, lost)
        await start_member(world, configs(world)[other])
        await trio.sleep(10)
        assert b"isLearner" not in await status_of(world, lost)


async def status_of(world: FakeWorld, name: str) -> bytes:
    client = http.Client(world.host("client").net, Address(world.address(name), 2379))
    return (await client.request("POST", "/v3/maintenance/status", body=b"{}", timeout_s=5)).body
