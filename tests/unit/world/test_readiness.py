"""`ha.world.real.readiness`: what becomes of those who may read when all is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from ha.world import Address
from ha.world.real.net import LoopbackNetwork
from ha.world.real.sockets import SocketListener, SocketStream


def test_a_stream_that_is_closed_last_of_all_is_closed() -> None:
    """As by a generator that nobody finished: by then nobody waits for arrivals any more."""
    unfinished: list[AsyncIterator[SocketStream]] = []
    opened: list[SocketStream] = []

    async def stream(listener: SocketListener) -> AsyncIterator[SocketStream]:
        async with await LoopbackNetwork("127.0.0.1").dial(Address(*listener.socket.getsockname())) as dialled:
            assert isinstance(dialled, SocketStream)
            with trio.move_on_after(0):
                await dialled.receive_some()
            yield dialled

    async def main() -> None:
        async with await LoopbackNetwork("127.0.0.1").listen(0) as listener:
            assert isinstance(listener, SocketListener)
            unfinished.append(stream(listener))
            opened.append(await anext(unfinished[0]))

    trio.run(main)
    assert opened[0].socket.fileno() < 0
