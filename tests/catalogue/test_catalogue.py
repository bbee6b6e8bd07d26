"""Every file of the catalogue is valid, is named as it says, and fits what it names."""

import pytest

from ha.spec import Experiment, Topology
from ha.spec.faults import INSTANT
from ha.spec.load import advice, catalogue, load, scenario

FILES = catalogue()
EXPERIMENTS = [name for name, path in FILES.items() if path.parent.name == "chaos"]
TOPOLOGIES = [name for name, path in FILES.items() if path.parent.name == "topologies"]


def experiment(name: str) -> Experiment:
    spec = load(FILES[name])
    assert isinstance(spec, Experiment)
    return spec


def test_catalogue_has_every_pattern_with_stacked_and_external_etcd() -> None:
    shapes = [load(FILES[name]) for name in TOPOLOGIES]
    patterns = {
        (min(shape.count("control-plane"), 2), shape.count("worker") > 0, shape.etcd.topology)
        for shape in shapes
        if isinstance(shape, Topology) and not shape.store_alone
    }
    several = [(1, False), (1, True), (2, True)]
    assert patterns == {(*pattern, etcd) for pattern in several for etcd in ("stacked", "external")}


def test_catalogue_holds_what_is_promised() -> None:
    shapes = {"single-node", "one-control-plane", "stacked-3", "stacked-5", "external-3", "external-5", "etcd-3"}
    assert {*shapes, "external-single"} <= set(TOPOLOGIES)
    assert {
        "clock-jump",
        "cold-restart",
        "disk-full-on-leader",
        "double-failure",
        "flapping-node",
        "isolate-etcd-leader",
        "kill-apiserver-only",
        "kill-control-plane",
        "kill-etcd-leader",
        "kill-load-balancer-backend",
        "kill-scheduler-leader",
        "kill-worker",
        "lose-quorum-and-recover",
        "one-way-partition",
        "pause-etcd-leader",
        "pause-minority",
        "pause-load-balancer-backend",
        "rolling-restart",
        "slow-disk-on-leader",
        "stock-pysyncobj-loses-writes",
    } <= set(EXPERIMENTS)


@pytest.mark.parametrize("name", FILES)
def test_name_is_that_of_the_file(name: str) -> None:
    spec = load(FILES[name])
    assert spec.name == name


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_topology_runs_alone_and_says_what_it_is(name: str) -> None:
    spec = load(FILES[name])
    assert isinstance(spec, Topology)
    assert spec.description
    assert spec.timings_name != "upstream"
    if spec.etcd.engine != "pysyncobj-stock":  # no claim of ours is made for that
        assert advice(scenario(name)) == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_fits_every_topology_that_it_names(name: str) -> None:
    for topology in experiment(name).topologies:
        assert advice(scenario(topology, name)) == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_leaves_time_after_the_last_fault_to_see_the_recovery(name: str) -> None:
    spec = experiment(name)
    for fault in spec.faults:
        if fault.fault not in INSTANT:
            assert fault.for_s is not None
            assert spec.duration_s - fault.at_s - fault.for_s >= 2


def test_default_experiment_offers_far_more_than_a_thousand_writes() -> None:
    spec = experiment("kill-etcd-leader")
    creations = next(w for w in spec.workloads if w.type == "create")
    assert creations.rate_per_s is not None
    assert creations.rate_per_s * spec.duration_s > 1100
    assert spec.duration_s <= 15
