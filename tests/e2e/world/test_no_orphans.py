"""Nothing of a run is alive 2 s after the supervisor was killed with SIGKILL, whatever it was doing.

The run holds processes that ignore their connection to the zygote (stuck outside their event loop, stopped),
so that only the kernel's lifeline can end them.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

SUPERVISOR = Path(__file__).with_name("supervise.py")
MARK = "HA_TEST_RUN"

pytestmark = pytest.mark.e2e


@contextmanager
def supervisor(directory: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A supervisor and the mark that every process of its run carries in its environment."""
    mark = f"{MARK}={uuid.uuid4()}"
    environment = os.environ | dict([mark.split("=")])
    with subprocess.Popen(
        [sys.executable, str(SUPERVISOR), str(directory)], stdout=subprocess.PIPE, env=environment
    ) as process:
        try:
            yield process, mark
        finally:
            process.kill()


def alive(mark: str) -> list[str]:
    """Every process of the run but the dead: its pid, name and state."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and mark.encode() in (process / "environ").read_bytes():
                pid, name, state = (process / "stat").read_text().split()[:3]
                if state not in "ZX":
                    found.append(f"{pid} {name} {state}")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


async def assert_gone_within(mark: str, limit_s: float) -> None:
    with trio.move_on_after(limit_s):
        while alive(mark):
            await trio.sleep(0.01)
    assert alive(mark) == []


@pytest.mark.parametrize("delay_s", [0.0, 0.03, 0.08, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.8])
async def test_killed_at_a_moment_of_its_start(tmp_path: Path, delay_s: float) -> None:
    with supervisor(tmp_path) as (process, mark):
        await trio.sleep(delay_s)
        assert alive(mark)
        process.kill()
        await assert_gone_within(mark, 2)


@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 5, 8])
async def test_killed_while_nodes_run_pause_and_die(tmp_path: Path, rounds: int) -> None:
    with supervisor(tmp_path) as (process, mark):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for _ in range(rounds):
            assert process.stdout.readline() == b"round\n"
        before = alive(mark)
        process.kill()
        await assert_gone_within(mark, 2)
    assert len(before) >= 2, before
    if rounds:  # by then the supervisor, the zygote and at least a process on each node
        assert len(before) >= 5, before
        assert any(process.endswith(" T") for process in before), before


async def test_killed_while_it_is_stopped(tmp_path: Path) -> None:
    with supervisor(tmp_path) as (process, mark):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGSTOP)
        process.kill()
        await assert_gone_within(mark, 2)


async def test_killed_while_its_zygote_is_stopped(tmp_path: Path) -> None:
    with supervisor(tmp_path) as (process, mark):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert process.stdout.readline() == b"round\n"
        (zygote,) = [pid for line in alive(mark) if os.getsid(pid := int(line.split()[0])) == pid]
        os.kill(zygote, signal.SIGSTOP)
        process.kill()
        await assert_gone_within(mark, 2)


@pytest.mark.parametrize("times", [1, 2])
async def test_interrupted_it_cleans_up(tmp_path: Path, times: int) -> None:
    """Ctrl-C is a KeyboardInterrupt in the supervisor alone: the run is not in its process group."""
    with supervisor(tmp_path) as (process, mark):
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            await trio.sleep(0.002)
        with trio.fail_after(5):
            await trio.to_thread.run_sync(process.wait)
        await assert_gone_within(mark, 0 if times == 1 else 2)
        assert process.returncode != 0
