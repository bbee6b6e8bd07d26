"""How stock members talk: PySyncObj's `Transport` interface on ``host.net``, with the habits of its `TCPTransport`.

One connection for each pair. The member with the higher name dials, and says its name; nobody proves anything. What
TCPTransport does, and when, is kept, since the consensus above it leans on it:

* A message is written on its own and at once, or dropped when there is no connection. Nothing bounds what waits.
  (At once: when the clock of the tick, which moves within it, has come that far. Messages that are written apart
  arrive apart, and there may be a tick between them at the other end.)
* A connection is looked at only when something happens on it: if nothing was read for ``connectionTimeout``, the
  next message to send or to receive ends it instead. (Followers have nothing to say to each other, so a candidate's
  first request for a vote is lost in this way.)
* Whoever dials tries again at a tick, ``connectionRetryTime`` after the last attempt. A new connection replaces the
  one before, which is read until it ends.

What arrives is handed over in `deliver`, which is PySyncObj's poller: at the end of a tick. Messages are msgpack
here; PySyncObj pickles and compresses them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec
import trio
from pysyncobj import SyncObjConf
from pysyncobj.transport import Transport

from ha.raft.binding import Peer
from ha.world import Address, Host, Stream

__all__ = ["StockTransport"]

_LENGTH_BYTES = 4
_CONNECTION_ENDED = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class _Connection:
    """A connection, dialled or accepted. `node` is whose it is, once that is known."""

    def __init__(self, stream: Stream, node: Peer | None, now: float) -> None:
        self.stream, self.node = stream, node
        self.read_at = now
        self.is_open = True
        self.scope = trio.CancelScope()
        self.unsent: deque[tuple[float, bytes]] = deque()
        self.has_unsent = trio.Event()
        self._received = bytearray()

    def send(self, message: object, now: float) -> None:
        body = _encode(message)
        self.unsent.append((now, len(body).to_bytes(_LENGTH_BYTES, "little") + body))
        self.has_unsent.set()

    def messages(self, data: bytes) -> Iterator[object]:
        received = self._received
        received += data
        while len(received) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(received[:_LENGTH_BYTES], "little")
            if len(received) < end:
                return
            body = bytes(received[_LENGTH_BYTES:end])
            del received[:end]
            yield _decode(body)

    def close(self) -> None:
        self.is_open = False
        self.unsent.clear()
        self.scope.cancel()


class StockTransport(Transport):  # type: ignore[misc]  # PySyncObj is untyped
    """All connections of one member. `clock` is PySyncObj's, `wake` is called when `deliver` has something to do."""

    def __init__(
        self,
        host: Host,
        *,
        name: str,
        peers: Mapping[str, Address],
        conf: SyncObjConf,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        super().__init__(None, None, None)
        self._host, self._name, self._conf, self._clock, self._wake = host, name, conf, clock, wake
        self._addresses = dict(sorted(peers.items()))
        self.nodes = {peer: Peer(peer) for peer in self._addresses if peer != name}
        self._connections: dict[Peer, _Connection] = {}
        self._dialling: set[Peer] = set()
        self._attempted_at: dict[Peer, float] = {}
        self._arrived: deque[tuple[_Connection, bytes | None]] = deque()
        self._nursery: trio.Nursery | None = None

    @property
    def connected(self) -> int:
        """With how many peers there is a connection."""
        return len(self._connections)

    # -- what PySyncObj calls ------------------------------------------------------------------------------

    def send(self, node: Peer, message: object) -> bool:
        """Write a message, or drop it. Whether it is thought to be on its way."""
        connection = self._connections.get(node)
        if connection is None:
            return False
        if self._is_too_quiet(connection):
            self._disconnect(connection)
            return False
        connection.send(message, self._clock())
        return True

    def on_tick(self) -> None:
        """Dial whom this member is to dial, and has not dialled lately."""
        for node in self.nodes.values():
            self._connect_if_necessary(node)

    def deliver(self) -> bool:
        """Hand over all that arrived. Whether anything did. Raises what PySyncObj raises; the rest is kept."""
        has_arrived = bool(self._arrived)
        while self._arrived:
            connection, data = self._arrived.popleft()
            if not connection.is_open:
                continue
            if not data and data is not None:
                self._disconnect(connection)
            elif data is None:
                self._on_dialled(connection)
            elif self._is_too_quiet(connection):
                self._disconnect(connection)
            else:
                connection.read_at = self._clock()
                self._receive(connection, data)
        return has_arrived

    def _on_dialled(self, connection: _Connection) -> None:
        node = connection.node
        assert node is not None
        self._dialling.discard(node)
        connection.read_at = self._clock()
        self._connections[node] = connection
        connection.send(self._name, connection.read_at)
        self._onNodeConnected(node)

    def _receive(self, connection: _Connection, data: bytes) -> None:
        for message in connection.messages(data):
            if connection.node is not None:
                self._onMessageReceived(connection.node, message)
            elif message in self.nodes:
                connection.node = self.nodes[message]
                self._connections[connection.node] = connection
                self._onNodeConnected(connection.node)
            else:
                self._disconnect(connection)
            if not connection.is_open:
                return

    def _is_too_quiet(self, connection: _Connection) -> bool:
        return bool(self._clock() - connection.read_at > self._conf.connectionTimeout)

    def _disconnect(self, connection: _Connection) -> None:
        connection.close()
        node = connection.node
        if node is not None and self._connections.get(node) is connection:
            del self._connections[node]
            self._onNodeDisconnected(node)
            self._connect_if_necessary(node)

    def _connect_if_necessary(self, node: Peer) -> None:
        if node in self._connections or node in self._dialling or self._name < node.id:
            return
        now = self._clock()
        if node in self._attempted_at and now - self._attempted_at[node] < self._conf.connectionRetryTime:
            return
        self._attempted_at[node] = now
        self._dialling.add(node)
        assert self._nursery is not None
        self._nursery.start_soon(self._dial, node)

    # -- tasks ---------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, and keep the connections, until cancelled. Started when it listens. Raises OSError if it cannot."""
        listener = await self._host.net.listen(self._addresses[self._name].port)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(partial(trio.serve_listeners, self._accept, [listener]))
            task_status.started()

    async def _accept(self, stream: Stream) -> None:
        await self._use(_Connection(stream, None, self._clock()))

    async def _dial(self, node: Peer) -> None:
        try:
            stream = await self._host.net.dial(self._addresses[node.id])
        except OSError:
            self._dialling.discard(node)
            return
        connection = _Connection(stream, node, self._clock())
        self._arrive(connection, None)
        await self._use(connection)

    async def _use(self, connection: _Connection) -> None:
        try:
            with connection.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write, connection)
                    await self._read(connection)
                    nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(connection.stream)

    async def _read(self, connection: _Connection) -> None:
        while True:
            try:
                data = bytes(await connection.stream.receive_some())
            except _CONNECTION_ENDED:
                data = b""
            self._arrive(connection, data)
            if not data:
                return

    async def _write(self, connection: _Connection) -> None:
        """Write one message after the other. A failure is left to the reader, who sees why the connection ended."""
        while True:
            await connection.has_unsent.wait()
            connection.has_unsent = trio.Event()
            while connection.unsent:
                at, frame = connection.unsent.popleft()
                if at > trio.current_time():
                    await trio.sleep_until(at)
                try:
                    await connection.stream.send_all(frame)
                except _CONNECTION_ENDED:
                    return

    def _arrive(self, connection: _Connection, data: bytes | None) -> None:
        """None: it was dialled. Empty: it ended."""
        self._arrived.append((connection, data))
        self._wake()
