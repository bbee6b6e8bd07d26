"""Seeded chaos over a whole cluster of replicas in virtual time.

A seed decides everything, the swarm of faults that it uses included. Repeat one with
``pytest tests/properties/test_raft_chaos.py -k 'seed7 '``. Checked: whatever was acknowledged is there, once, and
in the place that the answer named; a read sees what was acknowledged before it; a term has one leader; when all
faults are healed every member converges to the same state.
"""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
import trio

from ha.raft import RaftError
from ha.raft.records import Kind, read_batches, read_records
from tests.fakes.world import FakeWorld, run_virtual
from tests.unit.raft.cluster import Cluster

PATH = "raft/journal"
CHAOS_S = 8
SEEDS = range(16)


class Chaos:
    def __init__(self, world: FakeWorld, cluster: Cluster, random: Random) -> None:
        self.world, self.cluster, self.random = world, cluster, random
        self.acknowledged: dict[bytes, int] = {}
        self.leaders: dict[int, str] = {}
        self.reads = self.faults = self.proposed = self.losses = 0
        self.wiped: set[str] = set()
        every = ["kill", "power", "blackout", "partition", "one_way", "slow", "lose_disk"]
        self.swarm = sorted(random.sample(every, random.randint(3, len(every))))

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.watch)
            await self.cluster.start()
            with trio.move_on_after(CHAOS_S):
                async with trio.open_nursery() as load:
                    for number in range(6):
                        load.start_soon(self.write, number)
                    for _ in range(2):
                        load.start_soon(self.read)
                    load.start_soon(self.nemesis)
            self.world.heal()
            await self.restart()
            await self.converge()
            nursery.cancel_scope.cancel()

    def up(self) -> list[str]:
        return sorted(self.cluster.replicas)

    async def write(self, client: int) -> None:
        number = 0
        while True:
            await trio.sleep(self.random.uniform(0, 0.02))
            number += 1
            command = b"%d/%d" % (client, number)
            if self.up():
                replica = self.cluster.replicas[self.random.choice(self.up())]
                self.proposed += 1
                with trio.move_on_after(self.random.choice((0.05, 1.0))):
                    try:
                        self.acknowledged[command] = await replica.propose(command)
                    except RaftError:
                        continue

    async def read(self) -> None:
        while True:
            await trio.sleep(self.random.uniform(0, 0.05))
            if not self.up():
                continue
            name = self.random.choice(self.up())
            before = set(self.acknowledged)
            replica, machine = self.cluster.replicas[name], self.cluster.machines[name]
            with trio.move_on_after(1):
                try:
                    await replica.read_barrier()
                except RaftError:
                    continue
                self.reads += 1
                seen = set(machine.commands)
                assert before <= seen, f"{name} does not see {before - seen}"

    async def watch(self) -> None:
        """Every leader that shows itself at any change of any member."""
        async with trio.open_nursery() as nursery:
            watched: list[object] = []
            while True:
                for name, replica in list(self.cluster.replicas.items()):
                    if replica not in watched:
                        watched.append(replica)
                        nursery.start_soon(self.watch_replica, name, replica)
                await trio.sleep(0.01)

    async def watch_replica(self, name: str, replica) -> None:
        status = replica.status
        while self.cluster.replicas.get(name) is replica:
            if status.role == "leader":
                assert self.leaders.setdefault(status.term, name) == name, f"two leaders in term {status.term}"
            with trio.move_on_after(1):
                status = await replica.wait_status_change(status)

    async def nemesis(self) -> None:
        """Begins once there is a leader: a schedule that never lets one be elected would test nothing."""
        await self.cluster.leader()
        while True:
            await trio.sleep(self.random.uniform(0.05, 1))
            self.faults += 1
            await getattr(self, self.random.choice(self.swarm))()
            if self.random.random() < 0.5:
                await trio.sleep(self.random.uniform(0, 1))
                await self.restart()
            if self.random.random() < 0.5:
                self.world.heal()

    async def restart(self) -> None:
        for name in self.cluster.names:
            if name not in self.cluster.replicas and not self.world.running(name):
                await self.cluster.start(name)

    def victim(self) -> str | None:
        leaders = self.cluster.leaders()
        return self.random.choice(leaders if leaders and self.random.random() < 0.5 else self.up() or [None])

    async def kill(self) -> None:
        if name := self.victim():
            await self.world.kill(name)

    async def power(self) -> None:
        if name := self.victim():
            await self.world.power_off(name)

    async def blackout(self) -> None:
        for name in self.up():
            await self.world.power_off(name)

    async def lose_disk(self) -> None:
        """Of a minority at a time: a member that is not admitted yet is as good as lost."""
        lost = {name for name in self.wiped if not self.is_durably_a_member(name)}
        name = self.victim()
        if name and len(lost | {name}) <= (len(self.cluster.names) - 1) // 2:
            await self.world.power_off(name)
            self.world.disk(name).remove(PATH)
            self.wiped.add(name)
            self.losses += 1

    def is_durably_a_member(self, name: str) -> bool:
        file = self.world.disk(name).device.files.get(PATH)
        bodies = read_batches(bytes(file.durable))[0] if file is not None else []
        return any(record.kind is Kind.DISK and record.b for body in bodies for record in read_records(body))

    async def partition(self) -> None:
        size = self.random.randrange(1, len(self.cluster.names))
        side = self.random.sample(self.cluster.names, size)
        self.world.partition(side, [name for name in self.cluster.names if name not in side])

    async def one_way(self) -> None:
        self.world.cut(*self.random.sample(self.cluster.names, 2))

    async def slow(self) -> None:
        source, destination = self.random.sample(self.cluster.names, 2)
        self.world.slow(source, destination, self.random.uniform(0.05, 1))

    async def converge(self) -> None:
        with trio.fail_after(20):
            while True:
                with trio.move_on_after(2):
                    try:
                        await self.cluster.replicas[self.up()[0]].propose(b"end")
                    except RaftError:
                        continue
                    break
            await self.cluster.settle()
        digests = [self.cluster.replicas[name].digests[-1] for name in self.cluster.names]
        assert len(set(digests)) == 1, f"members applied different entries: {digests}"
        logs = [self.cluster.machines[name].commands for name in self.cluster.names]
        assert all(log == logs[0] for log in logs), "members differ"
        assert len(set(logs[0])) == len([c for c in logs[0] if c != b"end"]) + 1, "something was applied twice"
        for command, place in self.acknowledged.items():
            assert logs[0][place - 1] == command, f"acknowledged {command!r} is not at {place}"


async def chaos(seed: int) -> None:
    random = Random(f"chaos/{seed}")
    names = random.choice(("abc", "abc", "abcd", "abcde"))
    heartbeat_s, election_s = random.choice(((0.01, 0.1), (0.05, 0.5)))
    async with FakeWorld(seed=seed, sync_s=random.choice(((0.0001, 0.001), (0.001, 0.03)))) as world:
        cluster = Cluster(
            world,
            names,
            heartbeat_s=heartbeat_s,
            election_s=election_s,
            snapshot_every=random.choice((15, 60, 10_000)),
        )
        run = Chaos(world, cluster, random)
        await run.run()
        assert run.acknowledged
        assert run.reads
        assert run.faults


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed{seed} ")
def test_no_fault_loses_repeats_or_hides_what_was_acknowledged(seed: int) -> None:
    run_virtual(partial(chaos, seed), seed=seed)
