"""Each promise of `ha.world.Disk` and `ha.world.File`, on a real file system."""

import errno
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from ha.world.real.disk import RealDisk, Trouble


def physical(path: Path) -> bytes:
    return path.read_bytes()


def failing(number: int) -> Callable[[int], None]:
    def fail(_fd: int) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


async def test_appended_data_reaches_the_disk_at_sync_and_not_before(tmp_path: Path) -> None:
    file = RealDisk(tmp_path).open("log")
    file.append(b"abc")
    assert (file.read(), file.size_bytes, physical(tmp_path / "log")) == (b"abc", 3, b"")
    await file.sync()
    assert physical(tmp_path / "log").rstrip(b"\0") == b"abc"
    assert (file.read(), file.size_bytes) == (b"abc", 3)
    file.close()


async def test_the_file_is_extended_in_chunks_so_that_syncs_need_no_metadata(tmp_path: Path) -> None:
    file = RealDisk(tmp_path).open("log")
    sizes = set()
    for _ in range(200):
        file.append(b"x" * 1000)
        await file.sync()
        sizes.add((tmp_path / "log").stat().st_size)
    assert len(sizes) == 1
    assert min(sizes) > 100_000
    assert file.read() == b"x" * 200_000
    file.close()


async def test_a_record_larger_than_a_chunk_is_written_whole(tmp_path: Path) -> None:
    file = RealDisk(tmp_path).open("log")
    data = os.urandom(3 << 20)
    file.append(b"head")
    await file.sync()
    file.append(data)
    await file.sync()
    file.append(b"tail")
    assert file.read() == b"head" + data + b"tail"
    file.close()


async def test_after_a_crash_the_content_is_followed_by_zeros_only(tmp_path: Path) -> None:
    crashed = RealDisk(tmp_path).open("log")
    crashed.append(b"durable")
    await crashed.sync()
    crashed.append(b"lost")
    # No close: that is the crash.
    reopened = RealDisk(tmp_path).open("log")
    content = reopened.read()
    assert content.startswith(b"durable\0")
    assert content.rstrip(b"\0") == b"durable"
    assert reopened.size_bytes == len(content)
    reopened.truncate(7)
    reopened.append(b", more")
    await reopened.sync()
    assert reopened.read() == b"durable, more"
    assert physical(tmp_path / "log").rstrip(b"\0") == b"durable, more"
    reopened.close()
    crashed.close()


async def test_closing_leaves_no_zeros_behind(tmp_path: Path) -> None:
    file = RealDisk(tmp_path).open("log")
    file.append(b"synced ")
    await file.sync()
    file.append(b"unsynced")
    file.close()
    file.close()
    assert physical(tmp_path / "log") == b"synced unsynced"


@pytest.mark.parametrize("cut", [0, 2, 5, 7, 10])
async def test_truncation_cuts_synced_and_unsynced_data(tmp_path: Path, cut: int) -> None:
    file = RealDisk(tmp_path).open("log")
    file.append(b"01234")
    await file.sync()
    file.append(b"56789")
    file.truncate(cut)
    assert (file.read(), file.size_bytes) == (b"0123456789"[:cut], cut)
    file.append(b"new")
    await file.sync()
    assert file.read() == b"0123456789"[:cut] + b"new"
    assert physical(tmp_path / "log").rstrip(b"\0") == b"0123456789"[:cut] + b"new"
    file.close()


async def test_what_was_cut_off_does_not_come_back_when_the_file_grows_again(tmp_path: Path) -> None:
    file = RealDisk(tmp_path).open("log")
    file.append(b"secret" * 100)
    await file.sync()
    file.truncate(3)
    await file.sync()
    file.append(b"x")
    await file.sync()
    assert physical(tmp_path / "log").rstrip(b"\0") == b"secx"
    file.close()


