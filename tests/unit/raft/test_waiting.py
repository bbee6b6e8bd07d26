"""How callers and the driver wait."""

from __future__ import annotations

from math import inf

import pytest
import trio
import trio.testing

from ha.raft.errors import NoLeaderError, NotInTimeError
from ha.raft.waiting import Alarm, Waiter, Waits


async def test_who_waits_is_told_once() -> None:
    waiter = Waiter(inf)
    async with trio.open_nursery() as nursery:

        async def tell() -> None:
            waiter.finish(1)
            waiter.finish(2)
            waiter.fail(NoLeaderError())

        nursery.start_soon(tell)
        await waiter.until_told()
    assert (waiter.answer, waiter.error) == (1, None)


async def test_what_came_before_the_wait_is_told_as_well() -> None:
    waiter = Waiter(inf)
    waiter.fail(NoLeaderError())
    waiter.finish(1)
    with pytest.raises(NoLeaderError):
        await Waits(inf).wait(waiter)


async def test_who_gave_up_waiting_is_left_alone(autojump_clock) -> None:
    waiter = Waiter(inf)
    with trio.move_on_after(1):
        await waiter.until_told()
    waiter.finish(1)
    await trio.sleep(1)
    assert waiter.answer is None


async def test_who_is_answered_in_the_moment_of_giving_up_is_woken_once() -> None:
    waiter, scope = Waiter(inf), trio.CancelScope()

    async def wait() -> None:
        with scope:
            await waiter.until_told()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        waiter.finish(1)
    assert scope.cancelled_caught
    assert waiter.answer is None


async def test_time_is_up_for_each_when_its_own_is(autojump_clock) -> None:
    """Also for one whose call began before that of somebody who waits already."""
    waits, ended = Waits(5), []

    async def wait(name: str, due_s: float) -> None:
        with pytest.raises(NotInTimeError):
            await waits.wait(Waiter(due_s))
        ended.append((name, trio.current_time()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits.expire)
        nursery.start_soon(wait, "later", 5)
        await trio.sleep(1)
        nursery.start_soon(wait, "earlier", 3)
        nursery.start_soon(wait, "last", waits.due_s())
        await trio.sleep(20)
        nursery.start_soon(wait, "after a pause", waits.due_s())
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    assert ended == [("earlier", 3), ("later", 5), ("last", 6), ("after a pause", 26)]


class Sleeper:
    """Waits for an alarm again and again; `due_s` is when it wants to be woken."""

    def __init__(self) -> None:
        self.alarm = Alarm()
        self.due_s = inf
        self.woken: list[float] = []

    async def run(self) -> None:
        while True:
            await self.alarm.wait(self.due_s)
            self.woken.append(trio.current_time())
            self.due_s = inf


async def test_an_alarm_wakes_when_it_is_rung_and_when_the_time_has_come(autojump_clock) -> None:
    sleeper = Sleeper()
    sleeper.due_s = 2
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper.alarm.run)
        nursery.start_soon(sleeper.run)
        await trio.sleep(5)
        assert sleeper.woken == [2]
        sleeper.due_s = 30
        sleeper.alarm.ring()
        sleeper.alarm.ring()
        await trio.sleep(1)
        assert sleeper.woken == [2, 5]
        nursery.cancel_scope.cancel()


async def test_a_time_that_recedes_is_kept_and_so_is_one_that_draws_near(autojump_clock) -> None:
    alarm, woken = Alarm(), []

    async def drive() -> None:
        for due_s in (10, 20, 4, 30):
            await alarm.wait(due_s)
            woken.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarm.run)
        nursery.start_soon(drive)
        await trio.sleep(1)
        alarm.ring()
        await trio.sleep(1)
        alarm.ring()
        await trio.sleep(40)
        nursery.cancel_scope.cancel()
    assert woken == [1, 2, 4, 30]


async def test_a_ring_while_nobody_waits_is_not_lost(autojump_clock) -> None:
    alarm = Alarm()
    alarm.ring()
    await alarm.wait(inf)
    with trio.move_on_after(1) as limit:
        await alarm.wait(inf)
    assert limit.cancelled_caught
