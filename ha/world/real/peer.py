"""One connection of the zygote: a socket that never blocks it."""

from __future__ import annotations

import selectors
import socket

from ha.world.real import wire

__all__ = ["Peer"]

_QUEUE_BYTES = 4 << 20
_CHUNK_BYTES = 65536


class Peer:
    """Frames in, frames out. `node`: whose process it is; None for the supervisor.

    Invariant: the socket is registered with the selector for exactly what is wanted of it.
    """

    def __init__(self, sock: socket.socket, node: str | None, selector: selectors.BaseSelector) -> None:
        sock.setblocking(False)
        self.node = node
        self.closed = False
        self.muted = False
        self._sock = sock
        self._selector = selector
        self._inbox = wire.Frames()
        self._outbox = bytearray()
        self._wanted = 0
        self._want()

    def exchange(self) -> list[bytes]:
        """Send what is queued, receive what is there: the bodies of complete frames. Closes at the end of it."""
        self._flush()
        if self.closed or self.muted:
            return []
        try:
            data = self._sock.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.close()
        return self._inbox.feed(data)

    def send(self, message: wire.Message) -> None:
        """Queue a message, and send what the socket takes now. A peer that lets too much pile up is closed."""
        if self.closed:
            return
        self._outbox += wire.frame(message)
        self._flush()
        if len(self._outbox) > _QUEUE_BYTES:
            self.close()

    def mute(self, muted: bool) -> None:  # noqa: FBT001  (it is the argument's meaning)
        """Stop or resume listening to it."""
        self.muted = muted
        self._want()

    def close(self) -> None:
        """Drop the connection and whatever is under way on it."""
        if not self.closed:
            self.closed = True
            self._want()
            self._sock.close()

    def _flush(self) -> None:
        while self._outbox and not self.closed:
            try:
                sent = self._sock.send(self._outbox)
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            del self._outbox[:sent]
        self._want()

    def _want(self) -> None:
        wanted = 0
        if not self.closed:
            wanted = (0 if self.muted else selectors.EVENT_READ) | (selectors.EVENT_WRITE if self._outbox else 0)
        if wanted == self._wanted:
            return
        if self._wanted == 0:
            self._selector.register(self._sock, wanted, self)
        elif wanted == 0:
            self._selector.unregister(self._sock)
        else:
            self._selector.modify(self._sock, wanted, self)
        self._wanted = wanted
