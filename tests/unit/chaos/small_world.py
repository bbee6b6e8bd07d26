"""A world of processes that do nothing, for tests of faults: it implements `ha.world.World`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Literal

import trio

from ha.world import Evidence, Host, NotAttestedError, ProcessExit, ProcessInfo, Signal


class SmallWorld:
    """Nodes run what `boot` started, plus `extra` per node. `deaf` nodes ignore signals."""

    name: Literal["real", "sim"] = "sim"
    faults = frozenset({"kill", "pause", "restart"})

    def __init__(self, nodes: list[str], extra: dict[str, list[str]] | None = None) -> None:
        self.tables: dict[str, dict[str, ProcessInfo]] = {node: {} for node in nodes}
        self.extra = extra or {}
        self.latency_s = 0.0
        self.ending_s = 0.0
        """From the first process that ended until it is known that all have."""
        self.deaf: set[str] = set()
        self.silent = False
        """Signals work, and nothing shows it."""
        self.paused: set[tuple[str, str]] = set()
        self.log: list[str] = []
        self._pid = 100
        self._exits_in, self._exits_out = trio.open_memory_channel[tuple[str, ProcessExit]](1000)

    def address(self, node: str) -> str:
        return f"127.1.1.{10 + list(self.tables).index(node)}"

    def client(self, name: str) -> AbstractAsyncContextManager[Host]:
        raise AssertionError("faults need no client")

    async def boot(self, node: str, name: str, program: str, config: bytes) -> ProcessInfo:
        await trio.lowlevel.checkpoint()
        self.log.append(f"boot {node}")
        for process in [name, *self.extra.get(node, [])]:
            if process not in self.tables[node]:
                self._pid += 1
                self.tables[node][process] = ProcessInfo(process, self._pid, program)
        return self.tables[node][name]

    async def processes(self, node: str) -> list[ProcessInfo]:
        await trio.lowlevel.checkpoint()
        return [self.tables[node][name] for name in sorted(self.tables[node])]

    async def exits(self) -> AsyncIterator[tuple[str, ProcessExit]]:
        async for item in self._exits_out:
            yield item

    async def signal(self, node: str, signal: Signal, *, process: str | None = None) -> Evidence:
        await trio.sleep(self.latency_s)
        self.log.append(f"{signal} {node}" + (f"/{process}" if process else ""))
        if node in self.deaf:
            raise NotAttestedError(f"{node} did not react")
        names = [process] if process else sorted(self.tables[node])
        if not names or any(name not in self.tables[node] for name in names):
            raise LookupError(f"nothing runs on {node}")
        if signal in ("kill", "terminate"):
            for name in names:
                info = self.tables[node].pop(name)
                self._exits_in.send_nowait((node, ProcessExit(name, info.pid, None, 9)))
            await trio.sleep(self.ending_s)
            return {"exited": names}
        (self.paused.update if signal == "pause" else self.paused.difference_update)({(node, name) for name in names})
        return {} if self.silent else {"state": dict.fromkeys(names, signal)}

    async def wipe(self, node: str, *, process: str | None = None) -> Evidence:
        await trio.lowlevel.checkpoint()
        self.log.append(f"wipe {node}" + (f"/{process}" if process else ""))
        return {"emptied": {"etcd/raft/journal": 1}}

    async def memory_bytes(self) -> dict[str, int]:
        return {}
