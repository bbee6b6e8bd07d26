from __future__ import annotations

import os
import signal

import pytest
import trio

from ha.experiment.fuzz.workers import WorkerLostError, processes


def double(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def end(code: int) -> None:
    os._exit(code)


def stay() -> None:
    signal.pause()


def mask() -> set[signal.Signals]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, set()))


async def test_calls_are_answered_by_so_many_processes() -> None:
    answers: list[tuple[int, int]] = []

    async def ask(number: int) -> None:
        answers.append(await workers.call(double, number))

    async with processes(2) as workers:
        assert workers.count == 2
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for number in range(2):
                    nursery.start_soon(ask, number)
        found = {process for _, process in answers}
    assert sorted(number for number, _ in answers) == [0, 0, 2, 2]
    assert len(found) == 2
    assert os.getpid() not in found
    for process in found:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


async def test_a_worker_that_ends_is_told_and_replaced() -> None:
    async with processes(1) as workers:
        with pytest.raises(WorkerLostError, match="exit code 3"):
            await workers.call(end, 3)
        assert (await workers.call(double, 4))[0] == 8


async def test_a_call_that_is_cancelled_ends_its_worker() -> None:
    async with processes(1) as workers:
        _, first = await workers.call(double, 1)
        with trio.move_on_after(0.2) as scope:
            await workers.call(stay)
        assert scope.cancelled_caught
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        assert (await workers.call(double, 4))[0] == 8


async def test_workers_do_not_hear_of_an_interrupt_at_the_terminal() -> None:
    """Ctrl-C reaches every process of a terminal's group; it is for the one that searches to end them."""
    async with processes(1) as workers:
        assert await workers.call(mask) >= {signal.SIGINT, signal.SIGTERM}
