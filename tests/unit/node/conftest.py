"""An API server in memory on node "api", and kubelets on other nodes, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.world import FakeWorld
from tests.unit.kube.fake_api import FakeApi
from tests.unit.node.cluster import Cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with FakeWorld(seed=1) as world:
        api = FakeApi()
        await world.start("api", api.serve)
        yield Cluster(world, api)
