"""A scenario that is written loads as the same scenario."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ha.spec import Scenario
from ha.spec.load import catalogue, load, scenario
from ha.spec.override import override
from ha.spec.write import dump
from tests.properties.scenarios import scenarios

MODEST = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def read_back(directory: Path, text: str) -> object:
    path = directory / "scenario.yaml"
    path.write_text(text)
    return load(path)


@MODEST
@given(spec=scenarios(), comment=st.text(st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_any_scenario_reads_back_equal(tmp_path: Path, spec: Scenario, comment: str) -> None:
    assert read_back(tmp_path, dump(spec, comment=comment)) == spec


@pytest.mark.parametrize("name", [name for name, path in catalogue().items() if path.parent.name != "benchmarks"])
def test_the_catalogue_reads_back_equal(tmp_path: Path, name: str) -> None:
    spec = override(scenario(name), world="sim", seed=7)
    assert read_back(tmp_path, dump(spec)) == spec


def test_what_is_written_is_what_a_person_would_write() -> None:
    text = dump(override(scenario("stacked-3", "kill-worker"), world="sim", seed=7), comment="Found by\nlooking")
    assert text.startswith("# Found by\n# looking\napiVersion: ha/v1\nkind: Scenario\nname: kill-worker-on-stacked-3\n")
    assert "\n  timings: fast\n" in text
    assert "\n    - {fault: kill, target: {select: worker, take: one}, at: 3s, for: 46s}\n" in text
    assert max(map(len, text.splitlines())) <= 120
