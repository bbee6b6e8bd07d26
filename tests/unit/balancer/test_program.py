"""The load balancer as its clients see it, in virtual time."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from ha import http
from ha.balancer import Config, serve
from ha.world import Stream
from tests.fakes.world import FakeHost
from tests.unit.balancer.cluster import PORT, Cluster, cluster


async def watch(c: Cluster, ended: list[tuple[str, float]], *, task_status: trio.TaskStatus[str]) -> None:
    """Watch through the balancer; note which server it was and when it ended."""
    client = http.Client(c.client_host.net, c.address)
    async with client.stream("GET", "/watch", connect_timeout_s=1) as response:
        name = (await response.__anext__()).decode()
        task_status.started(name)
        try:
            async for _ in response:
                pass
        except http.ConnectionLost:
            ended.append((name, trio.current_time()))


async def wait_state(c: Cluster, name: str, state: str) -> float:
    """Wait until a backend is in a state; returns the time since the call."""
    start = trio.current_time()
    with trio.fail_after(30):
        while (await c.states())[name] != state:
            await trio.sleep(0.01)
    return trio.current_time() - start


async def test_connections_go_round_robin_when_idle(autojump_clock: MockClock) -> None:
    async with cluster("a", "b", "c") as c:
        assert [await c.get() for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]


async def test_connections_go_to_the_backend_with_the_fewest(autojump_clock: MockClock) -> None:
    async with cluster("a", "b") as c, trio.open_nursery() as nursery:
        first = await nursery.start(watch, c, [])
        for _ in range(4):
            assert await c.get() != first
            await trio.sleep(0.1)  # until the balancer has seen the end of that connection
        nursery.cancel_scope.cancel()


async def test_a_refused_connection_is_tried_on_another_backend_unseen_by_the_client(autojump_clock: MockClock) -> None:
    async with cluster("a", "b", check_interval_s=10) as c:
        await c.world.kill("a")
        assert [await c.get() for _ in range(4)] == ["b"] * 4
        statistics = await c.statistics()
        assert statistics.retried >= 1
        assert statistics.refused == 0
        assert statistics.backends["a"].connects_failed >= 1


async def test_refused_connections_count_as_failed_checks_at_once(autojump_clock: MockClock) -> None:
    async with cluster("a", "b", check_interval_s=100, fall=3) as c:
        await c.world.kill("a")
        checks = (await c.statistics()).backends["a"].checks_failed
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(c.get)
        after = await c.statistics()
        assert after.backends["a"].state == "down"
        assert after.backends["a"].checks_failed - checks < 3
        assert "ConnectionRefusedError" in after.transitions[-1].reason


async def test_a_killed_backend_under_load_is_ejected_long_before_its_next_check_is_due(
    autojump_clock: MockClock,
) -> None:
    async with cluster("a", "b", check_interval_s=100) as c:
        await c.world.kill("a")
        for _ in range(2):
            await c.get()
        assert await wait_state(c, "a", "down") < 0.3


async def test_a_killed_backend_gives_itself_away_by_the_connections_it_had(autojump_clock: MockClock) -> None:
    ended: list[tuple[str, float]] = []
    async with cluster("a", "b", check_interval_s=100) as c, trio.open_nursery() as nursery:
        assert await nursery.start(watch, c, ended) == "a"
        await c.world.kill("a")
        assert await wait_state(c, "a", "down") < 0.3
        nursery.cancel_scope.cancel()


async def test_a_paused_backend_is_ejected_within_the_interval_and_two_timeouts(autojump_clock: MockClock) -> None:
    async with cluster("a", "b", check_interval_s=0.4, check_timeout_s=0.2) as c:
        await c.world.signal("a", "pause", process="main")
        assert await wait_state(c, "a", "down") < 0.4 + 2 * 0.2 + 0.1


async def test_ejection_closes_the_connections_to_the_ejected_backend_only(autojump_clock: MockClock) -> None:
    ended: list[tuple[str, float]] = []
    async with cluster("a", "b") as c, trio.open_nursery() as nursery:
        names = [await nursery.start(watch, c, ended) for _ in range(4)]
        assert sorted(names) == ["a", "a", "b", "b"]
        await c.world.signal("a", "pause", process="main")
        await wait_state(c, "a", "down")
        await trio.sleep(0.1)
        assert [name for name, _ in ended] == ["a", "a"]
        backends = (await c.statistics()).backends
        assert backends["a"].sessions == 0
        assert backends["a"].sessions_shut == 2
        assert backends["b"].sessions == 2
        nursery.cancel_scope.cancel()


async def test_a_connection_that_was_being_made_to_an_ejected_backend_goes_to_another(
    autojump_clock: MockClock,
) -> None:
    async with cluster("a", "b", connect_timeout_s=60) as c:
        await c.world.power_off("a")
        start = trio.current_time()
        assert [await c.get() for _ in range(2)] == ["b", "b"]
        assert trio.current_time() - start < 2


async def test_a_backend_that_comes_back_is_used_again(autojump_clock: MockClock) -> None:
    async with cluster("a", "b") as c:
        await c.world.kill("a")
        await wait_state(c, "a", "down")
        await c.start("a")
        assert await wait_state(c, "a", "up") < 0.4 + 0.1
        assert {await c.get() for _ in range(2)} == {"a", "b"}


async def test_rise_demands_so_many_good_checks(autojump_clock: MockClock) -> None:
    async with cluster("a", "b", rise=3) as c:
        await c.world.kill("a")
        await wait_state(c, "a", "down")
        before = (await c.statistics()).backends["a"].checks_ok
        await c.start("a")
        await wait_state(c, "a", "up")
        assert (await c.statistics()).backends["a"].checks_ok - before == 3


async def test_one_failed_check_does_not_eject(autojump_clock: MockClock) -> None:
    async with cluster("a", "b", fall=2) as c:
        await c.world.signal("a", "pause", process="main")
        while (await c.statistics()).backends["a"].checks_failed == 0:
            await trio.sleep(0.01)
        await c.world.signal("a", "resume", process="main")
        await trio.sleep(2)
        assert (await c.statistics()).transitions[-1].after == "up"
        assert await c.states() == {"a": "up", "b": "up"}


async def test_a_server_that_is_alive_but_not_ready_gets_nothing_while_another_is_up(autojump_clock: MockClock) -> None:
    ended: list[tuple[str, float]] = []
    async with cluster("a", "b") as c, trio.open_nursery() as nursery:
        assert await nursery.start(watch, c, ended) == "a"
        c.servers["a"].ready = False
        await wait_state(c, "a", "degraded")
        assert [await c.get() for _ in range(4)] == ["b"] * 4
        await trio.sleep(0.1)
        assert [name for name, _ in ended] == ["a"]


async def test_degraded_servers_serve_and_keep_their_connections_when_none_is_up(autojump_clock: MockClock) -> None:
    """Unlike upstream, where the loss of etcd's quorum ejects every API server and its cached reads."""
    ended: list[tuple[str, float]] = []
    async with cluster("a", "b") as c, trio.open_nursery() as nursery:
        c.servers["a"].ready = c.servers["b"].ready = False
        await wait_state(c, "a", "degraded")
        await wait_state(c, "b", "degraded")
        assert await nursery.start(watch, c, ended) in {"a", "b"}
        assert {await c.get() for _ in range(4)} == {"a", "b"}
        await trio.sleep(5)
        assert ended == []
        nursery.cancel_scope.cancel()