async def test_a_failed_sync_stays_failed_until_the_file_is_opened_anew(tmp_path: Path, monkeypatch) -> None:
    file = RealDisk(tmp_path).open("log")
    file.append(b"abc")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing(errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            await file.sync()
    with pytest.raises(OSError, match="an earlier sync failed") as raised:
        await file.sync()
    assert raised.value.errno == errno.EIO
    file.close()
    again = RealDisk(tmp_path).open("log")
    again.append(b"def")
    await again.sync()
    again.close()


async def test_a_full_disk_is_an_oserror_of_sync(tmp_path: Path) -> None:
    file = RealDisk(tmp_path).open("log")
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, file._fd)
    os.close(full)
    file.append(b"abc")
    with pytest.raises(OSError, match="No space left") as raised:
        await file.sync()
    assert raised.value.errno == errno.ENOSPC
    file.close()


async def test_much_data_on_a_slow_disk_is_synced_while_others_run(tmp_path: Path, monkeypatch) -> None:
    file = RealDisk(tmp_path).open("log")
    real, beats = os.fdatasync, 0

    def slow(fd: int) -> None:
        time.sleep(0.05)
        real(fd)

    async def beat() -> None:
        nonlocal beats
        while True:
            await trio.sleep(0.001)
            beats += 1

    monkeypatch.setattr(os, "fdatasync", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        for size, others_run in ((10_000, False), (10, False), (10_000, True)):
            await trio.sleep(0.01)
            beats = 0
            file.append(bytes(size))
            await file.sync()
            assert (beats > 3) == others_run
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", failing(errno.EIO))
            file.append(bytes(10_000))
            with pytest.raises(OSError, match="Input/output error"):
                await file.sync()
            with pytest.raises(OSError, match="an earlier sync failed"):
                await file.sync()
        nursery.cancel_scope.cancel()
    file.close()


async def test_a_cancelled_sync_did_not_start(tmp_path: Path) -> None:
    file = RealDisk(tmp_path).open("log")
    file.append(b"abc")
    with trio.CancelScope() as scope:
        scope.cancel()
        await file.sync()
    assert scope.cancelled_caught
    assert physical(tmp_path / "log") == b""
    file.close()


@pytest.mark.parametrize("size", [0, 10, 1 << 20])
async def test_replacement_is_whole_and_leaves_nothing_beside_it(tmp_path: Path, size: int) -> None:
    disk = RealDisk(tmp_path)
    await disk.replace("a/b/snapshot", b"old")
    await disk.replace("a/b/snapshot", b"n" * size)
    assert disk.read("a/b/snapshot") == b"n" * size
    assert names(tmp_path / "a/b") == ["snapshot"]


async def test_a_prepared_file_takes_the_place_of_another_with_what_was_appended(tmp_path: Path) -> None:
    disk = RealDisk(tmp_path)
    await disk.replace("raft/log", b"old")
    file = await disk.prepare("raft/log", lambda: [b"n", b"ew"])
    file.append(b" and more")
    assert disk.read("raft/log") == b"old"
    assert disk.list("raft") == ["log"]
    await disk.publish("raft/log", file)
    assert disk.read("raft/log").rstrip(b"\0") == b"new and more"
    file.append(b"!")
    await file.sync()
    file.close()
    assert disk.read("raft/log") == b"new and more!"
    assert names(tmp_path / "raft") == ["log"]


async def test_a_prepared_file_that_is_not_wanted_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    disk = RealDisk(tmp_path)
    await disk.replace("log", b"old")
    (await disk.prepare("log", lambda: [b"n", b"ew"])).close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            await disk.prepare("log", lambda: [b"n", b"ew"])
    assert disk.read("log") == b"old"
    assert names(tmp_path) == ["log"]


@pytest.mark.parametrize("pieces_total", [1, 10])
async def test_a_large_file_is_prepared_bit_by_bit_and_in_order(tmp_path: Path, monkeypatch, pieces_total: int) -> None:
    disk = RealDisk(tmp_path)
    content = b"".join(bytes([number]) * (1 << 20) for number in range(10))
    size = len(content) // pieces_total
    syncs: list[float] = []
    fsync = os.fsync

    def slowly(fd: int) -> None:
        syncs.append(time.monotonic())
        time.sleep(0.01)
        fsync(fd)

    descriptors = len(names(Path("/proc/self/fd")))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slowly)
        file = await disk.prepare("log", lambda: [content[at : at + size] for at in range(0, len(content), size)])
    assert len(syncs) == 3
    assert all(later - earlier >= 0.01 * (1 + 4) for earlier, later in pairwise(syncs)), "it rests"
    await disk.publish("log", file)
    assert disk.read("log").rstrip(b"\0") == content.rstrip(b"\0")
    file.close()
    assert len(names(Path("/proc/self/fd"))) == descriptors


