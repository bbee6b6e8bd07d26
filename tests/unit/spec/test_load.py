from pathlib import Path

import pytest
import yaml

from ha.spec import Experiment, Scenario, Target, Topology
from ha.spec.load import SpecError, advice, catalogue, check_world, inputs, load, resolve, scenario
from ha.spec.load import topology as topology_of
from ha.spec.override import override
from ha.spec.timings import FAST, UPSTREAM
from ha.spec.write import dump

TOPOLOGY = """
apiVersion: ha/v1
kind: Topology
name: mine
nodes: [{role: control-plane, count: 3}, {role: worker, count: 2}]
"""
EXPERIMENT = """
apiVersion: ha/v1
kind: Experiment
name: poke
claim: Nothing happens.
topologies: [stacked-3]
duration: 1m30s
workloads: [{type: register, rate: 10}]
faults:
  - {fault: pause, target: {select: control-plane, take: one, component: kube-apiserver}, at: 1.5s, for: 300ms}
expect: {unavailability: {write: {total: {at_most: 1s}}}}
"""


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text)
    return path


def topology(directory: Path, text: str) -> Topology:
    spec = load(write(directory, "t.yaml", TOPOLOGY + text))
    assert isinstance(spec, Topology)
    return spec


def test_durations_become_seconds_and_short_names_become_fields(tmp_path: Path) -> None:
    how = scenario("stacked-3", write(tmp_path, "e.yaml", EXPERIMENT)).experiment
    assert how.duration_s == 90
    assert (how.faults[0].at_s, how.faults[0].for_s, how.faults[0].every_s) == (1.5, 0.3, None)
    assert how.faults[0].target == Target(select="control-plane", take="one", component="kube-apiserver")
    assert how.workloads[0].rate_per_s == 10
    bounds = how.expect.unavailability["write"].total
    assert bounds is not None
    assert bounds.at_most_s == 1


def test_restart_may_be_repeated_without_saying_how_long_it_lasts(tmp_path: Path) -> None:
    text = EXPERIMENT.replace("fault: pause", "fault: restart").replace("for: 300ms", "every: 5s")
    assert scenario("stacked-3", write(tmp_path, "e.yaml", text)).experiment.faults[0].every_s == 5


def test_target_may_be_a_plain_name() -> None:
    assert scenario("stacked-3").experiment.faults[0].target == Target(select="etcd-leader")


@pytest.mark.parametrize(
    ("text", "name", "timings"),
    [
        ("", "upstream", UPSTREAM),
        ("timings: upstream", "upstream", UPSTREAM),
        ("timings: fast", "fast", FAST),
        ("timings: {preset: fast}", "fast", FAST),
        ("timings: {}", "upstream", UPSTREAM),
    ],
)
def test_timings_preset(tmp_path: Path, text: str, name: str, timings: object) -> None:
    spec = topology(tmp_path, text)
    assert (spec.timings_name, spec.timings) == (name, timings)


def test_timings_of_a_preset_can_be_overridden_one_by_one(tmp_path: Path) -> None:
    spec = topology(tmp_path, "timings: {preset: fast, etcd_election: 200ms}")
    assert spec.timings_name == "explicit"
    assert spec.timings.etcd_election == 0.2
    assert spec.timings.lease_duration == FAST.lease_duration


def test_fast_timings_are_a_tenth_of_upstream() -> None:
    differing = {
        name
        for name in UPSTREAM.__struct_fields__
        if getattr(FAST, name) != pytest.approx(getattr(UPSTREAM, name) / 10)
    }
    assert differing == {"client_timeout"}


def test_several_control_planes_bring_a_load_balancer(tmp_path: Path) -> None:
    spec = topology(tmp_path, "")
    assert spec.names("control-plane") == ["control-plane-1", "control-plane-2", "control-plane-3"]
    assert spec.names("load-balancer") == ["load-balancer"]


