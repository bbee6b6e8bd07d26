"""Runs the command line as a user does, and finds what a run leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "ha.cli.main"]


def ha(
    *arguments: str | Path, home: Path | None = None, cwd: Path | None = None, timeout_s: float = 100
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = os.environ | ({"HOME": str(home)} if home else {})
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment,
        cwd=cwd,
        check=False,
    )


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start a command."""
    return subprocess.Popen([*COMMAND, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def processes_of(directory: Path) -> list[int]:
    """Every process that works in or for a run directory: it is open as a log, a disk or an argument there."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            files = [str(descriptor.readlink()) for descriptor in (entry / "fd").iterdir()]
            state = (entry / "stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if state != "Z" and (str(directory) in command or any(file.startswith(str(directory)) for file in files)):
            found.append(int(entry.name))
    return found


def wait_gone(directory: Path, *, within_s: float) -> list[int]:
    """Wait until no process of a run directory is left; the ones that still are after `within_s`."""
    deadline = time.monotonic() + within_s
    while left := processes_of(directory):
        if time.monotonic() > deadline:
            return left
        time.sleep(0.02)
    return []
