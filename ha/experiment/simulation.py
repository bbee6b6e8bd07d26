"""One run in the simulated world, from a scenario and a seed to a result: in virtual time, and always the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic  # noqa: TID251  (how long a simulation takes for real is a figure of its result)

import msgspec

from ha.cluster import NotReadyError, node_names, plan
from ha.experiment.failures import bare
from ha.experiment.judge import judge
from ha.experiment.recording import Listener, Recording
from ha.experiment.run import Observed, execute
from ha.history import Event, Operation, PhaseEvent
from ha.history.result import Run
from ha.mutants import planted
from ha.spec import Expect, Scenario
from ha.workload import NotSetUpError
from ha.world.lines import log_line
from ha.world.sim import SimWorld, StuckError, Trace, open_world, simulate

__all__ = ["HungError", "TraceRecord", "run_scenario"]


class HungError(Exception):
    """A component never waits, so virtual time stands still: nothing can be said of the run but that."""


class TraceRecord(msgspec.Struct, frozen=True):
    """What ``trace.json`` keeps of a simulation, to compare it with another of the same seed."""

    digest: str
    events: int
    marks: list[str]
    """The digest when each second of virtual time was over."""


class _Silent:
    def operation(self, operation: Operation) -> None:
        pass

    def event(self, event: Event) -> None:
        pass


def run_scenario(
    scenario: Scenario,
    *,
    seed: int,
    directory: Path | None = None,
    listener: Listener | None = None,
    repeat: str = "",
) -> tuple[Run, Trace]:
    """Simulate, judge. With a `directory` history, events, logs and ``trace.json`` are written there.

    A cluster that does not come up, with nothing yet done to it, fails: there is no slow machine to blame. Takes as
    long as it takes, and must not be called within trio. Raises EscapeError, HungError.
    """
    started, begun = datetime.now(UTC), monotonic()
    worlds: list[SimWorld] = []

    @asynccontextmanager
    async def opened(*, nodes: list[str], directory: Path | None, seed: int) -> AsyncIterator[SimWorld]:
        async with open_world(nodes=nodes, seed=seed) as world:
            worlds.append(world)
            try:
                yield world
            finally:
                if directory is not None:
                    _write_logs(world, directory)

    async def main() -> Run:
        with Recording(directory, listener or _Silent()) as recording:
            judged = scenario
            try:
                observed = await execute(scenario, open_world=opened, seed=seed, recording=recording)
            except (NotReadyError, NotSetUpError) as error:
                judged, observed = _never_up(scenario, worlds[0], recording, error)
            recording.event(PhaseEvent(at_s=recording.now_s(), phase="check"))
            return judge(judged, observed, recording, seed=seed, started=started, world="sim", repeat=repeat)

    try:
        with bare(), planted(scenario.mutant):
            run = simulate(main, seed=seed)
    except StuckError as error:
        raise HungError(f"a component never waits: {error}") from error
    trace = worlds[0].trace
    if directory is not None:
        record = TraceRecord(trace.digest(), trace.events, trace.marks)
        (directory / "trace.json").write_bytes(msgspec.json.encode(record))
    wall_s = round(monotonic() - begun, 3)
    result = msgspec.structs.replace(run.result, trace_digest=trace.digest(), wall_s=wall_s)
    return msgspec.structs.replace(run, result=result), trace


def _never_up(
    scenario: Scenario, world: SimWorld, recording: Recording, error: NotReadyError | NotSetUpError
) -> tuple[Scenario, Observed]:
    """What there is to judge of a cluster that never served: the undisturbed cluster, without a load."""
    addresses = {node: world.address(node) for node in node_names(scenario.topology)}
    layout = plan(scenario.topology, addresses, cluster_token="")
    now_s = recording.now_s()
    observed = Observed(
        plan=layout,
        ready_s=now_s,
        load_start_s=now_s,
        load_end_s=now_s,
        not_recovered=str(error),
        final_reads=[],
        arrivals={},
        memory_bytes={},
    )
    undisturbed = msgspec.structs.replace(scenario.experiment, faults=[], expect=Expect(), liveness=None)
    return msgspec.structs.replace(scenario, experiment=undisturbed), observed


def _write_logs(world: SimWorld, directory: Path) -> None:
    """``logs/<node>/<process>.log``, as in the real world but for the time: seconds of the simulation."""
    logs: dict[Path, list[bytes]] = {}
    for at_s, node, process, message, fields in world.logs:
        path = directory / "logs" / node / f"{process}.log"
        logs.setdefault(path, []).append(log_line(f"{at_s:.6f}", message, fields))
    for path, lines in logs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(lines))
