"""Ctrl-C ends a simulation, whatever code it falls into."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest
import trio

from ha.world.sim import open_world, simulate


async def swallows(host, config: dict, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """As a parser does that is written in C and reports whatever its callbacks raise as bad input."""
    with suppress(BaseException):
        signal.raise_signal(signal.SIGINT)
    await trio.sleep_forever()


@pytest.mark.parametrize("where", ["component", "main"])
def test_an_interrupt_ends_a_simulation_also_where_it_could_be_swallowed(where: str) -> None:
    async def main() -> None:
        async with open_world(nodes=["a"], seed=1) as world:
            if where == "component":
                await world.boot("a", "swallows", f"{__name__}:swallows", b"{}")
            else:
                with suppress(BaseException):
                    signal.raise_signal(signal.SIGINT)
            await trio.sleep(3600)

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)) as raised:
        simulate(main, seed=1)
    error = raised.value
    assert isinstance(error, KeyboardInterrupt) or error.subgroup(KeyboardInterrupt) is not None
