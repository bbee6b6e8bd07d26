"""Accepting connections for ever.

A shortage of the machine (no file descriptor left, EMFILE) or a connection that died in the queue must not end
a server: it backs off and goes on. `trio.serve_listeners` does much the same, but it knows neither our log nor
worlds whose listeners raise other errors, and closes streams gracefully, which may block.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NoReturn

import trio

from ha.http.messages import Log
from ha.world import Listener, Stream

__all__ = ["accept_forever", "is_shortage"]

_BACK_OFF_S = 0.1
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EAGAIN})


def is_shortage(error: BaseException | None) -> bool:
    """Whether an error says that this machine lacks something, rather than anything about the peer."""
    return isinstance(error, OSError) and error.errno in _SHORTAGES


async def accept_forever(listener: Listener, start: Callable[[Stream], None], log: Log) -> NoReturn:
    """Hand every connection to `start`, which must not raise. Ends only by cancellation or a closed listener."""
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            log("accept failed", error=repr(error))
            await trio.sleep(_BACK_OFF_S)  # no condition to await: nothing tells when a descriptor is free
        else:
            start(stream)
