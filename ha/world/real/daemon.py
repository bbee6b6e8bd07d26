"""A process that outlives the command that started it, and how to find and end it again.

A pid alone may have been reused, so a process is named by its pid and the time at which it started.

Of several that want to be the one of a name, the one that holds the lock file is (`hold`); it holds it until it
ends, however it ends, and says in it who it is (`holder`), so that looking needs no lock and disturbs nobody.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NoReturn

import trio

__all__ = ["abandon", "hold", "holder", "identity", "is_alive", "spawn", "stop"]

_KILL_S = 5.0


def spawn(module: str, arguments: Sequence[str], output: IO[bytes]) -> tuple[int, str]:
    """Start ``python -m module`` in a session of its own. Returns its pid and start time."""
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


def hold(lock: Path) -> IO[bytes] | None:
    """Become the holder of a lock file, until the returned file is closed or this process ends. None: it is held.

    The holder may remove the file while it holds it: a lock on a file that is no longer there is none, and the
    next one makes a new file.
    """
    while True:
        file = lock.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        if _is_at(lock, file):
            pid, started = identity()
            file.truncate(0)
            file.write(f"{pid} {started}\n".encode())
            file.flush()
            return file
        file.close()


def holder(lock: Path) -> tuple[int, str] | None:
    """Pid and start time of the process that holds a lock file; None when no living one does."""
    try:
        pid, started = lock.read_text(encoding="utf-8").split()
        return (int(pid), started) if is_alive(int(pid), started) else None
    except (FileNotFoundError, ValueError):  # empty: somebody is just about to hold it
        return None


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


def _is_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return path.samefile(f"/proc/self/fd/{file.fileno()}")
    except FileNotFoundError:
        return False


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(") ")[2].split()
    return None if state in "ZX" else fields[18]
