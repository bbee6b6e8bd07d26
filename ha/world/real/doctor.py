"""Whether this machine can be the real world, and how fast a part of it is."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from ha.world.real.foreign import ForeignProgram, ForeignProgramError, find_etcd, find_haproxy

__all__ = ["Finding", "examine"]

Grade: TypeAlias = Literal["ok", "warning", "missing", "error"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing examined. ``error``: nothing will run; ``missing``: something optional is not there."""

    what: str
    grade: Grade
    found: str
    advice: str = ""


def examine(directory: Path) -> list[Finding]:
    """Examine the machine; `directory` is where runs would be written."""
    system = _system()
    if system.grade == "error":
        return [system]
    return [
        system,
        _loopback(),
        _memory(),
        _descriptors(),
        _fsync(directory),
        _kubectl(),
        _foreign("etcd", find_etcd),
        _foreign("haproxy", find_haproxy),
    ]


def _system() -> Finding:
    found = f"{sys.platform}, Python {sys.version.split()[0]}, {os.cpu_count()} cores"
    if sys.platform != "linux":
        return Finding(what="system", grade="error", found=found, advice="the real world needs Linux")
    return Finding(what="system", grade="ok", found=found)


def _loopback() -> Finding:
    what = "loopback addresses"
    try:
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.77.77.10", 0))
            b.bind(("127.77.77.11", 0))
    except OSError as error:
        advice = "every node needs an address of its own in 127.0.0.0/8"
        return Finding(what=what, grade="error", found=str(error), advice=advice)
    return Finding(what=what, grade="ok", found="127.0.0.0/8 can be bound")


def _memory() -> Finding:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    available_mib = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))
    found = f"{available_mib} MiB available"
    if available_mib < 512:
        return Finding(what="memory", grade="warning", found=found, advice="stacked-3 takes about 300 MiB")
    return Finding(what="memory", grade="ok", found=found)


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{soft} (hard limit {hard})"
    if soft < 1024:
        return Finding(what="open files", grade="warning", found=found, advice="ulimit -n 1024")
    return Finding(what="open files", grade="ok", found=found)


def _fsync(directory: Path) -> Finding:
    what = "fdatasync of 4 KiB"
    times_ms = []
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            for _ in range(50):
                file.write(bytes(4096))
                file.flush()
                begun = time.perf_counter()
                os.fdatasync(file.fileno())
                times_ms.append((time.perf_counter() - begun) * 1000)
    except OSError as error:
        return Finding(what=what, grade="error", found=str(error), advice="choose another place with --out")
    median_ms = statistics.median(times_ms)
    found = f"median {median_ms:.2f} ms, longest {max(times_ms):.2f} ms"
    if median_ms > 20:
        advice = "slower than etcd's heartbeat allows with fast timings; use timings: upstream"
        return Finding(what=what, grade="warning", found=found, advice=advice)
    return Finding(what=what, grade="ok", found=found)


def _kubectl() -> Finding:
    if shutil.which("kubectl") is None:
        advice = "drives a cluster that 'ha up' keeps"
        return Finding(what="kubectl", grade="missing", found="not installed (optional)", advice=advice)
    command = ["kubectl", "version", "--client"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  (fixed)
    lines = (output.stdout + output.stderr).strip().splitlines()
    return Finding(what="kubectl", grade="ok", found=lines[0] if lines else "installed")


def _foreign(what: str, find: Callable[[], ForeignProgram]) -> Finding:
    try:
        program = find()
    except ForeignProgramError as error:
        advice = f"for engine: {what}; {error.advice}"
        return Finding(what=what, grade="missing", found=f"{error} (optional)", advice=advice)
    return Finding(what=what, grade="ok", found=f"{program.version}, {program.path}")