def test_scenario_file_resolves_paths_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    write(tmp_path / "shapes", "mine.yaml", TOPOLOGY)
    write(tmp_path, "e.yaml", EXPERIMENT)
    text = "apiVersion: ha/v1\nkind: Scenario\nname: both\ntopology: shapes/mine.yaml\nexperiment: e.yaml\n"
    spec = load(write(tmp_path, "s.yaml", text))
    assert isinstance(spec, Scenario)
    assert (spec.name, spec.topology.name, spec.experiment.name) == ("both", "mine", "poke")
    assert scenario(tmp_path / "s.yaml") == spec


def test_scenario_file_may_be_given_another_experiment(tmp_path: Path) -> None:
    text = "apiVersion: ha/v1\nkind: Scenario\nname: both\ntopology: stacked-3\nexperiment: kill-worker\n"
    spec = scenario(write(tmp_path, "s.yaml", text), "cold-restart")
    assert (spec.name, spec.experiment.name) == ("cold-restart-on-stacked-3", "cold-restart")


def test_topology_alone_gets_the_kill_of_the_etcd_leader() -> None:
    assert scenario("external-3").name == "kill-etcd-leader-on-external-3"


def test_topology_that_cannot_lose_a_member_gets_the_cold_restart(tmp_path: Path) -> None:
    two = TOPOLOGY.replace("count: 3", "count: 2")
    assert scenario(write(tmp_path, "t.yaml", two)).experiment.name == "cold-restart"
    assert scenario("single-node").experiment.name == "cold-restart"


def test_experiment_alone_runs_on_the_first_topology_that_it_names(tmp_path: Path) -> None:
    assert scenario("kill-worker").name == "kill-worker-on-one-control-plane"
    assert inputs("kill-worker") == [resolve("kill-worker"), resolve("one-control-plane")]
    (tmp_path / "shapes").mkdir()
    shape = write(tmp_path / "shapes", "mine.yaml", TOPOLOGY)
    alone = write(tmp_path, "e.yaml", EXPERIMENT.replace("[stacked-3]", "[shapes/mine.yaml, stacked-3]"))
    assert scenario(alone).name == "poke-on-mine"
    assert inputs(alone) == [alone, shape]


def test_experiment_on_an_experiment_is_refused() -> None:
    with pytest.raises(SpecError, match=r"kill-worker: .*is an Experiment; allowed: a Topology \(one-control-plane, "):
        scenario("kill-worker", "cold-restart")


SCENARIO = """
apiVersion: ha/v1
kind: Scenario
name: both
topology:
  name: mine
  nodes: [{role: control-plane, count: 3}]
  timings: fast
experiment:
  name: poke
  claim: Nothing happens.
  duration: 10s
  workloads: [{type: register, rate: 10}]
  faults: [{fault: pause, target: control-plane-3, at: 1s, for: 300ms}]
"""


def test_scenario_file_may_hold_all_of_it(tmp_path: Path) -> None:
    path = write(tmp_path, "s.yaml", SCENARIO + "world: sim\nseed: 7\nmutant: vote-twice\n")
    spec = scenario(path)
    assert (spec.world, spec.seed, spec.mutant) == ("sim", 7, "vote-twice")
    assert (spec.topology.timings_name, spec.topology.timings) == ("fast", FAST)
    assert spec.experiment.topologies == ["mine"]
    assert inputs(path) == [path]


def test_scenario_file_may_name_one_and_hold_the_other(tmp_path: Path) -> None:
    before, _, after = SCENARIO.partition("experiment:")
    one = write(tmp_path, "one.yaml", before + "experiment: cold-restart\n")
    other = write(tmp_path, "other.yaml", before.partition("topology:")[0] + "topology: stacked-3\nexperiment:" + after)
    assert (scenario(one).topology.name, scenario(one).experiment.name) == ("mine", "cold-restart")
    assert (scenario(other).topology.name, scenario(other).experiment.name) == ("stacked-3", "poke")
    assert inputs(one) == [one, resolve("cold-restart")]
    assert inputs(other) == [other, resolve("stacked-3")]


