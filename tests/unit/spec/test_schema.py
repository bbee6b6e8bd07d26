"""The JSON Schema takes every file that loads, and refuses what no file of its kind may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from ha.spec.schema import KINDS, schema

ROOT = Path(__file__).parents[3]
FILES = sorted(
    path
    for directory in ("topologies", "chaos", "benchmarks", "tests/simulation/regressions")
    for path in (ROOT / directory).glob("*.yaml")
)
TOPOLOGY = {"apiVersion": "ha/v1", "kind": "Topology", "name": "mine", "nodes": [{"role": "control-plane"}]}
EXPERIMENT = {
    "apiVersion": "ha/v1",
    "kind": "Experiment",
    "name": "mine",
    "claim": "All is well.",
    "topologies": ["stacked-3"],
    "duration": "10s",
    "workloads": [{"type": "register"}],
    "faults": [{"fault": "kill", "target": "etcd-leader", "at": "1m30s"}],
}


def is_valid(document: Any, kind: str | None = None) -> bool:
    return Draft202012Validator(schema(kind)).is_valid(document)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_it_is_a_schema(kind: str | None) -> None:
    Draft202012Validator.check_schema(schema(kind))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_that_loads_is_valid(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    assert is_valid(document)
    assert [kind for kind in KINDS if is_valid(document, kind)] == [document["kind"]]


@pytest.mark.parametrize(
    ("document", "change"),
    [
        (TOPOLOGY, {"nodes": []}),
        (TOPOLOGY, {"nodes": [{"role": "controlplane"}]}),
        (TOPOLOGY, {"nodes": [{"role": "worker", "count": 0}]}),
        (TOPOLOGY, {"name": "Not a name"}),
        (TOPOLOGY, {"timings": "slow"}),
        (TOPOLOGY, {"timings": {"preset": "fast", "etcd_election": 1}}),
        (TOPOLOGY, {"timings_name": "fast"}),
        (TOPOLOGY, {"colour": "blue"}),
        (TOPOLOGY, {"apiVersion": "ha/v2"}),
        (EXPERIMENT, {"duration": "soon"}),
        (EXPERIMENT, {"duration": 10}),
        (EXPERIMENT, {"faults": [{"fault": "kill", "target": "etcd-leader"}]}),
        (EXPERIMENT, {"faults": [{"fault": "kill", "target": {"take": "one"}, "at": "1s"}]}),
        (EXPERIMENT, {"expect": {"recovery": {"someday": {"at_most": "1s"}}}}),
        (EXPERIMENT, {"missed_faults": "welcome"}),
    ],
)
def test_what_no_file_may_be_is_refused(document: dict[str, Any], change: dict[str, Any]) -> None:
    assert is_valid(document)
    assert not is_valid({**document, **change})


@pytest.mark.parametrize("timings", ["fast", {"preset": "fast", "etcd_election": "1s"}, {"etcd_election": "1s"}])
def test_timings_have_a_short_form(timings: object) -> None:
    assert is_valid({**TOPOLOGY, "timings": timings}, "Topology")


def test_an_experiment_within_a_scenario_needs_no_topologies() -> None:
    inside = {name: EXPERIMENT[name] for name in EXPERIMENT if name not in ("apiVersion", "kind", "topologies")}
    document = {"apiVersion": "ha/v1", "kind": "Scenario", "name": "mine", "topology": "stacked-3"}
    assert is_valid({**document, "experiment": inside})
    assert is_valid({**document, "experiment": "kill-etcd-leader"})
    assert not is_valid({**document, "experiment": {**inside, "duration": None}})
