"""An API server in memory on node "api", in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ha.kube.client import KubeClient
from ha.world import Address
from tests.fakes.world import FakeWorld
from tests.unit.kube.fake_api import PORT, FakeApi


@pytest.fixture
async def world() -> AsyncIterator[FakeWorld]:
    async with FakeWorld(seed=1) as world:
        yield world


@pytest.fixture
async def api(world: FakeWorld) -> FakeApi:
    api = FakeApi()
    await world.start("api", api.serve)
    return api


@pytest.fixture
def client(world: FakeWorld, api: FakeApi) -> KubeClient:
    return KubeClient(world.host("c").net, Address(world.address("api"), PORT), user_agent="test", timeout_s=2.0)