def test_another_experiment_leaves_the_rest_of_a_scenario_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "s.yaml", SCENARIO + "world: sim\nseed: 7\n")
    spec = scenario(path, "cold-restart")
    assert (spec.experiment.name, spec.topology.name, spec.world, spec.seed) == ("cold-restart", "mine", "sim", 7)
    assert inputs(path, "cold-restart") == [path, resolve("cold-restart")]


def test_flags_override_the_file(tmp_path: Path) -> None:
    spec = scenario(write(tmp_path, "s.yaml", SCENARIO + "world: sim\nseed: 7\n"))
    assert override(spec) == spec
    other = override(spec, world="real", seed=0, engine="pysyncobj-stock")
    assert (other.world, other.seed, other.topology.etcd.engine) == ("real", 0, "pysyncobj-stock")
    assert other.experiment == spec.experiment


def test_a_flag_may_ask_for_what_the_rest_of_the_file_does_not_allow(tmp_path: Path) -> None:
    """Held against the rules once more, each problem where the file says what is in the way."""
    path = write(tmp_path, "t.yaml", TOPOLOGY + "timings: fast\netcd: {reads: log}\n")
    spec = override(scenario(path, "isolate-etcd-leader"), engine="etcd", world="sim")
    with pytest.raises(SpecError) as caught:
        check_world(spec, {"real": ["partition"], "sim": ["partition"]}, [], path=path, chaos="isolate-etcd-leader")
    assert [(Path(p.file).name, p.field) for p in caught.value.problems] == [
        ("t.yaml", "etcd.reads"),
        ("t.yaml", "etcd.engine"),
        ("isolate-etcd-leader.yaml", "faults[0].target"),
    ]


def test_a_topology_is_held_against_the_engine_and_the_world_that_were_asked_for(tmp_path: Path) -> None:
    inline = write(tmp_path, "s.yaml", SCENARIO)
    names = "topology: stacked-3\nexperiment: kill-worker\n"
    named = write(tmp_path, "n.yaml", "apiVersion: ha/v1\nkind: Scenario\nname: both\n" + names)
    for path, file, field in (
        ("stacked-3", "stacked-3.yaml", "etcd.engine"),
        (inline, "s.yaml", "topology.etcd.engine"),
        (named, "stacked-3.yaml", "etcd.engine"),
    ):
        assert topology_of(path, engine="etcd").etcd.engine == "etcd"
        with pytest.raises(SpecError, match="virtual time runs our own components only") as caught:
            topology_of(path, engine="etcd", world="sim")
        assert [(Path(p.file).name, p.field) for p in caught.value.problems] == [(file, field)]
    with pytest.raises(SpecError, match="is an Experiment; allowed: a Topology or a Scenario"):
        topology_of("kill-worker")


def test_a_binary_is_found_beside_its_file_and_written_whole(tmp_path: Path) -> None:
    etcd = "etcd: {engine: etcd, binary: bin/etcd}\nload_balancer: {engine: haproxy, binary: bin/haproxy}\n"
    (tmp_path / "shapes").mkdir()
    shape = load(write(tmp_path / "shapes", "t.yaml", TOPOLOGY + etcd))
    assert isinstance(shape, Topology)
    assert shape.etcd.binary == str(tmp_path / "shapes" / "bin" / "etcd")
    assert shape.load_balancer.binary == str(tmp_path / "shapes" / "bin" / "haproxy")
    how = scenario("stacked-3").experiment
    whole = Scenario(name="whole", topology=shape, experiment=how)
    assert load(write(tmp_path, "whole.yaml", dump(whole))) == whole


def test_topology_as_experiment_is_refused() -> None:
    with pytest.raises(SpecError, match="is a Topology; allowed: an Experiment"):
        scenario("stacked-3", "external-3")


def test_problems_of_both_files_are_reported_together(tmp_path: Path) -> None:
    bad_shape = write(tmp_path, "t.yaml", TOPOLOGY.replace("worker", "wroker"))
    bad_chaos = write(tmp_path, "e.yaml", EXPERIMENT.replace("pause", "paus"))
    with pytest.raises(SpecError) as caught:
        scenario(bad_shape, bad_chaos)
    assert {problem.file for problem in caught.value.problems} == {str(bad_shape), str(bad_chaos)}


