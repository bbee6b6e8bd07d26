"""How the client behaves when members do not: against small fake members on an in-memory network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import orjson
import pytest
import trio
import trio.testing

from ha import http
from ha.etcd.api import Compare, PutRequest, RangeRequest, WatchBatch
from ha.etcd.client import (
    CompactedError,
    EtcdClient,
    EtcdError,
    EtcdTimeoutError,
    EtcdUnavailableError,
)
from ha.etcd.wire import PROGRESS_HEADER, encode_error, encode_stream_error
from ha.http import Request, Response, Send, StreamingResponse
from ha.world import Address
from tests.fakes.world import FakeWorld

TIMEOUT_S = 4.0
ATTEMPT_S = TIMEOUT_S / 4
"""The share of each of three members."""
Behaviour = Callable[[Request], Awaitable[Response | StreamingResponse]]


def ok(revision: int = 5) -> Response:
    return Response(200, orjson.dumps({"header": {"revision": str(revision)}}))


def error(code: int, message: str) -> Response:
    return Response(*encode_error(code, message))


NO_LEADER = error(14, "etcdserver: no leader")


class Members:
    """Fake members: each answers as its `behave` says, and notes what it was asked."""

    def __init__(self, world: FakeWorld, nursery: trio.Nursery) -> None:
        self._world, self._nursery = world, nursery
        self.asked: dict[str, list[str]] = {}
        self.behave: dict[str, Behaviour] = {}
        self.addresses: list[Address] = []
        self._started_s = trio.current_time()

    @property
    def passed_s(self) -> float:
        """Seconds since the test began."""
        return trio.current_time() - self._started_s

    async def add(self, name: str, behave: Behaviour) -> None:
        self.asked[name], self.behave[name] = [], behave
        listener = await self._world.host(name).net.listen(2379)
        self.addresses.append(Address(self._world.address(name), 2379))
        await self._nursery.start(partial(http.serve, listener, partial(self._handle, name)))

    def client(self, *names: str) -> EtcdClient:
        addresses = [Address(self._world.address(name), 2379) for name in names]
        return EtcdClient(self._world.host("client").net, addresses, timeout_s=TIMEOUT_S)

    def writes(self, name: str) -> int:
        return self.asked[name].count("/v3/kv/put")

    async def _handle(self, name: str, request: Request) -> Response | StreamingResponse:
        self.asked[name].append(request.path)
        return await self.behave[name](request)


@pytest.fixture
async def members() -> AsyncIterator[Members]:
    async with FakeWorld(seed=3) as world, trio.open_nursery() as nursery:
        yield Members(world, nursery)
        nursery.cancel_scope.cancel()


async def works(request: Request) -> Response:
    return ok()


async def is_paused(request: Request) -> Response:
    await trio.sleep_forever()
    raise AssertionError


async def electing(request: Request) -> Response:
    """Alive, but consensus takes forever."""
    return ok() if request.path == "/version" else await is_paused(request)


async def leaderless(request: Request) -> Response:
    return NO_LEADER


async def test_a_member_that_refuses_is_left_for_the_next(members: Members, autojump_clock: trio.abc.Clock) -> None:
    await members.add("b", works)
    client = members.client("a", "b")
    assert await client.put(b"k", b"v") == 5
    assert await client.put(b"k", b"v") == 5
    assert members.passed_s < ATTEMPT_S


async def test_a_write_is_repeated_where_there_was_no_leader(members: Members, autojump_clock: trio.abc.Clock) -> None:
    await members.add("a", leaderless)
    await members.add("b", works)
    assert await members.client("a", "b").put(b"k", b"v") == 5
    assert (members.writes("a"), members.writes("b")) == (1, 1)


async def test_an_election_is_waited_out(members: Members, autojump_clock: trio.abc.Clock) -> None:
    elected_s = 1.3

    async def electing(request: Request) -> Response:
        return ok() if members.passed_s > elected_s else NO_LEADER

    for name in "abc":
        await members.add(name, electing)
    assert await members.client("a", "b", "c").put(b"k", b"v") == 5
    assert members.passed_s < elected_s + 0.2


async def test_without_any_leader_the_client_gives_up_in_time_and_nothing_was_done(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", leaderless)
    with pytest.raises(EtcdUnavailableError) as caught:
        await members.client("a", "b").put(b"k", b"v")
    assert caught.value.definite
    assert TIMEOUT_S - 0.2 < members.passed_s <= TIMEOUT_S


async def test_a_read_leaves_a_paused_member_after_a_fraction_of_the_timeout(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", is_paused)
    await members.add("b", works)
    client = members.client("a", "b", "c")
    await client.range(b"k")
    assert members.passed_s < 2 * ATTEMPT_S
    started_s = trio.current_time()
    await client.range(b"k")
    assert trio.current_time() - started_s < 0.1
    assert members.asked["a"].count("/v3/kv/range") == 1


async def test_a_write_is_not_sent_to_a_member_that_went_quiet_and_is_paused(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", works)
    await members.add("b", works)
    client = members.client("a", "b", "c")
    await client.put(b"k", b"v")
    await trio.sleep(2 * ATTEMPT_S)
    members.behave["a"] = is_paused
    started_s = trio.current_time()
    await client.put(b"k", b"v")
    assert trio.current_time() - started_s < ATTEMPT_S
    assert (members.writes("a"), members.writes("b")) == (1, 1)


async def test_a_write_of_unknown_outcome_is_not_repeated(members: Members, autojump_clock: trio.abc.Clock) -> None:
    await members.add("a", works)
    await members.add("b", works)
    client = members.client("a", "b")
    await client.put(b"k", b"v")
    members.behave["a"] = electing
    with pytest.raises(EtcdTimeoutError) as caught:
        await client.put(b"k", b"v")
    assert not caught.value.definite
    assert (members.writes("a"), members.writes("b")) == (2, 0)


async def test_a_write_that_nobody_answers_takes_no_longer_than_the_timeout(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    """The question whether the member lives is part of it."""
    await members.add("a", works)
    client = members.client("a", "b", "c")
    await client.put(b"k", b"v")
    members.behave["a"] = is_paused
    started_s = trio.current_time()
    with pytest.raises(EtcdTimeoutError) as caught:
        await client.put(b"k", b"v")
    assert not caught.value.definite
    assert trio.current_time() - started_s <= TIMEOUT_S


async def test_a_write_that_found_no_member_alive_ends_in_time_and_was_not_done(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    for name in "abc":
        await members.add(name, is_paused)
    client = members.client("a", "b", "c")
    with pytest.raises(EtcdUnavailableError) as caught:
        await client.put(b"k", b"v")
    assert caught.value.definite
    assert TIMEOUT_S - ATTEMPT_S < members.passed_s <= TIMEOUT_S
    assert "/v3/kv/put" not in members.asked["a"]


async def test_a_write_to_a_member_that_died_meanwhile_has_an_unknown_outcome(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    async def dying(request: Request) -> StreamingResponse:
        async def cut(send: Send) -> None:
            raise ConnectionAbortedError

        return StreamingResponse(200, cut)

    await members.add("a", dying)
    await members.add("b", works)
    client = members.client("a")
    with pytest.raises(EtcdUnavailableError) as caught:
        await client.put(b"k", b"v")
    assert not caught.value.definite


async def test_a_write_that_timed_out_on_the_server_is_not_repeated_but_a_read_is(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    async def timing_out(request: Request) -> Response:
        return ok() if request.path == "/version" else error(14, "etcdserver: request timed out")

    await members.add("a", timing_out)
    await members.add("b", works)
    with pytest.raises(EtcdTimeoutError):
        await members.client("a", "b").put(b"k", b"v")
    assert members.writes("b") == 0
    await members.client("a", "b").range(b"k")


async def test_a_refusal_by_the_api_is_an_answer_and_not_repeated(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    async def refusing(request: Request) -> Response:
        return ok() if request.path == "/version" else error(3, "etcdserver: key is not provided")

    await members.add("a", refusing)
    await members.add("b", works)
    with pytest.raises(EtcdError, match="key is not provided") as caught:
        await members.client("a", "b").put(b"", b"v")
    assert caught.value.definite
    assert members.asked["b"] == []


async def test_when_a_member_pauses_everyone_who_waits_on_it_is_released(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", works)
    await members.add("b", works)
    client = members.client("a", "b", "c")
    await client.put(b"k", b"v")
    members.behave["a"] = is_paused
    ended: dict[str, float] = {}

    async def write(name: str) -> None:
        with pytest.raises(EtcdUnavailableError) as caught:
            await client.put(b"k", b"v")
        assert not caught.value.definite
        ended[name] = trio.current_time()

    async def read() -> None:
        await client.range(b"k")
        ended["read"] = trio.current_time()

    started_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, "one")
        nursery.start_soon(write, "other")
        nursery.start_soon(read)
    assert max(ended.values()) - started_s < 2 * ATTEMPT_S


async def test_with_a_prober_a_lone_write_leaves_a_paused_member_early(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", works)
    await members.add("b", works)
    client = members.client("a", "b", "c")
    await client.put(b"k", b"v")
    members.behave["a"] = is_paused
    started_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        with pytest.raises(EtcdUnavailableError) as caught:
            await client.put(b"k", b"v")
        assert not caught.value.definite
        assert trio.current_time() - started_s <= 2.5 * ATTEMPT_S
        await client.put(b"k", b"v")
        nursery.cancel_scope.cancel()
    assert members.writes("b") == 1


async def test_a_prober_lets_a_write_wait_for_an_election(members: Members, autojump_clock: trio.abc.Clock) -> None:
    async def slow(request: Request) -> Response:
        if request.path != "/version":
            await trio.sleep(3 * ATTEMPT_S)
        return ok(9)

    await members.add("a", slow)
    await members.add("b", works)
    client = members.client("a", "b", "c")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        assert await client.put(b"k", b"v") == 9
        nursery.cancel_scope.cancel()


async def test_a_slow_election_does_not_make_a_member_suspect(members: Members, autojump_clock: trio.abc.Clock) -> None:
    """A write that waits for consensus on a member that lives is left to wait."""
    await members.add("a", works)
    await members.add("b", works)
    client = members.client("a", "b", "c")
    await client.put(b"k", b"v")
    elected_s = trio.current_time() + 2.5 * ATTEMPT_S

    async def electing_for_a_while(request: Request) -> Response:
        if request.path != "/version":
            await trio.sleep_until(elected_s)
        return ok(9)

    members.behave["a"] = electing_for_a_while
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.range, b"k")
        assert await client.put(b"k", b"v") == 9


async def test_transactions_that_only_read_are_repeated(members: Members, autojump_clock: trio.abc.Clock) -> None:
    await members.add("a", electing)
    await members.add("b", works)
    client = members.client("a", "b")
    answer = await client.txn([Compare(b"a")], [RangeRequest(b"a")])
    assert answer.revision == 5
    with pytest.raises(EtcdTimeoutError):
        await members.client("a").txn([], [PutRequest(b"a")])


async def test_renewing_a_lease_that_is_gone_is_an_error(members: Members, autojump_clock: trio.abc.Clock) -> None:
    async def gone(request: Request) -> Response:
        return Response(200, b'{"result":{"header":{"revision":"1"},"ID":"7"}}\n')

    await members.add("a", gone)
    with pytest.raises(EtcdError, match="lease not found"):
        await members.client("a").lease_keepalive(7)


async def test_the_status_of_one_member_is_asked_of_that_member_only(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", works)
    client = members.client("a", "b")
    assert (await client.status(members.addresses[0])).revision == 5
    with pytest.raises(EtcdUnavailableError) as caught:
        await client.status(Address(members._world.address("b"), 2379))
    assert caught.value.definite
    with pytest.raises(LookupError):
        await client.status(Address("10.9.9.9", 2379))


# Watches


def line(**result: object) -> bytes:
    return orjson.dumps({"result": result}) + b"\n"


CREATED = line(header={"revision": "7"}, created=True)


def event(revision: int) -> dict[str, object]:
    return {"kv": {"key": "YQ==", "create_revision": "2", "mod_revision": str(revision), "version": "1"}}


def streaming(*pieces: bytes, period_s: float = 0, then_silent: bool = True) -> Behaviour:
    """A member whose watches say `pieces`; `period_s` 0 is a real etcd, which does not tell its period."""

    async def source(send: Send) -> None:
        for piece in pieces:
            await send(piece)
        if then_silent:
            await trio.sleep_forever()

    async def behave(request: Request) -> Response | StreamingResponse:
        if request.path != "/v3/watch":
            return ok()
        return StreamingResponse(200, source, headers={PROGRESS_HEADER: f"{period_s}"} if period_s else {})

    return behave


async def test_events_are_read_however_the_stream_is_cut_into_pieces(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    data = CREATED + line(header={"revision": "9"}, events=[event(8), event(9)]) + line(events=[event(12)])
    await members.add("a", streaming(*(data[i : i + 7] for i in range(0, len(data), 7))))
    async with members.client("a").watch(b"a") as reader:
        assert reader.created_revision == 7
        batches = [await anext(reader), await anext(reader)]
    assert [batch.revision for batch in batches] == [9, 12]
    assert [kv.kv.mod_revision for kv in batches[0].events] == [8, 9]


async def test_a_batch_is_resumed_after_its_last_event_whatever_the_header_says(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    """Real etcd heads the batches of a watch that catches up with the store's own, later revision."""
    await members.add("a", streaming(CREATED, line(header={"revision": "99"}, events=[event(8)])))
    async with members.client("a").watch(b"a") as reader:
        assert (await anext(reader)).revision == 8


