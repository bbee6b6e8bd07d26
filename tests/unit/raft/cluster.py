"""A cluster of replicas in a `FakeWorld`, with a machine that is easy to check."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec
import trio

from ha.raft import Engine, Status, open_engine
from ha.world import Address
from tests.fakes.world import FakeHost, FakeWorld

TOKEN = "secret"
PORT = 2380


class ListMachine:
    """Applies commands by appending them; answers with their number."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []

    def apply(self, _index: int, command: bytes) -> object:
        self.commands.append(command)
        return len(self.commands)

    def snapshot(self) -> Iterator[bytes]:
        return iter([msgspec.msgpack.encode(self.commands)])

    def restore(self, parts: Iterator[bytes]) -> None:
        self.commands = msgspec.msgpack.decode(next(parts), type=list[bytes])


class Cluster:
    """Members by name, each a process of a node of the same name."""

    def __init__(
        self,
        world: FakeWorld,
        names: str,
        *,
        engine="pysyncobj",
        heartbeat_s=0.1,
        election_s=1.0,
        snapshot_every=10_000,
        token=TOKEN,
        **options,
    ) -> None:
        self.world, self.names, self.engine = world, list(names), engine
        self.addresses = {name: Address(world.address(name), PORT) for name in self.names}
        self.options = {"heartbeat_s": heartbeat_s, "election_s": election_s, "snapshot_every": snapshot_every}
        self.options |= options
        self.tokens = dict.fromkeys(self.names, token)
        self.replicas: dict[str, Engine] = {}
        self.machines: dict[str, ListMachine] = {}

    async def start(self, *names: str) -> None:
        for name in names or self.names:
            await self.world.start(name, partial(self._serve, name))

    async def _serve(self, name: str, host: FakeHost, *, task_status: trio.TaskStatus[None]) -> None:
        machine = self.machines[name] = ListMachine()
        replica = self.replicas[name] = open_engine(
            self.engine,
            host,
            name=name,
            peers=self.addresses,
            machine=machine,
            cluster_token=self.tokens[name],
            peer_port=PORT,
            **self.options,
        )
        try:
            await replica.run(task_status=task_status)
        finally:
            if self.replicas.get(name) is replica:
                del self.replicas[name]

    def leaders(self) -> list[str]:
        return [name for name in self.names if name in self.replicas and self.status(name).role == "leader"]

    def status(self, name: str) -> Status:
        return self.replicas[name].status

    async def leader(self, among: str | None = None) -> str:
        """Wait for a leader, the one of the highest term."""
        with trio.fail_after(60):
            while True:
                found = [name for name in self.leaders() if among is None or name in among]
                if found:
                    return max(found, key=lambda name: self.status(name).term)
                await trio.sleep(0.001)

    def followers(self) -> list[str]:
        return [name for name in self.names if name in self.replicas and self.status(name).role != "leader"]

    async def settle(self) -> None:
        """Wait until all members have applied the same."""
        leader = await self.leader()
        with trio.fail_after(60):
            while True:
                indexes = {self.status(name).applied_index for name in self.names}
                if indexes == {self.status(leader).last_log_index}:
                    return
                await trio.sleep(0.01)