def test_target_that_the_chosen_topology_lacks_is_refused_with_its_line() -> None:
    with pytest.raises(
        SpecError, match=r"kill-worker.yaml:\d+: faults\[0\].target: topology 'single-node' has no worker"
    ):
        scenario("single-node", "kill-worker")


def test_followers_of_a_single_member_are_nobody() -> None:
    with pytest.raises(SpecError, match="has no etcd-followers to be hit"):
        scenario("single-node", "lose-quorum-and-recover")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("{select: worker, take: minority}", "the minority of 2 is nobody"),
        ("{select: etcd-leader, component: load-balancer}", "load-balancer does not run on etcd-leader"),
        ("{select: load-balancer, component: kubelet}", "kubelet does not run on load-balancer"),
    ],
)
def test_target_of_nobody_is_refused(tmp_path: Path, target: str, reason: str) -> None:
    text = EXPERIMENT.replace("{select: control-plane, take: one, component: kube-apiserver}", target)
    with pytest.raises(SpecError, match=reason):
        load(write(tmp_path, "e.yaml", text))


def test_etcd_runs_on_control_planes_only_when_stacked(tmp_path: Path) -> None:
    path = write(tmp_path, "e.yaml", EXPERIMENT.replace("kube-apiserver", "etcd"))
    assert scenario("stacked-3", path).experiment.faults[0].target.component == "etcd"
    with pytest.raises(SpecError, match="etcd does not run on control-plane of 'external-3'"):
        scenario("external-3", path)


ABLE = {"real": ["kill"], "sim": ["kill", "pause"]}


def test_fault_that_the_world_lacks_is_refused_with_its_line_and_who_can() -> None:
    spec = scenario("stacked-3", "pause-etcd-leader")
    check_world(override(spec, world="sim"), ABLE, [], path="stacked-3", chaos="pause-etcd-leader")
    reason = r"leader.yaml:\d+: faults\[0\].fault: the real world cannot inject 'pause'; allowed: kill; or world"
    with pytest.raises(SpecError, match=reason):
        check_world(spec, ABLE, [], path="stacked-3", chaos="pause-etcd-leader")


def test_fault_of_an_experiment_in_a_scenario_is_found_there(tmp_path: Path) -> None:
    path = write(tmp_path, "s.yaml", SCENARIO)
    with pytest.raises(SpecError, match=r"s.yaml:\d+: experiment.faults\[0\].fault: the real world cannot inject"):
        check_world(scenario(path), ABLE, [], path=path)


def test_mutant_must_be_known_and_its_world_simulated(tmp_path: Path) -> None:
    path = write(tmp_path, "s.yaml", SCENARIO + "world: sim\nmutant: vote-twise\n")
    spec = scenario(path)
    check_world(spec, ABLE, ["vote-twise"], path=path)
    unknown = (
        r"s.yaml:16: mutant: unknown mutant 'vote-twise'; allowed: skip-fsync, vote-twice; did you mean 'vote-twice'"
    )
    with pytest.raises(SpecError, match=unknown):
        check_world(spec, ABLE, ["vote-twice", "skip-fsync"], path=path)
    with pytest.raises(SpecError, match="mutant: bugs are planted in the simulated world only"):
        check_world(override(spec, world="real"), {"real": ["pause"]}, ["vote-twise"], path=path)


def test_existing_file_wins_over_the_catalogue_and_the_catalogue_over_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stacked-3").mkdir()
    write(tmp_path, "external-3", TOPOLOGY)
    assert resolve("external-3") == Path("external-3")
    assert resolve("stacked-3").name == "stacked-3.yaml"


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(SpecError, match="allowed: a file, or a name of the catalogue; did you mean 'stacked-3'"):
        resolve("stackd-3")
    with pytest.raises(SpecError, match=r"a name of the catalogue: .*stacked-3"):
        resolve("nothing like it")


def test_file_larger_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is larger than 1 MiB"):
        load(write(tmp_path, "t.yaml", "#" * ((1 << 20) + 1)))


