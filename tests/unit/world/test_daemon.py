"""Processes that outlive the command that started them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from ha.world.real import daemon

SAY_AND_SLEEP = "print('up', flush=True); import time; time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SAY_AND_SLEEP}"


@contextmanager
def running(code: str) -> Iterator[tuple[int, str]]:
    """A process that has said that it is up."""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid, daemon._started(process.pid) or ""
        finally:
            process.kill()


def signal_that_ended(pid: int) -> int:
    """Wait for it and leave it unreaped."""
    result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert result is not None
    return result.si_status


async def test_a_process_that_ends_at_a_request_is_not_killed() -> None:
    with running(SAY_AND_SLEEP) as (pid, started):
        assert daemon.is_alive(pid, started)
        assert await daemon.stop(pid, started, grace_s=5)
        assert not daemon.is_alive(pid, started)
        assert signal_that_ended(pid) == signal.SIGTERM


async def test_a_process_that_ignores_the_request_is_killed() -> None:
    with running(DEAF) as (pid, started):
        assert not await daemon.stop(pid, started, grace_s=0.1)
        assert not daemon.is_alive(pid, started)


async def test_a_process_that_is_gone_needs_no_stopping() -> None:
    with running(SAY_AND_SLEEP) as (pid, started):
        os.kill(pid, signal.SIGKILL)
        assert signal_that_ended(pid) == signal.SIGKILL
        assert await daemon.stop(pid, started, grace_s=5)


async def test_a_process_that_ends_between_being_seen_and_being_signalled_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running("print()") as (pid, _):
        pass
    monkeypatch.setattr(daemon, "is_alive", lambda *_: True)
    with trio.fail_after(1):
        assert await daemon.stop(pid, "1", grace_s=0.1)


async def test_another_process_of_the_same_pid_is_left_alone() -> None:
    with running(SAY_AND_SLEEP) as (pid, started):
        assert await daemon.stop(pid, f"{started}0", grace_s=5)
        assert daemon.is_alive(pid, started)
