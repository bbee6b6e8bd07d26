"""Bytes from one stream to another, on any streams: what `Network.copy` is where nothing quicker is at hand."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ha.world import Copied, Stream

__all__ = ["copy_piece", "copy_streams"]

_RECEIVE_BYTES = 64 * 1024


async def copy_piece(source: Stream, sink: Stream, count: Callable[[int], None]) -> Copied | None:
    """Receive once and send that; None when there may be more. See `ha.world.Network.copy`."""
    try:
        data = await source.receive_some(_RECEIVE_BYTES)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return "source broken"
    if not data:
        return "end"
    count(len(data))
    try:
        await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return "sink broken"
    return None


async def copy_streams(source: Stream, sink: Stream, count: Callable[[int], None]) -> Copied:
    """See `ha.world.Network.copy`."""
    while True:
        how = await copy_piece(source, sink, count)
        if how is not None:
            return how
