"""What a world can be asked to disturb: each has its effect, tells of it, and is over when it is lifted."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from ha import http
from ha.world import (
    Address,
    Bandwidth,
    BitFlip,
    ClockOffset,
    ClockRate,
    Cut,
    Delay,
    DiskError,
    DiskFull,
    NotAttestedError,
    Refuse,
    SlowDisk,
    Stream,
    TornWrite,
)
from ha.world.real.stream import WINDOW_BYTES
from tests.unit.world.both import KINDS, Bench, in_both_worlds, run_in

THERE = (("a", "b"),)
BACK = (("b", "a"),)
BOTH = THERE + BACK


async def connect(world: Bench) -> tuple[Stream, Stream]:
    """The ends of `a`, who dialled, and of `b`."""
    listener = await world.host("b").net.listen(7000)
    mine = await dial(world)
    return mine, await listener.accept()


async def dial(world: Bench) -> Stream:
    return await world.host("a").net.dial(Address(world.address("b"), 7000))


async def arrives_in(receiver: Stream, *, within_s: float = 10) -> float:
    """How long until something arrives. Raises TooSlowError."""
    began = trio.current_time()
    with trio.fail_after(within_s):
        assert await receiver.receive_some()
    return trio.current_time() - began


async def receive_exactly(receiver: Stream, count: int) -> bytes:
    data = b""
    with trio.fail_after(10):
        while len(data) < count:
            data += await receiver.receive_some()
    return data


@asynccontextmanager
async def reading(receiver: Stream) -> AsyncIterator[bytearray]:
    """What a task that reads all the time has received."""
    received = bytearray()

    async def read() -> None:
        async for data in receiver:
            received.extend(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        yield received
        nursery.cancel_scope.cancel()


@in_both_worlds
async def test_a_cut_link_holds_what_is_sent_and_says_how_much(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Cut(THERE))
    await a.send_all(b"held")
    await b.send_all(b"the other way is open")
    assert await arrives_in(a) < world.soon_s
    with pytest.raises(trio.TooSlowError):
        await arrives_in(b, within_s=world.never_s)
    evidence = await world.lift(Cut(THERE))
    assert evidence["bytes_held"] == 4
    assert await b.receive_some() == b"held"


@in_both_worlds
async def test_what_comes_back_over_a_cut_link_is_held_as_well(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Cut(BACK))
    await a.send_all(b"this way is open")
    assert await arrives_in(b) < world.soon_s
    await b.send_all(b"held")
    with pytest.raises(trio.TooSlowError):
        await arrives_in(a, within_s=world.never_s)
    assert (await world.lift(Cut(BACK)))["bytes_held"] == 4
    assert await a.receive_some() == b"held"


@in_both_worlds
async def test_a_reader_that_waited_before_the_cut_gets_nothing_until_it_is_mended(world: Bench) -> None:
    a, b = await connect(world)
    async with reading(a) as received:
        await trio.testing.wait_all_tasks_blocked(0.001)
        await world.impose(Cut(BACK))
        await b.send_all(b"held")
        await trio.sleep(world.never_s)
        assert received == b""
        await world.lift(Cut(BACK))
        await trio.sleep(world.soon_s)
        assert received == b"held"
        await b.send_all(b", and this not")
        await trio.sleep(world.soon_s)
        assert received == b"held, and this not"


@in_both_worlds
async def test_a_link_that_is_cut_twice_is_mended_when_both_cuts_are_lifted(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Cut(BOTH))
    await world.impose(Cut(THERE))
    await a.send_all(b"x")
    await world.lift(Cut(BOTH))
    with pytest.raises(trio.TooSlowError):
        await arrives_in(b, within_s=world.never_s)
    await world.lift(Cut(THERE))
    assert await arrives_in(b) < world.soon_s
    with pytest.raises(LookupError):
        await world.lift(Cut(THERE))


@in_both_worlds
async def test_nobody_connects_over_a_cut_link_until_it_is_mended(world: Bench) -> None:
    await world.host("b").net.listen(7000)
    world.host("a")
    await world.impose(Cut(BACK))
    with trio.move_on_after(world.never_s) as scope:
        await dial(world)
    assert scope.cancelled_caught
    dialled = trio.Event()

    async def dial_once() -> None:
        await dial(world)
        dialled.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial_once)
        await trio.sleep(world.soon_s)
        assert not dialled.is_set()
        assert (await world.lift(Cut(BACK)))["connections_held"] == 2
        with trio.fail_after(world.soon_s):
            await dialled.wait()


@in_both_worlds
async def test_a_cut_leaves_other_links_alone(world: Bench) -> None:
    await world.impose(Cut((("a", "c"), ("c", "a"))))
    a, b = await connect(world)
    await a.send_all(b"x")
    assert await arrives_in(b) < world.soon_s


@in_both_worlds
async def test_who_dials_under_a_disturbance_in_force_meets_it(world: Bench) -> None:
    await world.impose(Delay(THERE, 0.15))
    began = trio.current_time()
    a, b = await connect(world)
    assert trio.current_time() - began >= 0.15
    await a.send_all(b"x")
    assert 0.15 <= await arrives_in(b) < 0.15 + world.soon_s


@in_both_worlds
async def test_without_acknowledgements_a_writer_stops_at_the_window(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Cut(BACK))
    async with reading(b) as received, trio.open_nursery() as nursery:
        nursery.start_soon(a.send_all, bytes(3 * WINDOW_BYTES))
        await trio.sleep(world.never_s)
        assert len(received) == WINDOW_BYTES
        await b.send_all(b"x")  # so that there is something that the cut holds
        await world.lift(Cut(BACK))
        await trio.sleep(world.soon_s)
        assert len(received) == 3 * WINDOW_BYTES
        nursery.cancel_scope.cancel()


@in_both_worlds
async def test_over_a_cut_link_a_writer_stops_at_the_window_and_all_arrives_in_order(world: Bench) -> None:
    a, b = await connect(world)
    sent = bytes(range(256)) * (3 * WINDOW_BYTES // 256)
    await world.impose(Cut(BOTH))
    done = trio.Event()

    async def send() -> None:
        for i in range(0, len(sent), 60_000):
            await a.send_all(sent[i : i + 60_000])
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.sleep(world.never_s)
        assert not done.is_set()
        assert WINDOW_BYTES <= (await world.lift(Cut(BOTH)))["bytes_held"] < len(sent)
        assert await receive_exactly(b, len(sent)) == sent


@in_both_worlds
async def test_the_end_of_a_connection_is_held_up_too(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Cut(BOTH))
    await b.send_all(b"last words of b")
    await b.aclose()
    with pytest.raises(trio.TooSlowError):
        await arrives_in(a, within_s=world.never_s)
    await world.lift(Cut(BOTH))
    assert await receive_exactly(a, 15) == b"last words of b"
    assert await a.receive_some() == b""


@in_both_worlds
async def test_who_closes_over_a_cut_link_is_heard_when_it_is_mended(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Cut(BOTH))
    await a.send_all(b"last words of a")
    await a.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await a.send_all(b"x")
    with pytest.raises(trio.TooSlowError):
        await arrives_in(b, within_s=world.never_s)
    await world.lift(Cut(BOTH))
    assert await receive_exactly(b, 15) == b"last words of a"
    assert await b.receive_some() == b""


@in_both_worlds
async def test_half_closing_is_held_up_like_data(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Cut(THERE))
    await a.send_all(b"all")
    await a.send_eof()
    with pytest.raises(trio.TooSlowError):
        await arrives_in(b, within_s=world.never_s)
    await world.lift(Cut(THERE))
    assert await receive_exactly(b, 3) == b"all"
    assert await b.receive_some() == b""
    await b.send_all(b"the other way is open")
    assert await arrives_in(a) < world.soon_s


@in_both_worlds
async def test_closing_wakes_who_waits_on_a_cut_connection(world: Bench) -> None:
    a, _ = await connect(world)
    raised: list[type[BaseException]] = []

    async def note(wait: object) -> None:
        with pytest.raises(trio.ClosedResourceError) as error:
            await wait
        raised.append(error.type)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note, a.receive_some())
        await trio.testing.wait_all_tasks_blocked(0.001)
        await world.impose(Cut(BOTH))
        nursery.start_soon(note, a.send_all(bytes(3 * WINDOW_BYTES)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.fail_after(world.soon_s):
            await a.aclose()
    assert len(raised) == 2


@in_both_worlds
async def test_delays_add_up_and_order_is_kept(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Delay(THERE, 0.1, jitter_s=0.05))
    await world.impose(Delay(THERE, 0.2))
    for letter in b"order":
        await a.send_all(bytes([letter]))
    assert 0.3 <= await arrives_in(b) < 0.36 + world.soon_s
    assert (await world.lift(Delay(THERE, 0.1, jitter_s=0.05)))["bytes_held"] == 5
    await world.lift(Delay(THERE, 0.2))
    await trio.sleep(0.5)
    assert b"order".endswith(await b.receive_some())
    await a.send_all(b"x")
    assert await arrives_in(b) < world.soon_s


@in_both_worlds
async def test_a_delay_is_no_limit_to_throughput(world: Bench) -> None:
    """Many messages are under way at a time."""
    a, b = await connect(world)
    await world.impose(Delay(BOTH, 0.2))
    began = trio.current_time()
    for end in (a, b):
        for _ in range(100):
            await end.send_all(b"0123456789")
    for end in (a, b):
        await receive_exactly(end, 1000)
    assert 0.2 <= trio.current_time() - began < 0.2 + 2 * world.soon_s


@in_both_worlds
async def test_bandwidth_is_shared_by_the_connections_of_a_link(world: Bench) -> None:
    a, b = await connect(world)
    other_a = await dial(world)
    await world.impose(Bandwidth(THERE, bytes_per_s=5000))
    await a.send_all(bytes(1000))
    await other_a.send_all(bytes(1000))
    await a.send_all(bytes(500))
    assert await arrives_in(b) == pytest.approx(0.2, abs=0.05)
    assert await arrives_in(b) == pytest.approx(0.3, abs=0.05)
    assert (await world.lift(Bandwidth(THERE, bytes_per_s=5000)))["bytes_held"] == 2500


@in_both_worlds
async def test_refusing_leaves_open_connections_alone(world: Bench) -> None:
    a, b = await connect(world)
    await world.impose(Refuse(THERE))
    with pytest.raises(ConnectionRefusedError):
        await dial(world)
    await a.send_all(b"x")
    assert await arrives_in(b) < world.soon_s
    assert (await world.lift(Refuse(THERE)))["connections_refused"] == 1
    await dial(world)


@in_both_worlds
async def test_a_reset_breaks_both_ends_of_what_was_dialled_over_the_link(world: Bench) -> None:
    a, b = await connect(world)
    with pytest.raises(NotAttestedError):
        await world.reset(BACK)
    assert (await world.reset(THERE))["connections_reset"] == 1
    for end in (a, b):
        with pytest.raises(trio.BrokenResourceError):
            await end.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await end.send_all(b"x")
    with pytest.raises(NotAttestedError):
        await world.reset(THERE)


@in_both_worlds
async def test_a_client_that_pools_its_connections_takes_a_new_one_after_a_reset(world: Bench) -> None:
    client = http.Client(world.host("a").net, Address(world.host("b").address, 7000))

    async def answer(request: http.Request) -> http.Response:
        return http.Response(200, b"here")

    listener = await world.host("b").net.listen(7000)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(http.serve, listener, answer, log=world.host("b").log))
        for _ in range(3):
            assert (await client.request("GET", "/", timeout_s=5)).body == b"here"
            await world.reset(THERE)
        nursery.cancel_scope.cancel()
    await client.aclose()


@in_both_worlds
async def test_an_unknown_node_is_refused(world: Bench) -> None:
    for disturbance in (Cut((("a", "z"),)), DiskFull("z"), BitFlip("z"), ClockOffset("z", 1)):
        with pytest.raises(LookupError, match="no node 'z'"):
            await world.impose(disturbance)
    with pytest.raises(LookupError):
        await world.lift(Cut((("a", "z"),)))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_fails_every_sync_and_what_was_not_synced_is_unknown(number: int, tmp_path: Path) -> None:
    disturbance = DiskFull("a") if number == errno.ENOSPC else DiskError("a", "main")

    async def fail(world: Bench) -> None:
        disk = world.disk("a")
        file = disk.open("log")
        file.append(b"durable")
        await file.sync()
        await world.impose(disturbance)
        file.append(b"-maybe")
        for attempt in (file.sync, partial(disk.replace, "other", b"x"), file.sync):
            with pytest.raises(OSError) as failure:  # noqa: PT011  (the number tells)
                await attempt()
            assert failure.value.errno == number
        assert disk.read("log").rstrip(b"\0") in (b"durable", b"durable-maybe")
        with pytest.raises(FileNotFoundError):
            disk.read("other")
        assert (await world.lift(disturbance))["refused"] == 2
        again = disk.open("log")
        again.append(b"!")
        await again.sync()
        with pytest.raises(OSError, match="an earlier sync failed"):
            await file.sync()
        for opened in (file, again):
            opened.close()

    for kind in KINDS:
        run_in(kind, fail, tmp_path)


@in_both_worlds
async def test_a_full_disk_lets_pass_what_does_not_grow(world: Bench) -> None:
    disk = world.disk("a")
    file = disk.open("log")
    file.append(b"0123456789")
    await file.sync()
    await world.impose(DiskFull("a"))
    file.truncate(5)
    await file.sync()
    assert disk.read("log").rstrip(b"\0") == b"01234"
    file.append(b"5")
    with pytest.raises(OSError, match="No space left"):
        file.flush()
    file.close()


@in_both_worlds
async def test_a_failing_disk_takes_no_write_that_would_not_be_synced(world: Bench) -> None:
    disk = world.disk("a")
    file = disk.open("log")
    file.append(b"0123456789")
    await file.sync()
    await world.impose(DiskError("a"))
    file.flush()
    file.append(b"x")
    with pytest.raises(OSError, match="Input/output"):
        file.flush()
    file.close()


def test_a_torn_write_leaves_a_part_of_itself_and_no_process() -> None:
    """Simulated; of a real process it is the end (`test_disturbed_processes`)."""

    async def tear(world: Bench) -> None:
        file = world.disk("a").open("log")
        file.append(b"whole")
        await file.sync()
        tearing = TornWrite("a", "main")
        await world.impose(tearing)
        file.append(b"x" * 1000)
        with pytest.raises(OSError, match="died within the write"):
            await file.sync()
        left = world.disk("a").read("log")
        assert left.startswith(b"whole")
        assert len(left) < 1005
        assert (await world.lift(tearing))["torn"] == 1
        again = world.disk("a").open("log")
        again.append(b"!")
        await again.sync()

    run_in("sim", tear, Path())


@in_both_worlds
async def test_a_wiped_disk_is_empty_and_the_others_are_not(world: Bench) -> None:
    with pytest.raises(NotAttestedError, match="nothing is on the disk of a"):
        await world.wipe("a")
    for process in ("one", "two"):
        file = world.disk("a", process).open("raft/journal")
        file.append(b"content")
        await file.sync()
        file.close()
    await world.disk("b", "one").replace("f", b"x")
    assert await world.wipe("a", process="one") == {"emptied": {"one/raft/journal": 7}}
    assert world.disk("a", "one").list() == []
    assert world.disk("a", "two").read("raft/journal").rstrip(b"\0") == b"content"
    await world.disk("a", "one").replace("raft/journal", b"new")
    assert set((await world.wipe("a"))["emptied"]) == {"one/raft/journal", "two/raft/journal"}
    assert world.disk("b", "one").read("f") == b"x"
    with pytest.raises(LookupError):
        await world.wipe("nowhere")


@in_both_worlds
async def test_a_disk_fault_hits_only_its_process_and_also_one_that_starts_later(world: Bench) -> None:
    world.disk("a", "two")
    await world.impose(DiskError("a", "one"))
    with pytest.raises(OSError, match="Input/output"):
        await world.disk("a", "one").replace("f", b"x")
    await world.disk("a", "two").replace("f", b"x")
    await world.disk("b", "one").replace("f", b"x")
    assert (await world.lift(DiskError("a", "one")))["refused"] == 1
    await world.disk("a", "one").replace("f", b"x")


@in_both_worlds
async def test_a_slow_disk_takes_its_time(world: Bench) -> None:
    disk = world.disk("a")
    await world.impose(SlowDisk("a", 0.2))
    began = trio.current_time()
    await disk.replace("f", b"x")
    assert 0.2 < trio.current_time() - began < 0.2 + world.soon_s
    assert (await world.lift(SlowDisk("a", 0.2)))["slowed"] == 1


@in_both_worlds
async def test_a_flipped_bit_is_one_bit_and_put_right_again(world: Bench) -> None:
    with pytest.raises(NotAttestedError):
        await world.impose(BitFlip("a"))
    content = b"\x55" * 100
    await world.disk("a").replace("f", content)
    evidence = await world.impose(BitFlip("a"))
    changed = world.disk("a").read("f")
    assert [i for i in range(100) if changed[i] != 0x55] == [evidence["byte"]]
    assert changed[evidence["byte"]] == 0x55 ^ (1 << evidence["bit"])
    assert (await world.lift(BitFlip("a")))["bit"] == "put right"
    assert world.disk("a").read("f") == content
    await world.impose(BitFlip("a"))
    await world.disk("a").replace("f", content)
    assert (await world.lift(BitFlip("a")))["bit"] == "gone with its file"
    assert world.disk("a").read("f") == content
    with pytest.raises(LookupError):
        await world.lift(BitFlip("a"))


@in_both_worlds
async def test_a_bit_is_put_right_on_whichever_disk_of_the_node_it_was_flipped(world: Bench) -> None:
    content = b"\x55" * 100
    await world.disk("a", "one").replace("f", b"")
    await world.disk("a", "two").replace("f", content)
    await world.impose(BitFlip("a"))
    assert (await world.lift(BitFlip("a")))["bit"] == "put right"
    assert world.disk("a", "two").read("f") == content
    await world.impose(BitFlip("a"))
    await world.disk("a", "two").replace("f", content)
    assert (await world.lift(BitFlip("a")))["bit"] == "gone with its file"


@in_both_worlds
async def test_flipped_bits_near_each_other_are_put_right_in_any_order(world: Bench) -> None:
    content = b"\x55" * 20
    await world.disk("a").replace("f", content)
    for _ in range(3):
        await world.impose(BitFlip("a"))
    for _ in range(3):  # the first one first
        assert (await world.lift(BitFlip("a")))["bit"] == "put right"
    assert world.disk("a").read("f") == content


@in_both_worlds
async def test_a_flipped_bit_is_gone_when_its_file_was_cut_and_written_anew(world: Bench) -> None:
    """Else what puts it right would be the rot."""
    file = world.disk("a").open("log")
    for byte in range(256):
        file.append(bytes([byte]))
    await file.sync()
    evidence = await world.impose(BitFlip("a"))
    rotten = world.disk("a").read("log")[evidence["byte"]]
    file.truncate(evidence["byte"])
    file.append(bytes([rotten]) + b"\xee" * 300)
    await file.sync()
    before = world.disk("a").read("log")
    assert (await world.lift(BitFlip("a")))["bit"] == "gone with its file"
    assert world.disk("a").read("log") == before
    file.close()


@in_both_worlds
async def test_clocks_jump_and_drift_and_are_right_again(world: Bench) -> None:
    hosts = [world.host("a"), world.host("a", "another")]
    right = world.host("b")

    def wrong_by() -> float:
        one, two = (host.wall_clock() - right.wall_clock() for host in hosts)
        assert one == pytest.approx(two, abs=0.1)
        return one

    evidence = await world.impose(ClockOffset("a", -30.0))
    assert evidence["clock_after"] - evidence["clock_before"] == pytest.approx(-30, abs=0.5)
    assert wrong_by() == pytest.approx(-30, abs=0.1)
    began = trio.current_time()
    await world.impose(ClockRate("a", 51))
    await trio.sleep(0.2)
    fast_s = trio.current_time() - began
    assert wrong_by() == pytest.approx(-30 + 50 * fast_s, abs=1)
    hosts.append(world.host("a", "later"))
    assert hosts[-1].wall_clock() - right.wall_clock() == pytest.approx(-30 + 50 * fast_s, abs=2)
    hosts.pop()
    await world.impose(ClockRate("a", 2.0))
    fast_s = trio.current_time() - began
    await trio.sleep(0.2)
    faster_s = trio.current_time() - began - fast_s
    await world.lift(ClockRate("a", 51))
    assert wrong_by() == pytest.approx(-30 + 50 * fast_s + 101 * faster_s, abs=2)
    evidence = await world.lift(ClockRate("a", 2.0))
    assert evidence["clock_after"] - evidence["clock_before"] == pytest.approx(-(50 * fast_s + 101 * faster_s), abs=2)
    assert wrong_by() == pytest.approx(-30, abs=0.1)
    await world.lift(ClockOffset("a", -30.0))
    assert wrong_by() == pytest.approx(0, abs=0.1)
