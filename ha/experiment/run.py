"""One run: bring a cluster up, put clients on it, break it, heal it, look at what is left, take it down.

The phases are ``up``, ``load``, ``faults``, ``core`` (see `ha.experiment.liveness`), ``recovery``, ``check`` and
``down``. The cluster is gone when `execute` returns or raises, whatever happened. Judging what was recorded is
`ha.experiment.judge`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec
import trio

from ha.chaos import Injector
from ha.cluster import Cluster, NotReadyError, Observer, Plan, View, node_names, plan
from ha.experiment.failures import bare
from ha.experiment.final import Final
from ha.experiment.liveness import wait_serving
from ha.experiment.recording import Recording
from ha.history import ComponentExit, Operation, PhaseEvent
from ha.history.result import ArrivalCounts
from ha.spec import Experiment, Scenario
from ha.workload import Arrivals, Load
from ha.world import Host, World

__all__ = ["Observed", "OpenWorld", "execute"]

_READY_LIMIT_S = 60.0


class OpenWorld(Protocol):
    """Opens a world with the given nodes; closing it leaves nothing running."""

    def __call__(self, *, nodes: list[str], directory: Path | None, seed: int) -> AbstractAsyncContextManager[World]:
        """Open it."""
        ...


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run is judged by, beside the recording."""

    plan: Plan
    ready_s: float
    load_start_s: float
    load_end_s: float
    core_failed: str | None = None
    """Why the healed core did not serve while the rest was broken; None when it did, or need not."""
    not_recovered: str | None
    """What was missing when the healed cluster did not become ready again; None when it did."""
    final_reads: list[Operation]
    """A consistent read of every key after the cluster was healed; empty when it was not."""
    arrivals: dict[str, ArrivalCounts]
    memory_bytes: dict[str, int]


async def execute(scenario: Scenario, *, open_world: OpenWorld, seed: int, recording: Recording) -> Observed:
    """Run a scenario. Raises NotReadyError when the cluster did not come up, NotSetUpError when it served nobody."""
    nodes = list(node_names(scenario.topology))
    with bare():
        return await _execute(scenario, nodes, open_world, seed, recording)


async def _execute(
    scenario: Scenario, nodes: list[str], open_world: OpenWorld, seed: int, recording: Recording
) -> Observed:
    async with open_world(nodes=nodes, directory=recording.directory, seed=seed) as world:
        addresses = {node: world.address(node) for node in nodes}
        layout = plan(scenario.topology, addresses, cluster_token=f"ha-{seed}")
        run = _Run(world, layout, scenario.experiment, recording)
        observed = await run.run()
        run.phase("down")
    return observed


class _Run:
    def __init__(self, world: World, layout: Plan, experiment: Experiment, recording: Recording) -> None:
        self._world = world
        self._plan = layout
        self._experiment = experiment
        self._recording = recording
        self._cluster = Cluster(world, layout)

    async def run(self) -> Observed:
        async with self._world.client("run") as host, self._watched(host):
            ready_s, memory = await self._up(host)
            async with self._world.client("load") as load_host:
                load = Load(
                    self._experiment.workloads,
                    host=load_host,
                    server=self._plan.endpoint,
                    members=self._plan.members,
                    record=self._recording.operation,
                    record_watch=self._recording.watch,
                    now_s=self._recording.now_s,
                    timeout_s=self._plan.topology.timings.client_timeout,
                )
                self.phase("load")
                await load.set_up()
                start_s = self._recording.now_s()
                end_s, core_failed = await self._break(host, load)
                asked_s = self._recording.now_s() - start_s
                not_recovered = await self._recover(host)
                final_reads = await self._look(host, load) if not_recovered is None else []
        return Observed(
            plan=self._plan,
            ready_s=ready_s,
            load_start_s=start_s,
            load_end_s=end_s,
            core_failed=core_failed,
            not_recovered=not_recovered,
            final_reads=final_reads,
            arrivals={name: _counted(arrivals, asked_s) for name, arrivals in load.arrivals.items()},
            memory_bytes=memory,
        )

    @asynccontextmanager
    async def _watched(self, host: Host) -> AsyncIterator[None]:
        """Init systems and observers, in the background."""
        record, poll_s = self._recording, self._experiment.observe_s
        observer = Observer(host, self._plan, emit=record.event, now_s=record.now_s, poll_s=poll_s)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._cluster.supervise)
            nursery.start_soon(self._record_exits)
            nursery.start_soon(observer.run)
            yield
            nursery.cancel_scope.cancel()

    async def _up(self, host: Host) -> tuple[float, dict[str, int]]:
        self.phase("up")
        await self._cluster.boot_all()
        await self._cluster.wait_ready(host, timeout_s=_READY_LIMIT_S)
        ready_s = self._recording.now_s()
        return ready_s, await self._world.memory_bytes()

    async def _break(self, host: Host, load: Load) -> tuple[float, str | None]:
        """The load runs for its time under the schedule of faults, and on while a core is healed, if the experiment
        has one. Returns when its time was over, and why the core did not serve.
        """
        self.phase("faults")
        view, record = View(host, self._plan), self._recording
        core_failed: str | None = None
        end_s = 0.0

        async def heal_core() -> None:
            nonlocal core_failed, end_s
            end_s = record.now_s()
            liveness = self._experiment.liveness
            if liveness is not None:
                self.phase("core")
                await injector.heal(liveness.core)
                timeout_s = self._plan.topology.timings.client_timeout
                core_failed = await wait_serving(liveness, self._cluster, host, record, timeout_s=timeout_s)

        # A host of its own, for its stream of randomness: what others draw depends on timing, and the same seed must
        # pick the same victims.
        async with self._world.client("chaos") as chaos, load.running():
            injector = Injector(self._cluster, view, chaos.random, emit=record.event, now_s=record.now_s)
            duration_s = self._experiment.duration_s
            await injector.run(self._experiment.faults, load_s=duration_s, afterwards=heal_core)
        return end_s, core_failed

    async def _recover(self, host: Host) -> str | None:
        self.phase("recovery")
        longest_s = self._plan.topology.timings.container_backoff_max  # of a component that was killed again and again
        try:
            await self._cluster.wait_ready(host, timeout_s=_READY_LIMIT_S + longest_s)
        except NotReadyError as error:
            return str(error)
        return None

    async def _look(self, host: Host, load: Load) -> list[Operation]:
        """What is left of everything that was written, and whether it is the same everywhere."""
        final_reads = await load.read_back()
        record = self._recording
        final = Final(host, self._world, self._plan, emit=record.event, now_s=record.now_s)
        await final.look(final_reads)
        return final_reads

    async def _record_exits(self) -> None:
        async for node, exited in self._world.exits():
            self._recording.event(
                ComponentExit(
                    at_s=self._recording.now_s(),
                    node=node,
                    process=exited.name,
                    pid=exited.pid,
                    code=exited.code,
                    signal=exited.signal,
                )
            )

    def phase(self, name: str) -> None:
        """Enter a phase."""
        self._recording.event(PhaseEvent(at_s=self._recording.now_s(), phase=name))


def _counted(arrivals: Arrivals, load_s: float) -> ArrivalCounts:
    return ArrivalCounts(
        rate_per_s=arrivals.rate_per_s,
        due=None if arrivals.rate_per_s is None else round(arrivals.rate_per_s * load_s),
        taken=arrivals.taken,
        late=arrivals.late,
        lateness_max_s=arrivals.lateness_s_max,
    )
