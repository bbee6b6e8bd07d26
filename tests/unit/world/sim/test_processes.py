from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from ha.world import Address, NotAttestedError
from tests.fakes.world import FakeHost, FakeWorld, peer_address


async def serve_echo(host: FakeHost, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    listener = await host.net.listen(7)
    task_status.started()

    async def echo(stream: trio.abc.HalfCloseableStream) -> None:
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    await trio.serve_listeners(echo, [listener])


async def dial(world: FakeWorld, host: FakeHost, node: str) -> trio.abc.HalfCloseableStream:
    return await host.net.dial(peer_address(world, node, 7))


async def test_bytes_come_back_in_order(autojump_clock) -> None:
    async with FakeWorld() as world:
        await world.start("a", serve_echo)
        stream = await dial(world, world.host("b"), "a")
        sent = bytes(range(256)) * 4096
        got = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, sent)
            while len(got) < len(sent):
                got += await stream.receive_some(1000)
        assert got == sent


async def test_dialling_where_nobody_listens_is_refused(autojump_clock) -> None:
    async with FakeWorld() as world:
        with pytest.raises(ConnectionRefusedError):
            await world.host("b").net.dial(Address(world.address("a"), 1))


async def test_a_cut_direction_holds_bytes_until_it_is_healed(autojump_clock) -> None:
    async with FakeWorld() as world:
        await world.start("a", serve_echo)
        stream = await dial(world, world.host("b"), "a")
        world.cut("a", "b")
        await stream.send_all(b"x")
        with trio.move_on_after(10) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        world.heal()
        assert await stream.receive_some() == b"x"


async def test_a_killed_process_resets_its_connections(autojump_clock) -> None:
    async with FakeWorld() as world:
        await world.start("a", serve_echo)
        stream = await dial(world, world.host("b"), "a")
        await world.kill("a")
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")


async def test_a_node_without_power_is_silent_until_it_boots(autojump_clock) -> None:
    async with FakeWorld() as world:
        await world.start("a", serve_echo)
        host = world.host("b")
        stream = await dial(world, host, "a")
        await world.power_off("a")
        with trio.move_on_after(10) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        with trio.move_on_after(10) as scope:
            await dial(world, host, "a")
        assert scope.cancelled_caught
        await world.start("a", serve_echo)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()


async def test_a_closed_stream_gives_its_peer_the_end(autojump_clock) -> None:
    async with FakeWorld() as world:
        listener = await world.host("a").net.listen(7)
        client = await world.host("b").net.dial(peer_address(world, "a", 7))
        server = await listener.accept()
        await client.send_all(b"last")
        await client.aclose()
        assert await server.receive_some() == b"last"
        assert await server.receive_some() == b""


async def test_power_loss_keeps_what_was_synced_and_at_most_a_prefix_of_the_rest(autojump_clock) -> None:
    for seed in range(20):
        async with FakeWorld(seed=seed) as world:
            disk = world.disk("a")
            file = disk.open("log")
            file.append(b"durable")
            await file.sync()
            file.append(b"maybe")
            await world.power_off("a")
            kept = world.disk("a").read("log")
            assert kept.startswith(b"durable")
            assert b"durablemaybe".startswith(kept.rstrip(b"\0"))


