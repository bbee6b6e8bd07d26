"""How fast a simulation is: virtual seconds for each second that one core is busy with it.

A simulation is one task after the other and never waits, so on a core of its own these are seconds of real time; what
else a machine does meanwhile is not counted. What is measured is the cost of all components together, on what
`ha run --world sim` does while the load runs, observers and recording included. The same seed does the same work in
each round, so a first run tells how many task steps that is, and what costs most. The reference is trio's own virtual
time with as many steps of tasks that do nothing: what remains of the ratio is ours.
"""

from __future__ import annotations

import cProfile
from pathlib import Path
from statistics import median
from time import perf_counter, process_time  # noqa: TID251  (real time is what is measured)

import msgspec
import trio
import trio.testing

from ha.experiment.benchmarks import CannotMeasureError, Listener, Measure, Measured, row
from ha.experiment.benchmarks.profile import profile_table
from ha.experiment.simulation import HungError, run_scenario
from ha.history import Event, Operation, PhaseEvent
from ha.history.benchmark import FigureTable
from ha.spec import Scenario, SimulationCase, SimulationSpeed
from ha.world.sim import EscapeError

__all__ = ["MEASURE"]

_UNIT = "virtual s / core s"
_BARE_TASKS = 100


class _Look(trio.abc.Instrument):
    """Looks closely at the load: counts task steps, profiles."""

    def __init__(self) -> None:
        self.steps = 0
        self.profiler = cProfile.Profile()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002  (trio's signature)
        """See `trio.abc.Instrument`."""
        self.steps += 1

    def begin(self) -> None:
        trio.lowlevel.add_instrument(self)
        self.profiler.enable()

    def end(self) -> None:
        self.profiler.disable()
        trio.lowlevel.remove_instrument(self)


class _Watch:
    """Measures a run while its load runs, and tells nobody of what happens."""

    def __init__(self, look: _Look | None = None) -> None:
        self._look = look
        self.virtual_s = 0.0
        self.wall_s = 0.0
        self.cpu_s = 0.0

    def operation(self, operation: Operation) -> None:
        """See `ha.experiment.recording.Listener`."""

    def event(self, event: Event) -> None:
        """See `ha.experiment.recording.Listener`."""
        if not isinstance(event, PhaseEvent):
            return
        if event.phase == "faults":
            self.virtual_s -= event.at_s
            if self._look is not None:
                self._look.begin()
            self.cpu_s -= process_time()
            self.wall_s -= perf_counter()
        elif event.phase == "recovery":
            self.wall_s += perf_counter()
            self.cpu_s += process_time()
            self.virtual_s += event.at_s
            if self._look is not None:
                self._look.end()


class _Timed(msgspec.Struct, frozen=True):
    """A case, with what is known of it after the first run."""

    spec: SimulationCase
    scenario: Scenario
    look: _Look
    virtual_s: float
    ours: list[float] = []
    reference: list[float] = []
    core_shares: list[float] = []


def _measure(spec: SimulationSpeed, _jobs: int, listener: Listener, _directory: Path) -> Measured:
    total = len(spec.cases) * (spec.rounds + 1)
    cases: list[_Timed] = []
    for case in spec.cases:
        listener.step(len(cases), total, f"profile: {case.name}")
        cases.append(_looked_at(spec, case))
    for i in range(spec.rounds):
        for j, timed in enumerate(cases):
            listener.step((i + 1) * len(cases) + j, total, f"round {i + 1}: {timed.spec.name}")
            watch = _simulated(timed.scenario, spec.seed)
            timed.ours.append(watch.virtual_s / watch.cpu_s)
            timed.core_shares.append(watch.cpu_s / watch.wall_s)
            timed.reference.append(watch.virtual_s / _bare_s(timed.look.steps, watch.virtual_s))
            listener.note(f"{timed.spec.name}: {timed.ours[-1]:.1f} {_UNIT}, bare loop {timed.reference[-1]:.0f}")
    return Measured(
        rows=[
            row(timed.spec.name, _UNIT, timed.ours, timed.reference, at_least=timed.spec.at_least) for timed in cases
        ],
        tables=[_costs(cases), *(_profile(timed) for timed in cases)],
    )


def _looked_at(spec: SimulationSpeed, case: SimulationCase) -> _Timed:
    scenario = Scenario(name="speed", topology=case.shape(spec.topologies), experiment=case.experiment())
    look = _Look()
    watch = _simulated(scenario, spec.seed, look)
    return _Timed(spec=case, scenario=scenario, look=look, virtual_s=watch.virtual_s)


def _simulated(scenario: Scenario, seed: int, look: _Look | None = None) -> _Watch:
    watch = _Watch(look)
    try:
        run, _ = run_scenario(scenario, seed=seed, listener=watch)
    except (EscapeError, HungError) as error:
        raise CannotMeasureError(str(error)) from error
    if not watch.virtual_s > 0:
        raise CannotMeasureError(f"the cluster of {scenario.topology.name} did not come up: {run.result.reason}")
    return watch


def _bare_s(steps: int, virtual_s: float) -> float:
    """Seconds of a core for so many steps of tasks that do nothing but wait, spread evenly over the virtual time."""
    each = max(1, steps // _BARE_TASKS)

    async def idle(first_s: float) -> None:
        for i in range(each):
            await trio.sleep_until(first_s + i * virtual_s / each)

    async def main() -> float:
        begun = process_time()
        async with trio.open_nursery() as nursery:
            for i in range(_BARE_TASKS):
                nursery.start_soon(idle, virtual_s * (i + 1) / steps)
        return process_time() - begun

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def _costs(cases: list[_Timed]) -> FigureTable:
    rows: list[list[str | float | int | None]] = []
    for timed in cases:
        speed = median(timed.ours)
        steps_per_s = timed.look.steps / timed.virtual_s
        share = 100 * median(timed.core_shares)
        rows.append([timed.spec.name, round(steps_per_s), round(1e6 / speed / steps_per_s, 1), round(share)])
    return FigureTable(
        title="What they are made of",
        note="Of the real time that it took, a core was busy with it for the share in the last column.",
        columns=["", "task steps / virtual s", "µs / step", "% of a core"],
        rows=rows,
    )


def _profile(timed: _Timed) -> FigureTable:
    title = f"What costs most: {timed.spec.name}"
    return profile_table(timed.look.profiler, title, per="virtual s", amount=timed.virtual_s)


MEASURE = Measure(
    name="simulation-speed",
    reference="trio's event loop in virtual time with as many task steps, of tasks that do nothing",
    measure=_measure,
)