async def test_progress_is_told_when_asked_for(members: Members, autojump_clock: trio.abc.Clock) -> None:
    pieces = (CREATED, line(header={"revision": "10"}), line(header={"revision": "11"}, events=[event(11)]))
    await members.add("a", streaming(*pieces))
    async with members.client("a").watch(b"a", progress_notify=True) as reader:
        assert await anext(reader) == WatchBatch(10, [])
        assert (await anext(reader)).revision == 11
    async with members.client("a").watch(b"a") as reader:
        assert (await anext(reader)).revision == 11


async def test_progress_never_falls_behind_the_start(members: Members, autojump_clock: trio.abc.Clock) -> None:
    """A member that lags may not have reached the revision from which a watch that moved to it goes on."""
    await members.add("a", streaming(CREATED, line(header={"revision": "7"})))
    async with members.client("a").watch(b"a", start_revision=50, progress_notify=True) as reader:
        assert (await anext(reader)).revision == 49


async def test_a_watch_of_our_member_that_falls_silent_is_ended(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", streaming(CREATED, line(header={"revision": "8"}), period_s=0.5))
    async with members.client("a").watch(b"a") as reader:
        with pytest.raises(EtcdUnavailableError, match="fell silent"):
            await anext(reader)
    assert members.passed_s < 2.5


async def test_a_silent_watch_of_a_real_etcd_lasts_as_long_as_the_member_answers(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    silent = streaming(CREATED)
    await members.add("a", silent)

    async def pausing(request: Request) -> Response | StreamingResponse:
        return await (is_paused if members.passed_s > 30 else silent)(request)

    members.behave["a"] = pausing
    async with members.client("a").watch(b"a") as reader:
        with pytest.raises(EtcdUnavailableError, match="fell silent"):
            await anext(reader)
    assert 30 < members.passed_s < 36


async def test_a_watch_whose_member_ends_is_ended(members: Members, autojump_clock: trio.abc.Clock) -> None:
    await members.add("a", streaming(CREATED, then_silent=False))
    async with members.client("a").watch(b"a") as reader:
        with pytest.raises(EtcdUnavailableError, match="ended the watch"):
            await anext(reader)


async def test_a_watch_that_loses_its_leader_goes_elsewhere_next_time(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", streaming(CREATED, encode_stream_error(14, "etcdserver: no leader")))
    await members.add("b", streaming(CREATED))
    client = members.client("a", "b")
    async with client.watch(b"a") as reader:
        assert reader.address == members.addresses[0]
        with pytest.raises(EtcdUnavailableError, match="no leader"):
            await anext(reader)
    async with client.watch(b"a") as reader:
        assert reader.address == members.addresses[1]


async def test_a_watch_opens_at_the_next_member_when_the_first_is_paused(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", is_paused)
    await members.add("b", streaming(CREATED))
    async with members.client("a", "b", "c").watch(b"a") as reader:
        assert reader.address == members.addresses[1]
    assert members.passed_s < 2 * ATTEMPT_S


async def test_a_watch_from_a_compacted_revision_ends_with_that_revision(
    members: Members, autojump_clock: trio.abc.Clock
) -> None:
    await members.add("a", streaming(CREATED, line(canceled=True, compact_revision="30")))
    async with members.client("a").watch(b"a", start_revision=3) as reader:
        with pytest.raises(CompactedError) as caught:
            await anext(reader)
    assert caught.value.compact_revision == 30


async def test_a_watch_that_is_refused_is_an_error(members: Members, autojump_clock: trio.abc.Clock) -> None:
    await members.add("a", streaming(line(created=True, canceled=True, cancel_reason="mvcc: watcher range is empty")))
    with pytest.raises(EtcdError, match="range is empty"):
        async with members.client("a").watch(b"b", b"a"):
            pass


async def test_a_closed_watch_leaves_no_connection_behind(members: Members, autojump_clock: trio.abc.Clock) -> None:
    gone = trio.Event()

    async def source(send: Send) -> None:
        try:
            await send(CREATED)
            await trio.sleep_forever()
        finally:
            gone.set()

    async def behave(request: Request) -> StreamingResponse:
        return StreamingResponse(200, source)

    await members.add("a", behave)
    async with members.client("a").watch(b"a"):
        pass
    with trio.fail_after(1):
        await gone.wait()
