"""Rows, the catalogue of measures, and the speed of a simulation, measured."""

from pathlib import Path
from time import process_time
from typing import get_args

import msgspec
import pytest

from ha.check import linearizability
from ha.experiment.bench import bench
from ha.experiment.benchmarks import CannotMeasureError, histories, registry, row
from ha.history.benchmark import BenchmarkResult
from ha.spec import Benchmark, SimulationSpeed
from ha.spec.benchmarks import MEASURES, MeasureName
from ha.spec.load import load

SMALL = """\
apiVersion: ha/v1
kind: Benchmark
name: small
question: How fast is little?
measure: simulation-speed
rounds: 2
cases:
  - {name: a store, topology: etcd-3, timings: upstream, duration: 2s, at_least: 0.001}
  - {name: clients, topology: etcd-3, workloads: [{type: store, clients: 1, rate: 20}], duration: 1s, at_least: 1e9}
"""


class Told:
    def __init__(self) -> None:
        self.steps: list[tuple[int, int, str]] = []
        self.notes: list[str] = []

    def step(self, done: int, total: int, what: str) -> None:
        self.steps.append((done, total, what))

    def note(self, text: str) -> None:
        self.notes.append(text)


def benchmark(tmp_path: Path, text: str = SMALL) -> Benchmark:
    path = tmp_path / "small.yaml"
    path.write_text(text)
    spec = load(path)
    assert isinstance(spec, Benchmark)
    return spec


def test_catalogue_has_what_files_may_name() -> None:
    assert set(registry()) == set(get_args(MeasureName)) == set(MEASURES)


def test_row_holds_medians_and_the_median_of_the_ratios_of_each_round() -> None:
    """A machine that slows down in one round slows both: the ratio of that round is still right."""
    found = row("x", "1/s", [10.0, 40.0, 30.0], [100.0, 200.0, 300.0], at_least=30)
    assert (found.ours, found.reference, found.ratio, found.met) == (30.0, 200.0, 0.1, True)
    assert found.ours_rounds == [10.0, 40.0, 30.0]


@pytest.mark.parametrize(
    ("at_least", "at_most", "met"), [(None, None, None), (2.0, None, True), (2.1, None, False), (None, 1.9, False)]
)
def test_row_meets_its_target_by_its_median(at_least: float | None, at_most: float | None, met: object) -> None:
    found = row("x", "s", [1.0, 2.0, 30.0], at_least=at_least, at_most=at_most)
    assert found.met is met
    assert found.ratio is None


@pytest.mark.parametrize(("least", "met"), [(None, None), (0.1, True), (0.11, False)])
def test_row_may_have_a_target_for_its_ratio(least: float | None, met: object) -> None:
    found = row("x", "1/s", [10.0, 40.0, 30.0], [100.0, 200.0, 300.0], ratio_at_least=least)
    assert (found.ratio_at_least, found.met) == (least, met)
    assert row("x", "1/s", [10.0], [100.0], at_least=11, ratio_at_least=0.1).met is False


@pytest.mark.parametrize(("most", "met"), [(0.1, True), (0.09, False)])
def test_row_may_have_an_upper_target_for_its_ratio(most: float, met: object) -> None:
    found = row("x", "s", [10.0, 40.0, 30.0], [100.0, 200.0, 300.0], ratio_at_most=most)
    assert (found.ratio_at_most, found.met) == (most, met)


def test_speed_of_a_simulation_is_measured_beside_the_bare_loop_and_profiled(tmp_path: Path) -> None:
    told = Told()
    result = bench(benchmark(tmp_path), jobs=1, listener=told, directory=tmp_path, repeat="ha bench small.yaml")
    assert [r.name for r in result.rows] == ["a store", "clients"]
    assert [r.met for r in result.rows] == [True, False]
    assert result.targets_met is False
    for found in result.rows:
        assert len(found.ours_rounds) == len(found.reference_rounds) == 2
        assert found.reference is not None
        assert 0 < found.ours < 20 * found.reference, "what works is not that much faster than what does nothing"
    made_of, *profiles = result.tables
    assert made_of.rows[0][0] == "a store"
    steps_per_s = made_of.rows[0][1]
    assert isinstance(steps_per_s, int)
    assert steps_per_s > 40, "heartbeats alone are more"
    assert [profile.title for profile in profiles] == ["What costs most: a store", "What costs most: clients"]
    assert any("trio/_core" in str(line[0]) for line in profiles[0].rows)
    assert [step[:2] for step in told.steps] == [(i, 6) for i in range(6)]
    assert result.parameters["cases"][0]["at_least"] == 0.001  # type: ignore[index]
    assert msgspec.json.decode(msgspec.json.encode(result), type=BenchmarkResult) == result


