"""The search over many seeds, with workers that answer what the test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from ha.experiment.fuzz import trial
from ha.experiment.fuzz.cases import Space, cases
from ha.experiment.fuzz.drawing import draw
from ha.experiment.fuzz.search import Failure, Limits, Tally, search
from ha.experiment.fuzz.trial import Judged, Shrunk
from ha.experiment.fuzz.workers import WorkerLostError
from ha.spec import Topology
from ha.spec.load import load, resolve

_TOPOLOGY = load(resolve("etcd-3"))
assert isinstance(_TOPOLOGY, Topology)
SPACE = Space(topology=_TOPOLOGY)


class Workers:
    """Each case takes a second; `failing` names the kinds of those that fail."""

    def __init__(self, failing: dict[int, list[str]] | None = None, *, count: int = 1, case_s: float = 1.0) -> None:
        self.count, self.case_s = count, case_s
        self.failing = failing or {}
        self.asked: list[tuple[str, int]] = []
        self.lost: set[int] = set()
        self.given_up: list[int] = []

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        _, seed, *_ = arguments
        self.asked.append((function.__name__, seed))
        try:
            await trio.sleep(self.case_s)
        except trio.Cancelled:
            self.given_up.append(seed)
            raise
        if seed in self.lost:
            raise WorkerLostError("ended with exit code -9")
        judged = self._judged(seed)
        if function is trial.judge:
            return judged
        assert function is trial.shrink
        return Shrunk(scenario=draw(cases(SPACE, seed), seed), judged=judged, tried=7, repeats=True)

    def _judged(self, seed: int) -> Judged:
        kinds = self.failing.get(seed, [])
        verdict = "fail" if kinds else "pass"
        features = frozenset({seed % 3})
        return Judged(
            seed=seed, verdict=verdict, kinds=kinds, reason="Because.", virtual_s=10.0, struck=2, features=features
        )


class Heard:
    def __init__(self) -> None:
        self.said: list[str] = []

    def found(self, judged: Judged) -> None:
        self.said.append(f"found {judged.seed}")

    def failure(self, failure: Failure) -> None:
        self.said.append(f"failure {failure.seed}")


async def searched(workers: Workers, limits: Limits, directory: Path = Path("/nowhere")) -> tuple[Tally, Heard]:
    tally, heard = Tally(), Heard()

    def write(number: int, failure: Failure, text: str) -> Path:
        path = directory / f"{number}-{failure.seed}.yaml"
        path.write_text(text)
        return path

    await search(SPACE, limits, workers=workers, tally=tally, listener=heard, write=write)
    return tally, heard


async def test_every_seed_is_run_once_from_the_first_on(autojump_clock: trio.abc.Clock) -> None:
    workers = Workers(count=3)
    tally, _ = await searched(workers, Limits(first_seed=5, seeds=10))
    assert sorted(workers.asked) == [("judge", seed) for seed in range(5, 15)]
    assert (tally.seeds, tally.virtual_s, tally.struck, tally.features) == (10, 100.0, 20, {0, 1, 2})
    assert tally.failures == []
    assert tally.wall_s == pytest.approx(4.0)


async def test_a_budget_ends_the_search_and_gives_up_what_is_under_way(autojump_clock: trio.abc.Clock) -> None:
    workers = Workers()
    tally, _ = await searched(workers, Limits(budget_s=4.5))
    assert tally.seeds == 4
    assert workers.given_up == [4]


async def test_the_first_failure_is_shrunk_and_written_and_ends_the_search(
    autojump_clock: trio.abc.Clock, tmp_path: Path
) -> None:
    workers = Workers({2: ["durability", "crash"], 3: ["crash"]})
    tally, heard = await searched(workers, Limits(seeds=10), tmp_path)
    assert workers.asked == [("judge", 0), ("judge", 1), ("judge", 2), ("shrink", 2)]
    [failure] = tally.failures
    assert (failure.seed, failure.kinds, failure.tried, failure.nodes) == (2, ["durability", "crash"], 7, 1)
    assert failure.repro == str(tmp_path / "0-2.yaml")
    assert heard.said == ["found 2", "failure 2"]
    assert load(tmp_path / "0-2.yaml") == draw(cases(SPACE, 2), 2)
    assert (tmp_path / "0-2.yaml").read_text().startswith("# Found by ha fuzz, seed 2: fail, convicted by durability")


async def test_what_others_found_meanwhile_counts_as_well(autojump_clock: trio.abc.Clock, tmp_path: Path) -> None:
    workers = Workers({0: ["durability"], 1: ["crash"]}, count=2)
    tally, _ = await searched(workers, Limits(seeds=10), tmp_path)
    assert sorted(failure.seed for failure in tally.failures) == [0, 1]
    assert tally.seeds == 2


async def test_going_on_shrinks_the_first_failure_of_each_kind(autojump_clock: trio.abc.Clock, tmp_path: Path) -> None:
    workers = Workers({1: ["crash"], 2: ["crash"], 4: ["durability"]})
    tally, _ = await searched(workers, Limits(seeds=6, keep_going=True), tmp_path)
    assert [seed for what, seed in workers.asked if what == "shrink"] == [1, 4]
    assert tally.seeds == 6
    assert [(failure.seed, failure.repro is None) for failure in tally.failures] == [(1, False), (2, True), (4, False)]


async def test_a_lost_worker_is_a_defect_and_the_search_goes_on(autojump_clock: trio.abc.Clock) -> None:
    workers = Workers()
    workers.lost.add(1)
    tally, _ = await searched(workers, Limits(seeds=3, keep_going=True))
    assert [(f.seed, f.verdict, f.kinds) for f in tally.failures] == [(1, "defect", ["worker-lost"])]
    assert tally.seeds == 3


async def test_a_case_that_does_not_end_is_given_up_as_a_defect(autojump_clock: trio.abc.Clock) -> None:
    workers = Workers(case_s=10_000.0)
    tally, _ = await searched(workers, Limits(seeds=1))
    assert [(f.verdict, f.kinds) for f in tally.failures] == [("defect", ["hangs"])]
    assert workers.given_up == [0]
