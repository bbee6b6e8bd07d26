"""One run in the simulated world, from a scenario and a seed to a result: in virtual time, and always the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ha.experiment.judge import judge
from ha.experiment.recording import Listener, Recording
from ha.experiment.run import execute
from ha.history import Event, Operation, PhaseEvent
from ha.history.result import Run
from ha.spec import Scenario
from ha.world.sim import SimWorld, Trace, open_world, simulate

__all__ = ["run_scenario"]


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
    started: datetime | None = None,
    repeat: str = "",
) -> tuple[Run, Trace]:
    """Simulate, judge. With a `directory` history, events and logs are written there. Takes as long as it takes, and
    must not be called within trio. Raises NotReadyError, NotSetUpError, EscapeError.
    """
    worlds: list[SimWorld] = []

    @asynccontextmanager
    async def opened(*, nodes: list[str], directory: Path | None, seed: int) -> AsyncIterator[SimWorld]:
        async with open_world(nodes=nodes, seed=seed) as world:
            worlds.append(world)
            try:
                yield world
            finally:
                if directory is not None:
                    write_logs(world, directory)

    async def main() -> Run:
        with Recording(directory, listener or _Silent()) as recording:
            observed = await execute(scenario, open_world=opened, seed=seed, recording=recording)
            recording.event(PhaseEvent(at_s=recording.now_s(), phase="check"))
            return judge(
                scenario,
                observed,
                recording,
                seed=seed,
                started=started or datetime.now(UTC),
                world="sim",
                repeat=repeat,
            )

    run = simulate(main, seed=seed)
    trace = worlds[0].trace
    result = msgspec.structs.replace(run.result, trace_digest=trace.digest())
    return msgspec.structs.replace(run, result=result), trace


def write_logs(world: SimWorld, directory: Path) -> None:
    """``logs/<node>/<process>.log``, as in the real world but for the time: seconds of the simulation."""
    logs: dict[Path, list[str]] = {}
    for at_s, node, process, message, fields in world.logs:
        words = [f"{at_s:.6f}", message, *(f"{name}={value!r}" for name, value in fields.items())]
        logs.setdefault(directory / "logs" / node / f"{process}.log", []).append(" ".join(words))
    for path, lines in logs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")