def test_cluster_that_does_not_come_up_cannot_be_measured(tmp_path: Path) -> None:
    spec = benchmark(tmp_path)
    assert isinstance(spec, SimulationSpeed)
    (shape,) = spec.topologies.values()
    hopeless = msgspec.structs.replace(shape.timings, etcd_heartbeat=100.0, etcd_election=500.0)
    case = msgspec.structs.replace(spec.cases[0], timings=None)
    topologies = {"etcd-3": msgspec.structs.replace(shape, timings=hopeless)}
    spec = msgspec.structs.replace(spec, cases=[case], topologies=topologies)
    with pytest.raises(CannotMeasureError, match="etcd-3 did not come up"):
        bench(spec, jobs=1, listener=Told(), directory=tmp_path, repeat="")


def test_planted_bugs_are_searched_and_scored(tmp_path: Path) -> None:
    text = """\
apiVersion: ha/v1
kind: Benchmark
name: scores
question: Is it found?
measure: mutants
topology: etcd-3
mutants: [lost-compare, stale-read]
rounds: 1
within: 60s
shrink: 5s
"""
    told = Told()
    result = bench(benchmark(tmp_path, text), jobs=1, listener=told, directory=tmp_path, repeat="ha bench small.yaml")
    assert [r.name for r in result.rows[:2]] == ["lost-compare", "stale-read"]
    (scores,) = result.tables
    assert [line[0] for line in scores.rows] == ["lost-compare", "stale-read"]
    assert scores.rows[0][1:3] == ["store-model", "1 of 1"]
    assert len(told.steps) == 2


CHECKER = """\
apiVersion: ha/v1
kind: Benchmark
name: quick
question: How long?
measure: checker
rounds: 2
recorded_from: Somebody, once.
cases:
  - {operations: 300}
  - {operations: 3000, at_most: 60s, memory_at_most_mib: 0.001, growth_at_most: 1000, recorded: a while}
  - {operations: 300, tells: values}
"""


def test_checker_is_measured_beside_what_was_recorded(tmp_path: Path) -> None:
    result = bench(benchmark(tmp_path, CHECKER), jobs=1, listener=Told(), directory=tmp_path, repeat="")
    assert [(r.name, r.unit, r.met) for r in result.rows] == [
        ("300, revisions: time", "ms of a core", None),
        ("300, revisions: memory", "MiB", None),
        ("3,000, revisions: time", "ms of a core", True),
        ("3,000, revisions: memory", "MiB", False),
        ("3,000, revisions: beside a tenth", "x", True),
        ("300, values: time", "ms of a core", None),
        ("300, values: memory", "MiB", None),
    ]
    assert all(r.ours > 0 and r.reference is None for r in result.rows)
    judged, recorded = result.tables
    assert [line[1] for line in judged.rows][:2] == ["by revision", "by revision"]
    assert str(judged.rows[2][1]).startswith("by search")
    assert [line[:2] for line in recorded.rows] == [["3,000, revisions", "a while"]]
    assert recorded.note.startswith("Not measured now")
    assert recorded.note.endswith("Somebody, once.")


def test_hundred_thousand_operations_take_a_fraction_of_a_second() -> None:
    """Of a processor: others may use the machine as well. It is a tenth of that where nobody does."""
    columns = histories.as_columns(100_000, seed=1)
    begun_s = process_time()
    assert linearizability.check_columns(columns).verdict is True
    assert process_time() - begun_s < 0.5


def test_made_up_histories_are_what_they_say() -> None:
    calls = histories.as_calls(20_000, seed=3)
    shares = {type_: sum(call.type == type_ for call in calls) / len(calls) for type_ in ("read", "write", "cas")}
    assert shares == pytest.approx({"read": 0.5, "write": 0.35, "cas": 0.15}, abs=0.015)
    assert sum(call.outcome == "info" for call in calls) / len(calls) == pytest.approx(0.01, abs=0.003)
    assert sum(call.outcome == "fail" for call in calls) > 100
    assert len({call.client for call in calls}) == 20
    assert len({call.key for call in calls}) == 100
    assert calls == histories.as_calls(20_000, seed=3) != histories.as_calls(20_000, seed=4)
    columns = histories.as_columns(20_000, seed=3)
    assert columns.start_s.tolist() == [call.start for call in calls]
    assert linearizability.check_columns(columns).method == "by revision"
