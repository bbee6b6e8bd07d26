"""The work queue of keys."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from ha.kube.workqueue import Key, WorkQueue, work

A, B = ("ns", "a"), ("ns", "b")


async def test_key_added_twice_is_worked_on_once(autojump_clock: MockClock) -> None:
    queue: WorkQueue[Key] = WorkQueue()
    queue.add(A)
    queue.add(A)
    queue.add(B)
    assert [await queue.get(), await queue.get()] == [A, B]
    with trio.move_on_after(1) as scope:
        await queue.get()
    assert scope.cancelled_caught


async def test_key_added_while_worked_on_comes_back_when_done(autojump_clock: MockClock) -> None:
    queue: WorkQueue[Key] = WorkQueue()
    queue.add(A)
    key = await queue.get()
    queue.add(A)
    with trio.move_on_after(1) as scope:
        await queue.get()
    assert scope.cancelled_caught, "never two workers on one key"
    queue.done(key)
    assert await queue.get() == A


async def test_delayed_key_comes_when_due_and_the_shortest_delay_counts(autojump_clock: MockClock) -> None:
    queue: WorkQueue[Key] = WorkQueue()
    queue.add_after(A, 10)
    queue.add_after(A, 5)
    queue.add_after(A, 20)
    began = trio.current_time()
    queue.done(await queue.get())
    assert trio.current_time() - began == pytest.approx(5)
    with trio.move_on_after(60) as scope:
        await queue.get()
    assert scope.cancelled_caught, "the longer delays were superseded"


async def test_retries_double_until_the_key_is_forgotten(autojump_clock: MockClock) -> None:
    queue: WorkQueue[Key] = WorkQueue(retry_base_s=1, retry_max_s=5)
    assert [queue.retry(A) for _ in range(5)] == [1, 2, 4, 5, 5]
    queue.forget(A)
    assert queue.retry(A) == 1


async def test_worker_retries_transient_errors_and_obeys_the_wish_to_look_again(autojump_clock: MockClock) -> None:
    queue: WorkQueue[Key] = WorkQueue(retry_base_s=1)
    calls: list[float] = []

    async def sync(_: Key) -> float | None:
        await trio.lowlevel.checkpoint()
        calls.append(trio.current_time() - began)
        if len(calls) == 1:
            raise OSError
        return 7.0 if len(calls) == 2 else None

    began = trio.current_time()
    queue.add(A)
    with trio.move_on_after(60):
        await work(queue, sync, transient=(OSError,), on_error=lambda *_: None)
    assert calls == pytest.approx([0, 1, 8])


async def test_worker_dies_of_a_bug(autojump_clock: MockClock) -> None:
    queue: WorkQueue[Key] = WorkQueue()
    queue.add(A)

    async def sync(_: Key) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work(queue, sync, transient=(OSError,), on_error=lambda *_: None)
