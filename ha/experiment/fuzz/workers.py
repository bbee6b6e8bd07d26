"""Who runs the cases of a search: processes of this machine, here, or a Dask cluster (`ha.experiment.fuzz.dask`).

A simulation keeps its whole process busy, so each worker is a process. It is started afresh rather than forked, since
the one that searches runs trio. It lives as long as that one does; what it is doing when it is not wanted any more
dies with it, which is how a case that hangs is got rid of.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import Protocol, TypeVar

import trio

from ha.world.real.lifeline import die_with_parent

__all__ = ["WorkerLostError", "Workers", "processes"]

T = TypeVar("T")

_SPAWN = get_context("spawn")


class WorkerLostError(Exception):
    """A worker ended in the middle of its work; the message says how."""


class Workers(Protocol):
    """So many calls at once."""

    @property
    def count(self) -> int:
        """How many."""
        ...

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function of a module in some worker. It must not raise. Cancelled, the call is given up. Raises
        WorkerLostError.
        """
        ...


@asynccontextmanager
async def processes(count: int) -> AsyncIterator[Workers]:
    """Processes of this machine, started when they are needed; all are gone when the context is left."""
    workers = _Processes(count)
    try:
        yield workers
    finally:
        workers.close()


class _Processes:
    def __init__(self, count: int) -> None:
        self.count = count
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        worker = self._idle.pop() if self._idle else _Worker()
        self._busy.append(worker)
        try:
            answer: T = await worker.call(function, arguments)
        except BaseException:
            worker.end()
            raise
        else:
            self._idle.append(worker)
            return answer
        finally:
            self._busy.remove(worker)

    def close(self) -> None:
        for worker in (*self._idle, *self._busy):
            worker.end()


class _Worker:
    def __init__(self) -> None:
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs,), daemon=True)
        with _without_signals():
            self._process.start()
        theirs.close()

    async def call(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        try:
            self._connection.send((function, arguments))
            await trio.lowlevel.wait_readable(self._connection.fileno())
            answer: T = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise WorkerLostError(f"a worker process ended with exit code {self._process.exitcode}") from error
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._connection.close()


@contextmanager
def _without_signals() -> Iterator[None]:
    """What is started here never hears of Ctrl-C, which reaches every process of a terminal."""
    resource_tracker.ensure_running()  # now: with the first process that is started it unblocks these signals itself
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection) -> None:
    parent = parent_process()
    assert parent is not None, "it was started by one"
    assert parent.pid is not None, "which runs"
    die_with_parent(parent.pid)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        connection.send(function(*arguments))
