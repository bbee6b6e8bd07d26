"""The corpus: planted bugs go away again, a calm cluster hides them, and nobody plants them by chance."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from ha.experiment.simulation import run_scenario
from ha.mutants import planted, registry
from ha.mutants.reference import markdown
from ha.spec import Experiment, Scenario, Workload
from ha.spec.load import load, resolve

ROOT = Path(__file__).parents[3]
LOUD = {"precondition-dropped"}
"""Mutants that need no fault to be seen: a race of clients is enough."""


def attributes(name: str) -> list[object]:
    return [owner[key] if isinstance(owner, dict) else vars(owner)[key] for owner, key, _ in registry()[name].patches()]


@pytest.mark.parametrize("name", registry())
def test_a_planted_bug_is_gone_afterwards(name: str) -> None:
    before = attributes(name)
    with planted(name):
        during = attributes(name)
        assert all(new is not old for new, old in zip(during, before, strict=True))
    assert all(new is old for new, old in zip(attributes(name), before, strict=True))


def test_the_corpus_is_large_and_of_every_part() -> None:
    assert len(registry()) >= 16
    assert {mutant.component for mutant in registry().values()} >= {
        "raft",
        "etcd",
        "kube-apiserver",
        "load-balancer",
        "kube-scheduler",
    }


def test_an_unknown_mutant_is_refused() -> None:
    with pytest.raises(LookupError, match=r"no mutant 'vote-thrice'; there are .*vote-twice"), planted("vote-thrice"):
        pass


def test_only_experiments_plant_bugs() -> None:
    allowed = re.compile(r"ha/(mutants|experiment|cli)/")
    importing = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "ha").rglob("*.py")
        if "ha.mutants" in path.read_text() and not allowed.match(str(path.relative_to(ROOT)))
    ]
    assert importing == []


@pytest.mark.parametrize("name", sorted(registry().keys() - LOUD))
def test_without_faults_a_mutant_goes_unseen(name: str) -> None:
    topology = load(resolve("stacked-3"))
    experiment = Experiment(
        name="calm",
        claim="Nothing happens.",
        topologies=["stacked-3"],
        duration_s=3,
        workloads=[Workload(type="create", clients=2, rate_per_s=20)],
        faults=[],
    )
    scenario = Scenario(name="calm", topology=topology, experiment=experiment, world="sim")
    run, _ = run_scenario(msgspec.structs.replace(scenario, mutant=name), seed=1)
    assert run.result.verdict == "pass", run.result.reason


def test_committed_page_is_what_the_corpus_says() -> None:
    page = ROOT / "docs" / "mutants.md"
    assert page.read_text() == markdown(), "run: python -m ha.mutants.reference > docs/mutants.md"
