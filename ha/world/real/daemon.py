"""A process that outlives the command that started it, and how to find and end it again.

A pid alone may have been reused, so a process is named by its pid and the time at which it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import trio

__all__ = ["abandon", "identity", "is_alive", "spawn", "stop"]

_KILL_S = 5.0


def spawn(module: str, arguments: Sequence[str], log: Path) -> tuple[int, str]:
    """Start ``python -m module`` in a session of its own, output to `log`. Returns its pid and start time."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  (our own interpreter and module)
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    process.returncode = 0  # it is not ours to wait for: no warning when this object goes
    return process.pid, _started(process.pid) or ""


def identity() -> tuple[int, str]:
    """Pid and start time of this process."""
    return os.getpid(), _started(os.getpid()) or ""


def is_alive(pid: int, started: str) -> bool:
    """Whether the process of that pid and start time still runs (a zombie does not)."""
    return _started(pid) == started


async def stop(pid: int, started: str, *, grace_s: float) -> bool:
    """SIGTERM, then SIGKILL when it has not ended in time. Returns whether SIGTERM sufficed."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        for number, limit_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _KILL_S)):
            if not is_alive(pid, started):  # if it is, the pidfd is its, and hits no stranger
                return True
            signal.pidfd_send_signal(pidfd, number)
            with trio.move_on_after(limit_s):
                await trio.lowlevel.wait_readable(pidfd)
    except ProcessLookupError:
        return True  # it ended by itself meanwhile
    finally:
        os.close(pidfd)
    return False


def abandon(code: int) -> NoReturn:
    """Exit at once, without unwinding. Whatever a world runs dies with this process."""
    os._exit(code)


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(") ")[2].split()
    return None if state in "ZX" else fields[18]
