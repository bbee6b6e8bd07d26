"""The exhibit: schedules in which stock PySyncObj loses writes that it acknowledged, and the hardened engine does not.

Whole members, asked through their own API; nothing is done to them but what happens to machines. See the list in
`ha.raft.core` for what goes wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import pytest
import trio

from ha.etcd import member
from ha.etcd.client import EtcdClient, EtcdError
from ha.world import Address, Cut, Network
from ha.world.sim import SimWorld, open_world, simulate

NAMES = ("a", "b", "c")
STOCK, OURS = "pysyncobj-stock", "pysyncobj"
TIMEOUT_S = 8.0


class Store:
    """Three members and what was acknowledged by them."""

    def __init__(self, world: SimWorld, net: Network, engine: str) -> None:
        self.world, self.net, self.engine = world, net, engine
        self.acknowledged: set[bytes] = set()
        self.urls = {name: f"{world.address(name)}:2379" for name in NAMES}
        self.addresses = {name: Address.parse(url) for name, url in self.urls.items()}

    async def boot(self, *, snapshot_every: int = 10_000) -> None:
        for name in NAMES:
            config = member.Config(
                name=name,
                members={peer: f"{self.world.address(peer)}:2380" for peer in NAMES},
                client_urls=self.urls,
                engine=self.engine,
                snapshot_every=snapshot_every,
            )
            await self.world.boot(name, "etcd", "ha.etcd.member:serve", msgspec.json.encode(config))

    def client(self, *names: str) -> EtcdClient:
        return EtcdClient(self.net, [self.addresses[name] for name in names], timeout_s=TIMEOUT_S)

    async def put(self, key: bytes, *names: str) -> None:
        """Write through one of these members; whether it worked is remembered, nothing else."""
        with suppress(EtcdError):
            await self.client(*names).put(key, key * 50)
            self.acknowledged.add(key)

    async def leader(self) -> str:
        client = self.client(*NAMES)
        statuses = [await client.status(self.addresses[name]) for name in NAMES]
        leader = max(statuses, key=lambda status: status.raft_term).leader
        return next(one.name for one in await client.member_list() if one.id == leader)

    async def lost(self) -> set[bytes]:
        """What was acknowledged and no member has."""
        kept: set[bytes] = set()
        for name in NAMES:
            kept |= {kv.key for kv in (await self.client(name).range(b"\0", b"\0", serializable=True)).kvs}
        return self.acknowledged - kept


async def a_deposed_leader_is_sent_a_snapshot(store: Store) -> None:
    """Deviation 4. The leader is cut off with writes that nobody else has; the others go on and compact; it returns.

    The first piece of their snapshot makes it believe that whatever stands in its own log is committed.
    """
    await store.boot(snapshot_every=30)
    await store.put(b"first", *NAMES)
    old = await store.leader()
    rest = [name for name in NAMES if name != old]
    await trio.sleep(6)
    cut = Cut(tuple((a, b) for a in NAMES for b in NAMES if (a == old) != (b == old)))
    await store.world.impose(cut)

    async def go_on(writer: int) -> None:
        for number in range(20):
            await store.put(b"kept-%d-%d" % (writer, number), *rest)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(store.put, b"doomed-%d" % number, old)
        for writer in range(5):
            nursery.start_soon(go_on, writer)
        await trio.sleep(6.5)
        await store.world.lift(cut)
    await trio.sleep(10)


async def the_power_fails(store: Store) -> None:
    """Deviation 1. Nothing was ever synced, so a majority forgets."""
    await store.boot()
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(store.put, b"doomed-%d" % number, *NAMES)
    for name in NAMES:
        await store.world.signal(name, "kill")
    await trio.sleep(1)
    await store.boot()
    await trio.sleep(20)


def run(schedule: Callable[[Store], Awaitable[None]], engine: str, seed: int) -> tuple[set[bytes], set[bytes], str]:
    """What was acknowledged, what of it is lost, and the digest of the run."""

    async def main() -> tuple[set[bytes], set[bytes], str]:
        async with open_world(nodes=NAMES, seed=seed) as world, world.client("client") as host:
            store = Store(world, host.net, engine)
            await schedule(store)
            return store.acknowledged, await store.lost(), world.trace.digest()

    return simulate(main, seed=seed)


SCHEDULES = [a_deposed_leader_is_sent_a_snapshot, the_power_fails]
SEEDS = range(1, 7)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_stock_loses_what_it_acknowledged(schedule) -> None:
    """Not on every seed: pieces that arrive together do no harm, and a disk may have kept everything."""
    losing = []
    for seed in SEEDS:
        acknowledged, lost, _ = run(schedule, STOCK, seed)
        assert len(acknowledged) >= 50
        assert all(key.startswith(b"doomed") for key in lost)
        losing += [seed] if lost else []
    assert len(losing) >= 2


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_hardened_engine_loses_nothing(schedule, seed: int) -> None:
    acknowledged, lost, _ = run(schedule, OURS, seed)
    assert len(acknowledged) >= 50
    assert not lost


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_same_seed_loses_the_same(schedule) -> None:
    assert run(schedule, STOCK, 1) == run(schedule, STOCK, 1)