def test_words_that_yaml_1_1_would_turn_into_something_else_stay_words(tmp_path: Path) -> None:
    assert topology(tmp_path, "description: no").description == "no"
    assert topology(tmp_path, "description: 2026-01-01").description == "2026-01-01"
    assert topology(tmp_path, "description: 1:30").description == "1:30"


def test_advice_on_an_even_number_of_members_and_on_a_topology_not_named(tmp_path: Path) -> None:
    path = write(tmp_path, "t.yaml", TOPOLOGY.replace("count: 3", "count: 4"))
    assert advice(scenario(path, "cold-restart")) == [
        "4 etcd members survive no more failures than 3 would",
        (
            "the claim of cold-restart is made for single-node, single-node-external, one-control-plane, "
            "external-single, stacked-3, external-3, not for mine"
        ),
    ]
    assert advice(scenario("stacked-3")) == []


WIPING = """\
apiVersion: ha/v1
kind: Experiment
name: wiping
claim: x
topologies: [{topology}]
duration: 10s
workloads: [{{type: register}}]
faults: [{{fault: wipe-disk, target: {target}, at: 3s, for: 1s}}]
"""


@pytest.mark.parametrize(
    ("topology", "target", "emptied"),
    [
        ("stacked-3", "{select: etcd, take: majority}", "2 of 3"),
        ("stacked-3", "control-plane", "3 of 3"),
        ("external-5", "etcd-followers", "4 of 5"),
        ("single-node", "etcd-leader", "1 of 1"),
        ("stacked-3", "etcd-leader", None),
        ("stacked-5", "{select: etcd, take: minority}", None),
    ],
)
def test_advice_on_an_experiment_that_leaves_no_majority_a_disk(
    topology: str, target: str, emptied: str | None, tmp_path: Path
) -> None:
    path = write(tmp_path, "e.yaml", WIPING.format(topology=topology, target=target))
    said = advice(scenario(path))
    assert len(said) == (emptied is not None)
    if emptied is not None:
        assert f"faults[0] empties the disks of {emptied} etcd members of {topology} at once" in said[0]


def test_no_experiment_of_the_catalogue_needs_advice() -> None:
    experiments = [spec for spec in map(load, catalogue().values()) if isinstance(spec, Experiment)]
    assert experiments
    for spec in experiments:
        for shape in spec.topologies:
            assert advice(scenario(shape, spec.name)) == [], spec.name


def test_name_with_a_newline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="name: found"):
        load(write(tmp_path, "t.yaml", TOPOLOGY.replace("name: mine", 'name: "mine\\n"')))


def test_installed_package_carries_its_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ha" / "catalogue" / "topologies"
    folder.mkdir(parents=True)
    path = write(folder, "only.yaml", TOPOLOGY)
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path / "ha")
    assert catalogue() == {"only": path}


@pytest.mark.parametrize("name", ["x" * 5000, "\0", "loop"])
def test_reference_that_no_file_could_have_is_dangling(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    text = yaml.safe_dump(
        {"apiVersion": "ha/v1", "kind": "Scenario", "name": "x", "topology": name, "experiment": "kill-worker"}
    )
    with pytest.raises(SpecError, match=r"topology: .*no such file"):
        load(write(tmp_path, "s.yaml", text))


def test_inputs_are_all_files_that_decide_a_run(tmp_path: Path) -> None:
    names = lambda *given: [file.name for file in inputs(*given)]  # noqa: E731  (short)
    assert names("stacked-3") == ["stacked-3.yaml", "kill-etcd-leader.yaml"]
    assert names("stacked-3", "cold-restart") == ["stacked-3.yaml", "cold-restart.yaml"]
    both = tmp_path / "both.yaml"
    both.write_text(
        "apiVersion: ha/v1\nkind: Scenario\nname: both\ntopology: external-3\nexperiment: kill-worker\n", "utf-8"
    )
    assert names(both) == ["both.yaml", "external-3.yaml", "kill-worker.yaml"]
    assert names(both, "cold-restart") == ["both.yaml", "external-3.yaml", "cold-restart.yaml"]
