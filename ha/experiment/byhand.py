"""Faults by hand, on a cluster that is kept: what its keeper does for ``ha chaos``.

A connection is one fault. It begins with the `Fault` as one line of JSON; back come a `FaultEvent` for what was
injected and one for what was undone, a line each, and the end. When the other end leaves, or half-closes, the fault is
undone: so whoever injects something need not live to see it undone.
"""

from __future__ import annotations

from functools import partial
from math import inf

import msgspec
import trio

from ha.chaos import Injector
from ha.cluster import Cluster, View
from ha.history import Event, FaultEvent
from ha.spec import Fault
from ha.spec.faults import INSTANT
from ha.world import Host, Listener, Random, Stream

__all__ = ["PORT", "serve"]

PORT = 7070
"""On the address of the keeper."""
_MAX_LINE_BYTES = 1 << 20


async def serve(cluster: Cluster, host: Host, listener: Listener) -> None:
    """Inject what is asked for, each by itself, until cancelled; then all of it is undone."""
    await trio.serve_listeners(partial(_serve_one, cluster, host), [listener])


async def _serve_one(cluster: Cluster, host: Host, stream: Stream) -> None:
    async with stream:
        try:
            fault = msgspec.json.decode(await _line(stream), type=Fault)
        except (msgspec.MsgspecError, trio.BrokenResourceError) as error:
            host.log("no fault", error=str(error))
            return
        await _Byhand(cluster, host, stream, fault).run()


async def _line(stream: Stream) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
        data = await stream.receive_some()
        if not data:
            break
        line += data
    return line


class _Byhand:
    """One fault."""

    def __init__(self, cluster: Cluster, host: Host, stream: Stream, fault: Fault) -> None:
        self._fault, self._stream, self._host = fault, stream, host
        self._over = trio.CancelScope()
        self._begun_s = trio.current_time()
        self._telling, self._told = trio.open_memory_channel[FaultEvent](16)
        random = Random(host.random.getrandbits(64))
        view = View(host, cluster.plan)
        self._injector = Injector(cluster, view, random, emit=self._emit, now_s=self._now_s)

    def _now_s(self) -> float:
        return trio.current_time() - self._begun_s

    def _emit(self, event: Event) -> None:
        assert isinstance(event, FaultEvent), event
        self._telling.send_nowait(event)
        if event.action == "undo" or self._fault.fault in INSTANT or not event.nodes:
            self._over.cancel()

    async def run(self) -> None:
        """Until it was undone, and told."""
        reading = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell)
            nursery.start_soon(self._read, reading)
            with self._telling, self._over:
                await self._injector.run([self._fault], load_s=inf)
            reading.cancel()

    async def _read(self, scope: trio.CancelScope) -> None:
        """Whatever is read, at its end the fault is over."""
        with scope:
            try:
                while await self._stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                self._host.log("whoever asked for it is gone", fault=self._fault.fault)
            self._over.cancel()

    async def _tell(self) -> None:
        try:
            async for event in self._told:
                await self._stream.send_all(msgspec.json.encode(event) + b"\n")
        except trio.BrokenResourceError:
            self._host.log("nobody hears of it", fault=self._fault.fault)
