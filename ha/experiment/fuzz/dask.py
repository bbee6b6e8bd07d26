"""A Dask cluster as the workers of a search, so that it outgrows one machine on an engine that exists.

Its workers must have the same version of this package, and run one task at a time (``--nthreads 1``): a simulation
patches its whole process. Those with more threads take turns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from threading import Lock  # noqa: TID251  (Dask's workers have threads, whether we want them or not)
from typing import Any, TypeVar

import trio

import ha
from ha.experiment.fuzz.workers import WorkerLostError, Workers

__all__ = ["ClusterError", "cluster"]

T = TypeVar("T")

_CONNECT_S = 10.0
_turn = Lock()


class ClusterError(Exception):
    """The cluster cannot be used; the message says why, and what to do."""


@asynccontextmanager
async def cluster(address: str) -> AsyncIterator[Workers]:
    """The workers of the scheduler at an address (``tcp://host:8786``). Raises ClusterError."""
    client = await trio.to_thread.run_sync(_connect, address)
    try:
        count = await trio.to_thread.run_sync(_count_workers, client)
        yield _Cluster(client, count)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(client.close)


def _connect(address: str) -> Any:  # noqa: ANN401  (a Client of an optional package)
    try:
        from distributed import Client  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise ClusterError("--cluster needs Dask: install ha-testbed[cluster]") from error
    try:
        return Client(address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}: {error}") from error


def _count_workers(client: Any) -> int:  # noqa: ANN401
    count: int = sum(client.nthreads().values())
    if not count:
        raise ClusterError("the Dask cluster has no workers")
    try:
        versions = set(client.run(_version).values())
    except Exception as error:
        raise ClusterError(f"the workers of the Dask cluster cannot import ha-testbed: {error}") from error
    if versions != {ha.__version__}:
        found = ", ".join(sorted(versions))
        raise ClusterError(f"the workers of the Dask cluster have ha-testbed {found}, not {ha.__version__}")
    return count


class _Cluster:
    def __init__(self, client: Any, count: int) -> None:  # noqa: ANN401
        self.count = count
        self._client = client
        self._token = trio.lowlevel.current_trio_token()

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        future = self._client.submit(_in_turn, function, arguments, pure=False)
        done = trio.Event()

        def tell(_: object) -> None:  # in a thread of Dask's
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(done.set)

        future.add_done_callback(tell)
        try:
            await done.wait()
            answer: T = await trio.to_thread.run_sync(future.result)
        except Exception as error:
            raise WorkerLostError(f"a worker of the Dask cluster failed: {error}") from error
        finally:
            future.cancel()
        return answer


def _version() -> str:
    return ha.__version__


def _in_turn(function: Callable[..., T], arguments: tuple[object, ...]) -> T:
    with _turn:
        return function(*arguments)
