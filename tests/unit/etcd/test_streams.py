"""`ha.etcd.streams` by itself: what one stream promises about several watches."""

import orjson
import trio
from trio.testing import MockClock

from ha.etcd.api import PutRequest, WatchCreateRequest
from ha.etcd.commands import encode
from ha.etcd.machine import EtcdMachine
from ha.etcd.streams import WatchRequest, WatchStream
from ha.etcd.watch import WatchHub
from ha.etcd.wire import Encoder, decode
from tests.unit.etcd.support import make_service


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
