"""Awaiting by hand."""

from __future__ import annotations

import pytest
import trio

from ha.world.stepping import noting_block


class Endless:
    """Waits for ever, and notes when it was cancelled."""

    cancelled_at: float | None = None

    async def wait(self) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            self.cancelled_at = trio.current_time()
            raise


async def test_an_awaitable_that_does_not_block_is_not_noted() -> None:
    notes: list[str] = []

    async def quick() -> int:
        return 7

    assert await noting_block(quick(), lambda: notes.append("blocked")) == 7
    assert notes == []


async def test_an_awaitable_that_blocks_is_noted_once_before_it_does(autojump_clock) -> None:
    notes: list[str] = []

    async def slow() -> int:
        notes.append("running")
        await trio.sleep(1)
        await trio.sleep(1)
        return 7

    assert await noting_block(slow(), lambda: notes.append("blocked")) == 7
    assert notes == ["running", "blocked"]


async def test_errors_and_cancellation_pass_through(autojump_clock) -> None:
    async def fail(after_s: float) -> None:
        if after_s:
            await trio.sleep(after_s)
        raise LookupError

    for after_s in (0, 1):
        with pytest.raises(LookupError):
            await noting_block(fail(after_s), lambda: None)
    endless = Endless()
    with trio.move_on_after(1) as scope:
        await noting_block(endless.wait(), lambda: None)
    assert scope.cancelled_caught
    assert endless.cancelled_at == trio.current_time()
