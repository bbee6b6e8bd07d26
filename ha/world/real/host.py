"""A node as one real process on it sees it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from ha.world import Disk, Network, Processes
from ha.world.lines import log_line
from ha.world.real import wire

__all__ = ["Log", "RealHost", "WallClock", "open_log"]


def open_log(directory: Path, node: str, process: str) -> int:
    """The file descriptor of a process's log, appended to: ``<directory>/logs/<node>/<process>.log``."""
    path = directory / "logs" / node / f"{process}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


class Log:
    """Lines to a file descriptor: UTC time, message, fields. Never raises: a log must not break what it tells of."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __call__(self, message: str, /, **fields: object) -> None:
        """Write one line with one write(2), so that lines of several writers do not mix."""
        try:
            now = time.time()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
            os.write(self._fd, log_line(f"{stamp}.{int(now % 1 * 1e6):06}Z", message, fields))
        except Exception:  # noqa: BLE001, S110  (a full disk or a failing __repr__ must not stop a component)
            pass


class WallClock:
    """What the clock of this process's node shows beside the machine's."""

    def __init__(self) -> None:
        self.wrong: wire.WrongClock | None = None

    def ahead_s(self) -> float:
        """By how much it is ahead now."""
        wrong = self.wrong
        return 0.0 if wrong is None else wrong.ahead_s + (wrong.rate - 1.0) * (time.monotonic() - wrong.since_s)


@dataclass(frozen=True, slots=True)
class RealHost:
    """See `ha.world.Host`."""

    node: str
    process: str
    address: str
    subnet: str
    net: Network
    disk: Disk
    processes: Processes
    random: Random
    log: Log
    clock: WallClock = field(default_factory=WallClock)

    def wall_clock(self) -> float:
        """Seconds since the epoch by this node's clock."""
        return time.time() + self.clock.ahead_s()