async def test_degraded_servers_hand_their_clients_over_when_one_is_up_again(autojump_clock: MockClock) -> None:
    ended: list[tuple[str, float]] = []
    async with cluster("a", "b") as c, trio.open_nursery() as nursery:
        c.servers["a"].ready = c.servers["b"].ready = False
        await wait_state(c, "a", "degraded")
        await wait_state(c, "b", "degraded")
        names = {await nursery.start(watch, c, ended) for _ in range(2)}
        assert names == {"a", "b"}
        c.servers["b"].ready = True
        await wait_state(c, "b", "up")
        await trio.sleep(0.1)
        assert [name for name, _ in ended] == ["a"]
        nursery.cancel_scope.cancel()


async def test_a_server_that_is_neither_ready_nor_alive_is_down(autojump_clock: MockClock) -> None:
    async with cluster("a", "b") as c:
        c.servers["a"].ready = c.servers["a"].live = False
        await wait_state(c, "a", "down")


async def test_clients_are_refused_promptly_when_all_are_down(autojump_clock: MockClock) -> None:
    async with cluster("a", "b") as c:
        for name in ("a", "b"):
            await c.world.kill(name)
        for name in ("a", "b"):
            await wait_state(c, name, "down")
        start = trio.current_time()
        with pytest.raises(http.ConnectionLost):
            await c.get()
        assert trio.current_time() - start < 0.01
        assert (await c.statistics()).refused == 1


