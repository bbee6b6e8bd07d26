"""Every experiment of the catalogue, on each topology that it names, in the simulated world: its claim holds."""

from __future__ import annotations

import pytest

from ha.experiment.simulation import run_scenario
from ha.spec import Experiment
from ha.spec.load import catalogue, load, scenario

pytestmark = [pytest.mark.catalogue, pytest.mark.timeout(120)]

PAIRS = [
    (name, topology)
    for name, path in catalogue().items()
    if path.parent.name == "chaos"
    for spec in [load(path)]
    if isinstance(spec, Experiment)
    for topology in spec.topologies
]


@pytest.mark.parametrize(("name", "topology"), PAIRS)
def test_claim_holds(name: str, topology: str) -> None:
    """Whatever the world that its faults need: the simulated one can do all of them."""
    run, _ = run_scenario(scenario(topology, name), seed=1)
    assert (run.result.verdict, run.result.reason) == ("pass", run.result.reason)
