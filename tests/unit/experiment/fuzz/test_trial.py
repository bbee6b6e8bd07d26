"""Judging and shrinking, with a world that fails by a rule instead of a simulation."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ha.experiment.fuzz import trial
from ha.experiment.fuzz.cases import Space
from ha.history import PhaseEvent
from ha.spec import Scenario, Topology
from ha.spec.load import load, resolve
from ha.world.sim import EscapeError

_TOPOLOGY = load(resolve("stacked-3"))
assert isinstance(_TOPOLOGY, Topology)
SPACE = Space(topology=_TOPOLOGY)


def _world(monkeypatch: pytest.MonkeyPatch, convict: Callable[[Scenario], list[str]]) -> list[Scenario]:
    """Cases come to what `convict` says; returns those that were run."""
    ran: list[Scenario] = []

    def run_scenario(scenario: Scenario, *, seed: int) -> tuple[Any, None]:
        assert seed == scenario.seed
        ran.append(scenario)
        kinds = convict(scenario)
        result = SimpleNamespace(
            verdict="fail" if kinds else "pass",
            convicted_by=kinds,
            reason="Because.",
            duration_s=3.0,
            trace_digest=str(hash(str(scenario))),
            faults=[],
        )
        return SimpleNamespace(result=result, events=[PhaseEvent(at_s=0, phase="up")], operations=[]), None

    monkeypatch.setattr(trial, "run_scenario", run_scenario)
    return ran


def _two_members_killed(scenario: Scenario) -> list[str]:
    kills = sum(fault.fault == "kill" for fault in scenario.experiment.faults)
    return ["durability"] if kills >= 2 else ["crash"] if kills else []


def _first(kind: str) -> int:
    return next(seed for seed in range(100) if kind in trial.judge(SPACE, seed).kinds)


def test_a_failure_is_shrunk_to_the_faults_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = _world(monkeypatch, _two_members_killed)
    seed = _first("durability")
    ran.clear()
    shrunk = trial.shrink(SPACE, seed, "durability", 60.0)
    faults = shrunk.scenario.experiment.faults
    assert [fault.fault for fault in faults] == ["kill", "kill"]
    assert sum(group.count for group in shrunk.scenario.topology.nodes) <= 3
    assert shrunk.scenario.seed == seed
    assert shrunk.judged.kinds == ["durability"], "and not the crash that a simpler case comes to"
    assert shrunk.repeats
    assert len({str(case) for case in ran}) == len(ran) - 1, "no case is run twice but the last, to see that it repeats"
    assert shrunk.tried == len(ran) - 1


def test_shrinking_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def convict(scenario: Scenario) -> list[str]:
        now[0] += 1.0
        return _two_members_killed(scenario)

    monkeypatch.setattr(trial, "monotonic", lambda: now[0])
    ran = _world(monkeypatch, convict)
    seed = _first("durability")
    ran.clear()
    shrunk = trial.shrink(SPACE, seed, "durability", 10.0)
    assert len(ran) <= 13
    assert "durability" in shrunk.judged.kinds


def test_an_error_of_the_testbed_is_a_defect_of_its_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def convict(scenario: Scenario) -> list[str]:
        if any(fault.fault == "pause" for fault in scenario.experiment.faults):
            raise EscapeError("time.time was called")
        return []

    _world(monkeypatch, convict)
    seed = _first("EscapeError")
    judged = trial.judge(SPACE, seed)
    assert (judged.verdict, judged.kind) == ("defect", "EscapeError")
    assert "time.time was called" in judged.reason
    assert [f.fault for f in trial.shrink(SPACE, seed, "EscapeError", 60.0).scenario.experiment.faults] == ["pause"]


def test_a_case_that_does_not_repeat_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()

    def convict(scenario: Scenario) -> list[str]:
        is_new = str(scenario) not in seen
        seen.add(str(scenario))
        return ["durability"] if is_new else ["durability", "crash"]

    _world(monkeypatch, convict)
    shrunk = trial.shrink(SPACE, _first("durability"), "durability", 60.0)
    assert not shrunk.repeats
