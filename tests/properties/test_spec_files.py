"""Whatever stands in a file, reading it gives a spec or a SpecError: never another exception, never a hang."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ha.spec.load import SpecError, catalogue, load

VOCABULARY = """
apiVersion kind ha/v1 Topology Experiment Scenario name nodes role count etcd topology stacked external timings preset
fast claim topologies stacked-3 single-node duration 10s 300ms workloads type register create faults fault kill target
select take one minority component kubelet at for every expect recovery raft_election at_most control-plane worker
etcd-leader worker-9 experiment kill-worker unavailability write longest
"""
WORDS = st.sampled_from(VOCABULARY.split())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)
MODEST = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(directory: Path, data: bytes) -> None:
    path = directory / "file.yaml"
    path.write_bytes(data)
    try:
        load(path)
    except SpecError as error:
        problems = error.problems
    else:
        return
    assert all(problem.file and problem.field and problem.message for problem in problems)


@MODEST
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    read(tmp_path, data)


@MODEST
@given(kind=st.sampled_from(["Topology", "Experiment", "Scenario"]), fields=st.dictionaries(WORDS, VALUES, max_size=8))
def test_any_document_is_read_or_refused(tmp_path: Path, kind: str, fields: dict[str, object]) -> None:
    read(tmp_path, yaml.safe_dump({"apiVersion": "ha/v1", **fields, "kind": kind}).encode())


@MODEST
@given(name=st.sampled_from(sorted(catalogue())), seed=st.randoms(use_true_random=False), value=VALUES)
def test_any_change_of_one_value_of_a_good_file_is_read_or_refused(
    tmp_path: Path, name: str, seed: object, value: object
) -> None:
    document = yaml.safe_load(catalogue()[name].read_text())
    change(document, seed, value)
    read(tmp_path, yaml.safe_dump(document).encode())


def change(document: object, random, value: object) -> None:
    """Replace the value at a random place."""
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = random.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.3:
            place[key] = value
            return
        place = place[key]


def test_deep_nesting_is_refused_before_it_exhausts_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("a: " + "[" * 100_000)
    with pytest.raises(SpecError, match="nested deeper"):
        load(path)
