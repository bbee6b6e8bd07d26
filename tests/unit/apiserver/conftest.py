from collections.abc import AsyncIterator

import pytest
import trio.testing

from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import Api, api_server


@pytest.fixture
async def world(autojump_clock: trio.testing.MockClock) -> AsyncIterator[FakeWorld]:
    async with FakeWorld(seed=1) as world:
        yield world


@pytest.fixture
async def api(world: FakeWorld) -> AsyncIterator[Api]:
    async with api_server(world) as api:
        yield api
