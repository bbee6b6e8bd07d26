"""All workloads of an experiment, as one load: set up, run while something else happens, read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from ha.history import Operation
from ha.history.watch import WatchRecord
from ha.spec import Workload
from ha.workload.catalogue import Driver, registry
from ha.workload.context import Context, NotSetUpError
from ha.workload.pacing import Arrivals
from ha.workload.recorder import Recorder
from ha.world import Address, Host

__all__ = ["PATIENCE_S", "Load"]

PATIENCE_S = 60.0


class Load:
    """The clients of a run. They reach the cluster at `server` (None: there is no API), and the etcd members at
    `members`; each request is bounded by `timeout_s`.

    `record` gets every operation as it ends, `record_watch` whatever a watcher is told; `now_s` is the run's clock. The
    workloads are named after their type, the second of a type ``register-2`` and so on.
    """

    def __init__(
        self,
        workloads: Sequence[Workload],
        *,
        host: Host,
        server: Address | None,
        members: Mapping[str, Address],
        record: Callable[[Operation], None],
        record_watch: Callable[[WatchRecord], None],
        now_s: Callable[[], float],
        timeout_s: float,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._recorder = Recorder(record, now_s)
        self._workloads = dict(zip(_names(workloads), workloads, strict=True))
        self._arrivals: dict[str, Arrivals] = {}
        kinds = registry()
        self._drivers: dict[str, Driver] = {
            name: kinds[spec.type].drive(
                Context(
                    name=name,
                    spec=spec,
                    workloads=self._workloads,
                    host=host,
                    server=server,
                    members=members,
                    recorder=self._recorder,
                    record_watch=record_watch,
                    timeout_s=timeout_s,
                    patience_s=patience_s,
                )
            )
            for name, spec in self._workloads.items()
        }

    async def set_up(self) -> None:
        """Create what all workloads need, at once. Raises NotSetUpError."""
        failures: list[NotSetUpError] = []

        async def one(driver: Driver) -> None:
            try:
                await driver.set_up()
            except NotSetUpError as error:
                failures.append(error)

        await self._with_all(one)
        if failures:
            raise failures[0]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The clients ask while the body runs. Leaving waits for outstanding answers, `timeout_s` at most; when
        it is left by an exception or a cancellation, what is outstanding is recorded as unknown.
        """
        until = trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                for name, driver in self._drivers.items():
                    self._arrivals[name] = Arrivals(self._workloads[name].rate_per_s)
                    nursery.start_soon(driver.run, self._arrivals[name], until)
                yield
                until.set()
        finally:
            self._recorder.flush()

    async def read_back(self) -> list[Operation]:
        """Consistent reads of everything that was written, once the cluster healed: `final_reads` of the
        durability check. They are recorded, too. A key that was never answered is missing.
        """
        final: list[Operation] = []

        async def one(driver: Driver) -> None:
            final.extend(await driver.read_back())

        await self._with_all(one)
        return sorted(final, key=lambda read: (read.workload, read.key))

    async def _with_all(self, work: Callable[[Driver], Awaitable[None]]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for driver in self._drivers.values():
                    nursery.start_soon(work, driver)
        finally:
            self._recorder.flush()

    def counters(self) -> Mapping[str, int]:
        """Operations so far, by outcome."""
        return self._recorder.counts

    @property
    def arrivals(self) -> Mapping[str, Arrivals]:
        """By workload, since it runs: how many arrivals there were, how many were late and by how much."""
        return self._arrivals


def _names(workloads: Sequence[Workload]) -> list[str]:
    seen: Counter[str] = Counter()
    names: list[str] = []
    for workload in workloads:
        seen[workload.type] += 1
        number = seen[workload.type]
        names.append(workload.type if number == 1 else f"{workload.type}-{number}")
    return names
