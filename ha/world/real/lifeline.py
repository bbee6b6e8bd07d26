"""Processes that cannot outlive their parent, and the first lines that the zygote runs.

Promise: when the parent ends, however it ends (SIGKILL included), this process gets SIGKILL from the kernel
(``PR_SET_PDEATHSIG``, prctl(2)), also while it is stopped. The request is not inherited by a fork, so every
process makes it for itself; the check of the parent's pid afterwards closes the gap in which the parent died
before the request was made.

"Parent" is the *thread* that forked. That is why the supervisor starts the zygote from its main thread.

The zygote executes this file as a script, so that it holds its lifeline before the imports, which take
longest. Hence nothing of the project is imported at the top. Rejected: ``preexec_fn`` (unsafe beside other
threads), a pipe alone (a stopped or busy process does not look at it).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["die_with_parent", "set_process_title"]

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Tie this process to its parent, whose pid is given; end at once if it is already gone."""
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl(PR_SET_PDEATHSIG): {os.strerror(error)}")
    if os.getppid() != parent:
        os._exit(1)


def set_process_title(title: str) -> None:
    """Name the process in ``ps -o comm`` and ``top``; the kernel keeps 15 bytes."""
    _libc.prctl(_PR_SET_NAME, title.encode()[:15], 0, 0, 0)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    from ha.world.real.zygote import main

    main(int(sys.argv[2]))
