"""Every experiment of the catalogue in the simulated world: its claim holds.

On the first and the last topology that it names, which is mostly one with a stacked and one with an external etcd; with
``HA_TOPOLOGIES=all`` on each.
"""

from __future__ import annotations

import os

import pytest

from ha.experiment.simulation import run_scenario
from ha.spec import Experiment
from ha.spec.load import catalogue, load, scenario
from ha.spec.override import override

pytestmark = [pytest.mark.catalogue, pytest.mark.timeout(120)]

EACH = os.environ.get("HA_TOPOLOGIES") == "all"
PAIRS = [
    (name, topology)
    for name, path in catalogue().items()
    if path.parent.name == "chaos"
    for spec in [load(path)]
    if isinstance(spec, Experiment)
    for topology in dict.fromkeys(spec.topologies if EACH else (spec.topologies[0], spec.topologies[-1]))
]


@pytest.mark.parametrize(("name", "topology"), PAIRS)
def test_claim_holds(name: str, topology: str) -> None:
    """Whatever the world that its faults need: the simulated one can do all of them."""
    run, _ = run_scenario(scenario(topology, name), seed=1)
    assert (run.result.verdict, run.result.reason) == ("pass", run.result.reason)


def test_what_convicts_stock_acquits_the_hardened_engine() -> None:
    exhibit = scenario("stock-pysyncobj-loses-writes")
    stock, _ = run_scenario(exhibit, seed=2)
    assert "durability" in stock.result.convicted_by
    assert stock.result.checks.lost_writes >= 4
    ours, _ = run_scenario(override(exhibit, engine="pysyncobj"), seed=2)
    assert (ours.result.verdict, ours.result.convicted_by, ours.result.checks.lost_writes) == ("pass", [], 0)
