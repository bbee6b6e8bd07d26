"""`ha.etcd.streams` by itself: what one stream promises about several watches, on a fake transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import trio
import trio.testing
from trio.testing import MockClock

from ha.etcd.api import PutRequest, WatchCreateRequest
from ha.etcd.commands import encode
from ha.etcd.machine import EtcdMachine
from ha.etcd.service import EtcdService
from ha.etcd.streams import WatchRequest, WatchStream
from ha.etcd.watch import CATCH_UP_EVENTS, WatchHub
from ha.etcd.wire import Encoder, decode
from tests.unit.etcd.support import LocalReplica, make_service


class Streaming:
    """A stream and what it has sent. `on_line` is called with each line while the stream waits for the transport."""

    def __init__(self, *requests: WatchCreateRequest, require_leader: bool = False) -> None:
        self.service: EtcdService
        self.replica: LocalReplica
        self.service, self.replica = make_service()
        self.hub = WatchHub(self.service.machine)
        self.lines: list[Any] = []
        self.on_line: Callable[[Any], None] = lambda _: None
        self.stream = WatchStream(
            self.service,
            self.hub,
            Encoder(1, 2),
            [WatchRequest(create_request=request) for request in requests],
            progress_s=1.0,
            election_s=1.0,
            require_leader=require_leader,
        )

    def put(self, key: bytes) -> None:
        self.service.machine.apply(1, encode(PutRequest(key)))

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        for text in data.splitlines():
            line = orjson.loads(text)
            self.lines.append(line)
            self.on_line(line)

    async def run(self, for_s: float) -> None:
        with trio.move_on_after(for_s):
            await self.stream.run(self.send)

    def revisions(self) -> list[int]:
        return [int(line["result"]["header"]["revision"]) for line in self.lines]


async def test_progress_is_told_in_periods_without_events_only(autojump_clock: MockClock) -> None:
    streaming = Streaming(WatchCreateRequest(b"a", progress_notify=True))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(streaming.run, 3.2)
        await trio.sleep(0.5)
        streaming.put(b"a")
        await trio.sleep(0.2)
        streaming.put(b"other")
    events = [len(line["result"].get("events", ())) for line in streaming.lines]
    assert events == [0, 1, 0, 0]
    assert streaming.revisions() == [1, 2, 3, 3]


async def test_who_did_not_ask_for_progress_gets_none(autojump_clock: MockClock) -> None:
    streaming = Streaming(WatchCreateRequest(b"a"))
    await streaming.run(10)
    assert len(streaming.lines) == 1


async def test_periodic_progress_never_overtakes_an_event(autojump_clock: MockClock) -> None:
    """While the transport takes the progress of one watch, an event comes for the other."""
    streaming = Streaming(
        WatchCreateRequest(b"a", progress_notify=True), WatchCreateRequest(b"b", progress_notify=True)
    )

    def on_line(line: Any) -> None:
        if len(streaming.lines) == 3:
            streaming.put(b"b")

    streaming.on_line = on_line
    await streaming.run(1.5)
    of_b = [line["result"] for line in streaming.lines if line["result"].get("watch_id") == "1"]
    assert [("events" in result, result["header"]["revision"]) for result in of_b] == [(False, "1"), (True, "2")]


async def test_a_slow_client_does_not_hold_up_the_member_and_misses_nothing(autojump_clock: MockClock) -> None:
    streaming = Streaming(WatchCreateRequest(b"a"))

    def on_line(line: Any) -> None:
        if len(streaming.lines) == 2:
            for _ in range(5000):
                streaming.put(b"a")

    streaming.on_line = on_line
    async with trio.open_nursery() as nursery:
        nursery.start_soon(streaming.run, 5)
        await trio.testing.wait_all_tasks_blocked()
        streaming.put(b"a")
    found = [int(e["kv"]["mod_revision"]) for line in streaming.lines for e in line["result"].get("events", ())]
    assert found == list(range(2, 5003))


async def test_a_client_as_fast_as_the_member_does_not_keep_it_from_all_else(autojump_clock: MockClock) -> None:
    """A transport that takes everything at once lets nobody else run, and a log may be long."""
    streaming = Streaming(WatchCreateRequest(b"a", start_revision=1))
    seen = set()

    async def send(data: bytes) -> None:
        streaming.lines += data.splitlines()

    async def look() -> None:
        while True:
            seen.add(len(streaming.lines))
            await trio.lowlevel.checkpoint()

    for _ in range(4 * CATCH_UP_EVENTS):
        streaming.put(b"a")
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            nursery.start_soon(streaming.stream.run, send)
            while len(streaming.lines) < 5:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert seen & {2, 3, 4}


async def test_a_stream_that_requires_a_leader_waits_three_elections_for_one(autojump_clock: MockClock) -> None:
    streaming = Streaming(WatchCreateRequest(b"a"), require_leader=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(streaming.service.run)
        nursery.start_soon(streaming.run, 60)
        await trio.sleep(1)
        streaming.replica.become("follower", term=2, leader=None)
        await trio.sleep(2.9)
        assert len(streaming.lines) == 1
        await trio.sleep(2)
        assert streaming.lines[-1]["error"]["message"] == "etcdserver: no leader"
        nursery.cancel_scope.cancel()


async def test_a_stream_that_requires_a_leader_does_not_begin_without_one(autojump_clock: MockClock) -> None:
    streaming = Streaming(WatchCreateRequest(b"a"), require_leader=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(streaming.service.run)
        streaming.replica.become("follower", term=2, leader=None)
        await trio.sleep(0.1)
        await streaming.run(60)
        nursery.cancel_scope.cancel()
    assert [list(line) for line in streaming.lines] == [["error"]]


async def test_watches_end_with_their_stream(autojump_clock: MockClock) -> None:
    streaming = Streaming(WatchCreateRequest(b"a"), WatchCreateRequest(b"b", b"c"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(streaming.run, 5)
        await trio.testing.wait_all_tasks_blocked()
        assert len(streaming.hub) == 2
    assert len(streaming.hub) == 0


async def test_progress_on_demand_claims_no_event_that_was_not_sent(autojump_clock: MockClock) -> None:
    """Although one arrives for the first watch while events of the second are being sent (etcd issue 15220)."""
    machine = EtcdMachine()
    service, _ = make_service(machine)
    machine.apply(1, encode(PutRequest(b"b")))
    requests = [
        WatchRequest(create_request=WatchCreateRequest(b"a", start_revision=1, watch_id=1)),
        WatchRequest(create_request=WatchCreateRequest(b"b", start_revision=1, watch_id=2)),
        decode(WatchRequest, b'{"progress_request":{}}'),
    ]
    stream = WatchStream(
        service, WatchHub(machine), Encoder(1, 1), requests, progress_s=1.0, election_s=1.0, require_leader=False
    )
    lines = []
    with trio.CancelScope() as scope:

        async def send(data: bytes) -> None:
            line = orjson.loads(data)["result"]
            lines.append((line.get("watch_id"), line["header"]["revision"], "events" in line))
            if lines[-1] == ("2", "2", True):
                machine.apply(2, encode(PutRequest(b"a")))
            elif lines[-1][0] == "-1":
                scope.cancel()
            await trio.lowlevel.checkpoint()

        await stream.run(send)
    assert lines[2:] == [("2", "2", True), ("1", "3", True), ("-1", "3", False)]
