"""What only the simulated world promises of disturbances; see `tests.unit.world.test_disturbances` for the rest."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from ha.world import (
    Address,
    BitFlip,
    ClockOffset,
    ClockRate,
    Cut,
    DiskError,
    DiskFull,
    NotAttestedError,
    SlowDisk,
    Stream,
)
from ha.world.sim.host import EPOCH_S
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


@pytest.mark.parametrize(
    ("disturbance", "number"), [(DiskFull("a"), errno.ENOSPC), (DiskError("a", "main"), errno.EIO)]
)
async def test_a_failing_disk_fails_every_sync_and_what_was_not_synced_is_unknown(
    autojump_clock: MockClock, world: FakeWorld, disturbance: DiskFull | DiskError, number: int
) -> None:
    disk = world.disk("a")
    file = disk.open("log")
    file.append(b"durable")
    await file.sync()
    await world.impose(disturbance)
    file.append(b"-maybe")
    for attempt in (file.sync(), disk.replace("other", b"x"), file.sync()):
        with pytest.raises(OSError) as failure:  # noqa: PT011  (the number tells)
            await attempt
        assert failure.value.errno == number
    assert disk.read("log") in (b"durable", b"durable-maybe")
    with pytest.raises(FileNotFoundError):
        disk.read("other")
    assert (await world.lift(disturbance))["refused"] == 2
    again = disk.open("log")
    again.append(b"!")
    await again.sync()
    with pytest.raises(OSError, match="an earlier sync failed"):
        await file.sync()


async def test_a_disk_fault_hits_only_its_process_and_also_one_that_starts_later(
    autojump_clock: MockClock, world: FakeWorld
) -> None:
    await world.impose(DiskError("a", "one"))
    with pytest.raises(OSError, match="Input/output"):
        await world.disk("a", "one").replace("f", b"x")
    await world.disk("a", "two").replace("f", b"x")
    await world.disk("b", "one").replace("f", b"x")


async def test_a_slow_disk_takes_its_time(autojump_clock: MockClock, world: FakeWorld) -> None:
    await world.impose(SlowDisk("a", 2.0))
    began = trio.current_time()
    await world.disk("a").replace("f", b"x")
    assert 2.0 < trio.current_time() - began < 2.1
    assert (await world.lift(SlowDisk("a", 2.0)))["slowed"] == 1


async def test_a_flipped_bit_is_one_bit_and_put_right_again(autojump_clock: MockClock, world: FakeWorld) -> None:
    with pytest.raises(NotAttestedError):
        await world.impose(BitFlip("a"))
    content = bytes(100)
    await world.disk("a").replace("f", content)
    evidence = await world.impose(BitFlip("a"))
    changed = world.disk("a").read("f")
    assert sum(byte.bit_count() for byte in changed) == 1
    assert changed[evidence["byte"]] == 1 << evidence["bit"]
    assert (await world.lift(BitFlip("a")))["bit"] == "put right"
    assert world.disk("a").read("f") == content
    await world.impose(BitFlip("a"))
    await world.disk("a").replace("f", content)
    assert (await world.lift(BitFlip("a")))["bit"] == "gone with its file"
    assert world.disk("a").read("f") == content


async def test_clocks_jump_and_drift_and_are_right_again(autojump_clock: MockClock, world: FakeWorld) -> None:
    host, other = world.host("a"), world.host("b")

    def wrong_by() -> float:
        return round(host.wall_clock() - EPOCH_S - trio.current_time(), 6)

    await world.impose(ClockOffset("a", -30.0))
    assert wrong_by() == -30
    await world.impose(ClockRate("a", 1.5))
    await trio.sleep(10)
    assert wrong_by() == -25
    await world.impose(ClockRate("a", 2.0))
    await trio.sleep(10)
    assert wrong_by() == -5
    await world.lift(ClockRate("a", 1.5))
    await trio.sleep(10)
    assert wrong_by() == 5
    await world.lift(ClockRate("a", 2.0))
    assert wrong_by() == -30
    await world.lift(ClockOffset("a", -30.0))
    assert wrong_by() == 0
    assert other.wall_clock() == EPOCH_S + trio.current_time()


async def test_an_unknown_node_is_refused(autojump_clock: MockClock, world: FakeWorld) -> None:
    for disturbance in (Cut((("a", "z"),)), DiskFull("z"), ClockOffset("z", 1)):
        with pytest.raises(LookupError, match="no node 'z'"):
            await world.impose(disturbance)
