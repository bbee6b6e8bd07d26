"""Imported by a zygote that is to be slow: a process it forked has become another program before it gets its group."""

from __future__ import annotations

import os
import time
from pathlib import Path

_ZYGOTE = os.getpid()
_setpgid = os.setpgid


def _slow(pid: int, group: int) -> None:
    if os.getpid() == _ZYGOTE:
        command = Path(f"/proc/{pid}/cmdline")
        deadline = time.monotonic() + 5
        while b"the other one speaks" not in command.read_bytes():
            assert time.monotonic() < deadline, "it did not become another program"
            time.sleep(0.001)
    _setpgid(pid, group)


os.setpgid = _slow
