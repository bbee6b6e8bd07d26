from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import trio

from ha.history import Operation
from ha.history.watch import WatchRecord
from ha.spec import Workload
from ha.workload import Load
from ha.world import Address, Listener, Network, Stream
from tests.fakes.world import FakeWorld
from tests.unit.workload.fake_api import PORT, FakeApi


class CountingNetwork:
    """A client's network that counts its connections."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.dialled = 0

    async def dial(self, address: Address) -> Stream:
        self.dialled += 1
        return await self._network.dial(address)

    async def listen(self, port: int) -> Listener:
        return await self._network.listen(port)


@dataclass
class Bench:
    """A load on a fake API server, in virtual time. ``history`` is what was recorded."""

    world: FakeWorld
    api: FakeApi = field(default_factory=FakeApi)
    history: list[Operation] = field(default_factory=list)
    watches: list[WatchRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host = self.world.host("client")
        self.net = self.host.net = CountingNetwork(self.host.net)

    def load(self, *workloads: Workload, timeout_s: float = 1.0, patience_s: float = 10.0) -> Load:
        return Load(
            workloads,
            host=self.host,
            server=Address(self.world.address("api"), PORT),
            members={},
            record=self.history.append,
            record_watch=self.watches.append,
            now_s=trio.current_time,
            timeout_s=timeout_s,
            patience_s=patience_s,
        )

    async def start(self) -> None:
        await self.world.start("api", self.api.serve)

    def of(self, predicate: Callable[[Operation], bool]) -> list[Operation]:
        return [operation for operation in self.history if predicate(operation)]


@pytest.fixture
async def bench():
    """For tests that ask for ``autojump_clock`` themselves: pytest-trio looks at a test's own arguments."""
    async with FakeWorld(seed=1) as world:
        made = Bench(world)
        await made.start()
        yield made
