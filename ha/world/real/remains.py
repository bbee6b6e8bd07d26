"""The zygote as an OS process, and the certainty that nothing of a run is left.

The zygote leads a session of its own, and nothing in a run leaves it. So the session is the run: after the
zygote has exited, and before its pid is given back by waiting for it, whatever ``/proc`` still shows with
that session is a remainder, to be killed and waited for through a pidfd (which cannot hit a stranger).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import trio

from ha.world.real import lifeline
from ha.world.real.host import open_log

__all__ = ["LeftoverError", "ZygoteProcess", "processor_time_s", "proportional_set_size"]

_EXIT_S = 3.0
_SWEEP_S = 5.0
_OF_ITS_RUNNING = 2
"""CPUCLOCK_SCHED."""
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


class LeftoverError(Exception):
    """Processes of the run survived SIGKILL."""


class ZygoteProcess:
    """The zygote, started; `control` is our end of its socket."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.control = control
        self.pid = process.pid
        self._process = process
        self._pidfd = os.pidfd_open(process.pid)

    @classmethod
    def spawn(cls, directory: Path, import_path: list[str]) -> ZygoteProcess:
        """Start it, from this thread: it dies with it. Its stderr is ``logs/world/zygote.log``."""
        ours, theirs = socket.socketpair()
        log_fd = open_log(directory, "world", "zygote")
        try:
            process = subprocess.Popen(  # noqa: S603  (our own interpreter and file)
                [sys.executable, "-P", lifeline.__file__, str(os.getpid()), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                cwd=directory,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(import_path)},
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(log_fd)
        return cls(process, ours)

    def kill(self) -> None:
        """SIGKILL, and with it its children."""
        self._process.kill()

    async def end(self) -> None:
        """Wait for its exit, with force if need be, and for whatever it left. Raises LeftoverError."""
        try:
            with trio.move_on_after(_EXIT_S) as patience:
                await trio.lowlevel.wait_readable(self._pidfd)
            if patience.cancelled_caught:
                self._process.kill()
                with trio.move_on_after(_EXIT_S):
                    await trio.lowlevel.wait_readable(self._pidfd)
            await self._sweep()
        finally:
            self._process.poll()
            os.close(self._pidfd)

    async def _sweep(self) -> None:
        with trio.move_on_after(_SWEEP_S) as patience:
            while remainder := self._remainder():
                for pid in remainder:
                    await self._kill(pid)
        if patience.cancelled_caught:
            raise LeftoverError(f"still alive after SIGKILL: {self._remainder()}")

    async def _kill(self, pid: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            if pid in self._remainder():  # still, so the pidfd is its
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                await trio.lowlevel.wait_readable(pidfd)
        except ProcessLookupError:
            return
        finally:
            os.close(pidfd)

    def _remainder(self) -> list[int]:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal() and self._is_ours(entry)]

    def _is_ours(self, process: Path) -> bool:
        """Whether it is alive and of our session: fields 3 and 6 of proc_pid_stat(5)."""
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return fields[0] not in "ZX" and int(fields[3]) == self.pid


def proportional_set_size(pid: int) -> int | None:
    """Bytes of memory, each shared page divided by its sharers; None when the process is gone."""
    try:
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(found[1]) * 1024 if found else None


def processor_time_s(pid: int) -> float:
    """Seconds of a core that a process took up to now, all its threads: its clock as clock_getcpuclockid(3) names it,
    which tells nanoseconds where proc_pid_stat(5) tells ticks. Raises OSError when it is gone.
    """
    return time.clock_gettime((~pid << 3) | _OF_ITS_RUNNING)
