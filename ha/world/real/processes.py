"""A node's process table as a process on it sees it: its connection to the zygote, bound to its node there."""

from __future__ import annotations

import os
import signal as signals
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ha.world import ProcessExit, ProcessInfo, Signal
from ha.world.real.link import Link

__all__ = ["NodeProcesses"]


class NodeProcesses:
    """See `ha.world.Processes`. `directory`: where the process that uses it has its disk."""

    def __init__(self, link: Link, node: str, directory: Path) -> None:
        self._link = link
        self._node = node
        self._directory = directory

    async def start(
        self,
        name: str,
        program: str,
        config: bytes,
        *,
        labels: Mapping[str, str] | None = None,
        address: str | None = None,
    ) -> ProcessInfo:
        """Raises ValueError when it is refused, OSError when the machine cannot fork."""
        named = dict(labels or {})
        return await self._link.start(self._node, name, program, config, named, address=address, boot=False)

    async def list(self) -> list[ProcessInfo]:
        """What runs on this node."""
        return await self._link.list(self._node)

    async def signal(self, name: str, signal: Signal) -> None:
        """Returns when it was sent. Raises LookupError."""
        await self._link.signal(self._node, name, signal, observe=False)

    def exits(self) -> AsyncIterator[ProcessExit]:
        """Every exit on this node from now on."""
        return self._link.subscribe(lambda notice: notice.exit)

    def execute(self, argv: Sequence[str]) -> NoReturn:
        """Every descriptor but the standard streams closes with it, the connection to the zygote among them; the
        lifeline holds (prctl(2): PR_SET_PDEATHSIG survives execve). Raises OSError.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        os.chdir(self._directory)
        for number in (signals.SIGPIPE, signals.SIGXFSZ):  # Python ignores these two, and what is ignored is inherited
            signals.signal(number, signals.SIG_DFL)
        os.execve(argv[0], list(argv), {})  # noqa: S606  (no shell is the point)