async def test_replace_is_all_or_nothing_and_a_killed_process_keeps_its_page_cache(autojump_clock) -> None:
    async with FakeWorld() as world:

        async def serve(host: FakeHost, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
            await host.disk.replace("snapshot", b"one")
            host.disk.open("log").append(b"written")
            task_status.started()
            await host.disk.replace("snapshot", b"two")

        await world.start("a", serve)
        await world.kill("a")
        assert world.disk("a").read("snapshot") == b"one"
        assert world.disk("a").read("log") == b"written"


async def test_programs_start_list_exit_and_are_signalled(autojump_clock) -> None:
    async with FakeWorld() as world:

        async def crash(host: FakeHost, config: object, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
            raise RuntimeError("broken")

        async def idle(host: FakeHost, config: object, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
            await trio.sleep_forever()

        world.programs = {"crash": crash, "idle": idle}
        processes = world.host("a").processes
        exits = world.watch_exits()
        await processes.start("one", "crash", b"{}")
        assert (await exits.receive())[1].code == 1
        await processes.start("two", "idle", b"{}")
        assert [info.name for info in await processes.list()] == ["two"]
        with pytest.raises(ValueError, match="runs already"):
            await processes.start("two", "idle", b"{}")
        await processes.signal("two", "kill")
        assert (await exits.receive())[1].signal == 9


async def test_a_paused_process_runs_nothing_and_finds_time_gone_when_it_resumes(autojump_clock) -> None:
    ticks: list[float] = []

    async def tick(host: FakeHost, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            await trio.sleep(1)
            ticks.append(trio.current_time())

    async with FakeWorld() as world:
        await world.start("a", tick)
        await world.start("b", tick)
        await trio.sleep(2.5)
        evidence = await world.signal("a", "pause")
        assert evidence["signal"] == "SIGSTOP"
        ticks.clear()
        await trio.sleep(10)
        assert len(ticks) == 10, "the other one goes on"
        await world.signal("a", "resume")
        await trio.sleep(1.1)
        assert ticks.count(12.5) == 1, "the timer that expired meanwhile fires on resuming"


async def test_the_kernel_of_a_paused_process_accepts_and_receives(autojump_clock) -> None:
    async with FakeWorld() as world:
        await world.start("a", serve_echo)
        await world.signal("a", "pause")
        stream = await dial(world, world.host("b"), "a")
        await stream.send_all(b"x")
        with trio.move_on_after(10) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        await world.signal("a", "resume")
        assert await stream.receive_some() == b"x"


async def test_a_paused_process_can_be_killed_and_terminated_once_it_resumes(autojump_clock) -> None:
    async with FakeWorld() as world:
        await world.start("a", serve_echo)
        await world.signal("a", "pause")
        assert (await world.signal("a", "kill"))["exited"]
        await world.start("a", serve_echo)
        await world.signal("a", "pause")
        with pytest.raises(NotAttestedError):
            await world.signal("a", "terminate")
        await world.signal("a", "resume")
        with trio.fail_after(1):
            while world.running("a"):
                await trio.sleep(0.01)


async def test_what_a_killed_process_still_does_reaches_nobody(autojump_clock) -> None:
    done: list[str] = []

    async def spiteful(host: FakeHost, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        listener = await host.net.listen(7)
        task_status.started()
        stream = await listener.accept()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                with pytest.raises(trio.ClosedResourceError):
                    await stream.send_all(b"from the grave")
                with pytest.raises(OSError, match="gone"):
                    await host.disk.replace("f", b"x")
                with pytest.raises(OSError, match="gone"):
                    await host.net.dial(Address(host.address, 7))
                with pytest.raises(LookupError):
                    await host.processes.start("other", "ha.node.pause:serve", b"{}")
                host.log("still here")
                done.append("cleaned up")

    async with FakeWorld() as world:
        await world.start("a", spiteful)
        stream = await dial(world, world.host("b"), "a")
        await trio.sleep(1)
        await world.kill("a")
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await trio.sleep(1)
        assert done == ["cleaned up"]
        assert not world.logs
        assert world.running("a") == []


async def test_what_a_killed_process_closes_late_is_no_longer_its_own(autojump_clock) -> None:
    """Found by fuzzing: the server that was started in its place listened, and every connection was refused."""
    async with FakeWorld() as world:
        killed = world.host("a", "first")
        late = await killed.net.listen(7)
        killed.detach(power_lost=False)
        await world.start("a", serve_echo)
        await late.aclose()
        stream = await dial(world, world.host("b"), "a")
        await stream.send_all(b"x")
        assert await stream.receive_some() == b"x"


async def wait(_host: FakeHost, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    task_status.started()
    await trio.sleep_forever()


async def test_a_node_with_a_paused_process_starts_others(autojump_clock) -> None:
    """SIGSTOP is of processes, not of machines. Found by fuzzing: a kubelet beside a paused etcd never came back."""
    async with FakeWorld() as world:
        await world.start("a", wait, process="paused")
        await world.signal("a", "pause", process="paused")
        world.programs["echo"] = lambda host, _config, *, task_status: serve_echo(host, task_status=task_status)
        await world.boot("a", "later", "echo", b"")
        await dial(world, world.host("b"), "a")
        assert [info.name for info in world.running("a")] == ["later", "paused"]


async def test_a_process_with_an_address_of_its_own_is_behind_its_nodes_links(autojump_clock: MockClock) -> None:
    async with FakeWorld() as world:
        world.programs["echo"] = lambda host, _, *, task_status: serve_echo(host, task_status=task_status)
        address = world.subnet("a").replace(".0/24", ".7")
        await world.host("a").processes.start("pod", "echo", b"{}", address=address)
        host = world.host("b")
        stream = await host.net.dial(Address(address, 7))
        world.cut("a", "b")
        await stream.send_all(b"x")
        with trio.move_on_after(10) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        world.heal()
        assert await stream.receive_some() == b"x"
        with pytest.raises(ConnectionRefusedError):
            await dial(world, host, "a")
        with pytest.raises(ValueError, match="the subnet of a"):
            await world.host("a").processes.start("other", "echo", b"{}", address="10.64.2.1")


async def test_a_process_takes_time_to_start_and_can_be_killed_meanwhile(autojump_clock: MockClock) -> None:
    """A killed process that were back in no time would be missed by nobody."""
    began: list[float] = []

    async def serve(host: FakeHost, config: object, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        began.append(trio.current_time())
        await trio.sleep_forever()

    async with FakeWorld(start_s=(2, 3)) as world:
        world.programs["x:serve"] = serve
        world.address("a")
        await world.boot("a", "x", "x:serve", b"null")
        assert [info.name for info in await world.processes("a")] == ["x"]
        await trio.sleep(1)
        await world.signal("a", "kill", process="x")
        await trio.sleep(5)
        assert began == []
        await world.boot("a", "x", "x:serve", b"null")
        await trio.sleep(5)
        [at] = began
        assert 8 <= at <= 9
