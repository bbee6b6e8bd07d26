"""What only the simulated world promises of disturbances; see `tests.unit.world.test_disturbances` for the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from ha.world import (
    Address,
    Stream,
)
from ha.world.sim.wire import WINDOW_BYTES
from tests.fakes.world import FakeWorld

THERE = (("a", "b"),)
BACK = (("b", "a"),)
BOTH = THERE + BACK


@pytest.fixture
async def world(autojump_clock: MockClock) -> AsyncIterator[FakeWorld]:
    async with FakeWorld(seed=3) as world:
        world.address("a")
        world.address("b")
        yield world


async def connect(world: FakeWorld) -> tuple[Stream, Stream]:
    """The ends of `a`, who dialled, and of `b`."""
    listener = await world.host("b").net.listen(7)
    mine = await world.host("a").net.dial(Address(world.address("b"), 7))
    return mine, await listener.accept()


async def arrives_in(receiver: Stream, *, within_s: float = 60) -> float:
    """How long until something arrives. Raises TooSlowError."""
    began = trio.current_time()
    with trio.fail_after(within_s):
        assert await receiver.receive_some()
    return trio.current_time() - began


async def test_a_writer_whose_peer_does_not_read_waits(autojump_clock: MockClock, world: FakeWorld) -> None:
    a, b = await connect(world)
    with trio.move_on_after(60) as scope:
        await a.send_all(bytes(2 * WINDOW_BYTES))
    assert scope.cancelled_caught
    taken = 0
    with trio.move_on_after(1):
        while True:
            taken += len(await b.receive_some())
    assert taken == WINDOW_BYTES