async def test_a_client_in_the_first_moment_is_relayed_without_waiting_for_a_check(autojump_clock: MockClock) -> None:
    async with cluster("a", check_interval_s=1000, check_timeout_s=1000) as c:
        c.servers["a"].ready = False
        assert await c.get() == "a"


async def serve_echo_after_eof(host: FakeHost, *, task_status: trio.TaskStatus[None]) -> None:
    """Not HTTP: answers with all that it was sent, once the client has shut down its side."""

    async def echo(stream: Stream) -> None:
        async with stream:
            received = b"".join([piece async for piece in stream])
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"<" + received + b">")
                await stream.send_eof()

    listener = await host.net.listen(PORT)
    task_status.started()
    await trio.serve_listeners(echo, [listener])


async def test_half_close_is_relayed(autojump_clock: MockClock) -> None:
    async with cluster("a", serve_backend=serve_echo_after_eof, check_timeout_s=1000) as c, await c.dial() as stream:
        await stream.send_all(b"some bytes")
        await stream.send_eof()
        assert b"".join([piece async for piece in stream]) == b"<some bytes>"


async def test_a_tunnel_may_be_idle_for_ever(autojump_clock: MockClock) -> None:
    ended: list[tuple[str, float]] = []
    async with cluster("a", check_interval_s=600) as c, trio.open_nursery() as nursery:
        await nursery.start(watch, c, ended)
        await trio.sleep(24 * 3600)
        assert ended == []
        nursery.cancel_scope.cancel()


async def serve_flood(host: FakeHost, *, task_status: trio.TaskStatus[None]) -> None:
    async def flood(stream: Stream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):
                while True:
                    await stream.send_all(bytes(100_000))

    listener = await host.net.listen(PORT)
    task_status.started()
    await trio.serve_listeners(flood, [listener])


async def test_a_slow_reader_slows_the_backend_down(autojump_clock: MockClock) -> None:
    """What is in flight is bounded by the windows of two connections and one buffer."""
    async with cluster("a", serve_backend=serve_flood, check_timeout_s=1000) as c, await c.dial():
        await trio.sleep(10)
        relayed = (await c.statistics()).backends["a"].bytes_out
        await trio.sleep(10)
        assert (await c.statistics()).backends["a"].bytes_out == relayed
        assert relayed < 1_000_000


async def test_bytes_and_sessions_are_counted(autojump_clock: MockClock) -> None:
    async with cluster("a") as c:
        for _ in range(3):
            await c.get()
        await trio.sleep(0.1)  # until the balancer has seen the end of the last connection
        a = (await c.statistics()).backends["a"]
        assert a.sessions_total == 3
        assert a.sessions == 0
        assert a.bytes_in == 3 * len(b"GET / HTTP/1.1\r\nhost: 10.0.0.2:6443\r\n\r\n")
        answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\na"
        assert a.bytes_out == 3 * len(answer)


async def test_metrics_name_every_backend(autojump_clock: MockClock) -> None:
    async with cluster("a", "b") as c:
        text = (await c.statistics_text("/metrics")).decode()
        assert 'ha_balancer_backend_up{backend="a"} 1' in text
        assert 'ha_balancer_backend_up{backend="b"} 1' in text
        assert await c.statistics_text("/healthz") == b"ok"


async def test_the_balancer_is_cancelled_promptly_under_a_stalled_client(autojump_clock: MockClock) -> None:
    async with cluster("a", serve_backend=serve_flood, check_timeout_s=1000) as c, await c.dial():
        await trio.sleep(10)
        start = trio.current_time()
        await c.world.signal("lb", "terminate", process="main")
        assert trio.current_time() - start < 0.1


async def test_a_malformed_backend_address_is_refused_at_start(autojump_clock: MockClock) -> None:
    async with cluster("a") as c:
        with pytest.raises(ValueError, match="not an ip:port"):
            await serve(c.world.host("x"), Config(backends={"a": "nonsense"}))