async def test_a_disk_that_becomes_full_meanwhile_refuses_the_rest_of_a_large_file(tmp_path: Path) -> None:
    class Filling(Trouble):
        asked = 0

        def sync(self, *, grows: bool) -> None:
            self.asked += 1
            if self.asked > 1 and grows:
                raise OSError(errno.ENOSPC, "No space left on device")

    disk = RealDisk(tmp_path, Filling())
    with pytest.raises(OSError, match="No space left"):
        await disk.prepare("log", lambda: [bytes(10 << 20)])
    assert names(tmp_path) == []


async def test_a_file_whose_preparation_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    disk = RealDisk(tmp_path)
    await disk.replace("log", b"old")
    with trio.CancelScope() as scope:

        def make() -> list[bytes]:
            trio.from_thread.run_sync(scope.cancel)
            return [bytes(1 << 20)] * 20

        await disk.prepare("log", make)
    assert scope.cancelled_caught
    assert names(tmp_path) == ["log"]


async def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    disk = RealDisk(tmp_path)
    await disk.replace("snapshot", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        with pytest.raises(OSError, match="No space left"):
            await disk.replace("snapshot", b"new")
    assert disk.read("snapshot") == b"old"
    assert names(tmp_path) == ["snapshot"]


async def test_listing_hides_what_a_crash_left_of_a_replacement(tmp_path: Path) -> None:
    disk = RealDisk(tmp_path)
    await disk.replace("b", b"")
    await disk.replace("a", b"")
    (tmp_path / ".b.1.replacing").write_bytes(b"torn")
    assert disk.list() == ["a", "b"]
    assert disk.list("missing") == []
    await disk.replace("b", b"x")
    assert disk.read("b") == b"x"


async def test_names_are_synced_in_their_directory(tmp_path: Path, monkeypatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    disk = RealDisk(tmp_path / "disk")
    disk.open("raft/log").close()
    top = str(tmp_path)
    assert synced == [top, f"{top}/disk", f"{top}/disk/raft"]
    synced.clear()
    disk.remove("raft/log")
    disk.remove("raft/log")
    assert synced == [f"{top}/disk/raft"]


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x"])
def test_paths_stay_inside_the_disk(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        RealDisk(tmp_path).read(path)


def test_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RealDisk(tmp_path).read("nothing")


async def test_what_was_flushed_is_with_the_operating_system(tmp_path: Path, monkeypatch) -> None:
    """It survives the process without any sync, and what is synced later includes it."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    file = RealDisk(tmp_path).open("log")
    file.append(b"abcdef")
    file.flush()
    file.truncate(3)
    file.append(b"x")
    file.flush()
    assert physical(tmp_path / "log") == b"abcx"
    assert not synced
    await file.sync()
    assert len(synced) == 1
    await file.sync()
    assert len(synced) == 1
    file.append(b"y")
    await file.sync()
    assert physical(tmp_path / "log").rstrip(b"\0") == b"abcxy"
    file.close()


async def test_a_failed_flush_stays_failed(tmp_path: Path, monkeypatch) -> None:
    file = RealDisk(tmp_path).open("log")
    file.append(b"abc")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: failing(errno.ENOSPC)(0))
        with pytest.raises(OSError, match="No space"):
            file.flush()
    with pytest.raises(OSError, match="an earlier sync failed"):
        await file.sync()
    file.close()
