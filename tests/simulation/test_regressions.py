"""Every schedule that once showed a real bug, found by fuzzing. Each file says what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from ha.experiment.simulation import run_scenario
from ha.spec import Scenario
from ha.spec.load import load

_FILES = sorted((Path(__file__).parent / "regressions").glob("*.yaml"))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_a_bug_that_was_found_stays_fixed(file: Path) -> None:
    scenario = load(file)
    assert isinstance(scenario, Scenario)
    assert scenario.seed is not None
    assert file.read_text().startswith("# "), "it says what the bug was"
    run, _ = run_scenario(scenario, seed=scenario.seed)
    assert run.result.verdict == "pass", run.result.reason
