"""Every file of tests/data/bad is refused, with the file, the field and the reason."""

from pathlib import Path

import pytest

from ha.spec.load import SpecError, load

BAD = Path(__file__).parents[2] / "data" / "bad"

ROOT = "(root)"
EXPECTED: dict[str, list[tuple[str, str]]] = {
    "a-list": [(ROOT, "found a list")],
    "anchor-bomb": [(ROOT, "anchors and aliases are not allowed")],
    "api-workload-on-a-store": [
        ("workloads[0].type", "topology 'etcd-3' has no control plane, so nobody serves a register workload"),
        (
            "workloads[1].type",
            "nobody serves a deployment workload; allowed: lock or put or store or watch, or a topology with a control",
        ),
        ("faults[0].target", "topology 'etcd-3' has no scheduler-leader to be hit"),
        ("expect.recovery.scheduler_takeover", "topology 'etcd-3' has no control plane"),
    ],
    "alone-and-with-its-topology": [
        ("topologies[1]", "'stacked-9': no such file"),
        ("faults[0].target", "unknown target 'etcd-leaderr'"),
        ("faults[1].at", "found 30s; allowed: before the load ends at 10s"),
        ("faults[1].target", "topology 'stacked-3' has no node 'worker-4'"),
        ("faults[1].target", "topology 'single-node' has no node 'worker-4'"),
        ("expect.recovery.load_balancer_detection", "topology 'single-node' has no load balancer"),
    ],
    "api-version-missing": [("apiVersion", "is missing; allowed: ha/v1")],
    "api-version-unsupported": [("apiVersion", "found 'ha/v2'; allowed: ha/v1")],
    "benchmark-cases": [
        ("cases[0].workloads[0].replicas", "a register workload has no replicas"),
        ("cases[0].workloads[0].type", "topology 'etcd-3' has no control plane, so nobody serves a register workload"),
        ("cases[0].workloads[1].type", "the workload 'register' stands twice"),
        ("cases[0].workloads[1].type", "topology 'etcd-3' has no control plane"),
        ("cases[1].name", "'a' stands twice; allowed: a name of its own for each case"),
    ],
    "benchmark-measure-unknown": [
        ("measure", "did you mean 'simulation-speed'?"),
        ("round", "unknown field; allowed: name, question, measure, rounds, cases, seed; did you mean 'rounds'?"),
        ("cases[0].timings", "did you mean 'upstream'?"),
        ("cases[0].duration", "found 300; allowed: a duration"),
    ],
    "benchmark-of-checkers": [
        ("cases[2].tells", "found 'value'; allowed: one of revisions, values; did you mean 'values'?"),
    ],
    "benchmark-of-checkers-that-repeat": [
        ("cases[0].growth_at_most", "no case has 100 operations; allowed: a case of a tenth"),
        ("cases[1]", "1,000, revisions stands twice; allowed: each history once"),
    ],
    "benchmark-of-a-store": [
        ("topology", "'single-node' has a control plane; allowed: nodes of role etcd only"),
        ("cases[2]", "2 x put stands twice; allowed: each operation once for so many clients of the same members"),
    ],
    "benchmark-of-the-real-etcd": [
        ("cases[0].topology", "virtual time runs our own components only, and the etcd of 'real-etcd' is the real one"),
    ],
    "benchmark-of-an-experiment": [
        ("cases[0].topology", "'kill-worker' is an Experiment; allowed: a file of kind Topology"),
        ("cases[1].topology", "did you mean 'etcd-3'?"),
    ],
    "benchmark-without-measure": [
        ("measure", "is missing; allowed: one of "),
        ("rounds", "found 0; allowed: an integer, at least 1 and at most 100"),
    ],
    "binary": [(ROOT, "is not UTF-8 text")],
    "bound-upside-down": [("expect.unavailability.write.longest", "at_least 5s is more than at_most 2s")],
    "claim-empty": [("claim", "found ''")],
    "component-not-of-role": [("faults[0].target.component", "kube-apiserver does not run on worker of 'stacked-3'")],
    "component-unknown": [("faults[0].target.component", "did you mean 'kube-apiserver'?")],
    "core-cannot-serve": [
        ("liveness.core[1]", "topology 'external-3' has no node 'etcd-9'"),
        ("liveness.core", "has 1 of 3 etcd members, which is no majority; allowed: at least 2 of etcd-1"),
        ("liveness.core", "without an API server"),
        ("liveness.core", "without the load balancer"),
    ],
    "core-node-twice": [("liveness.core[1]", "'etcd-1' stands twice; allowed: each node once")],
    "count-a-fraction": [("nodes[0].count", "found 1.5; allowed: an integer")],
    "count-a-word": [("nodes[0].count", "found 'three'; allowed: an integer, at least 1 and at most 50")],
    "count-too-large": [("nodes[1].count", "found 5000")],
    "count-zero": [("nodes[1].count", "found 0")],
    "directory": [(ROOT, "is a directory")],
    "disk-of-nobody": [
        ("faults[0].target", "on worker of 'stacked-3' nothing is kept on a disk; allowed: nodes with an etcd member"),
        ("faults[1].target", "on load-balancer, worker of 'stacked-3' nothing is kept on a disk"),
        ("faults[2].target.component", "kubelet keeps nothing on a disk; allowed: etcd"),
    ],
    "duplicate-key": [("name", "the key stands twice, first in line 3")],
    "duration-without-unit": [("duration", "found 10; allowed: a duration such as 300ms, 2s or 1m30s")],
    "empty": [(ROOT, "the file is empty")],
    "engine-unknown": [("etcd.engine", "did you mean 'pysyncobj'?")],
    "etcd-binary-of-ours": [("etcd.binary", "engine pysyncobj is no program of its own; allowed: engine: etcd, or no")],
    "etcd-real-cannot": [
        ("etcd.reads", "found log; allowed: engine: etcd reads by ReadIndex and in no other way"),
        ("timings.etcd_heartbeat", "found 1.5ms; allowed: whole milliseconds up to 50s, as etcd's flags"),
        ("timings.etcd_election", "found 51s; allowed: whole milliseconds up to 50s"),
    ],
    "etcd-real-simulated": [
        ("topology", "virtual time runs our own components only, and the etcd of 'mine' is the real one; allowed: the"),
    ],
    "etcd-real-takes-no-such-fault": [
        (
            "experiment.faults[1].target",
            "and etcd on etcd-1, etcd-2, etcd-3 is the real one; allowed: kill, pause, restart; other nodes; or eng",
        ),
        ("experiment.faults[2].target", "a slow-disk acts inside our own processes, and etcd on etcd-2 is the real"),
        ("experiment.faults[3].target", "a clock-rate acts inside our own processes, and etcd on etcd-1, etcd-2"),
        ("experiment.faults[4].target", "a ring-partition acts inside our own processes, and etcd on etcd-1, etcd-2"),
    ],
    "every-before-undone": [("faults[0].every", "injected again before it was undone")],
    "expectation-not-measurable": [("expect.recovery.pods_running_elsewhere", "no workload runs Pods")],
    "external-without-etcd-nodes": [("etcd.topology", "no node has the role etcd")],
    "fault-after-the-end": [("faults[0].at", "found 12s; allowed: before the load ends at 10s")],
    "fault-lasts-beyond-the-end": [("faults[0].for", "would last until 11s")],
    "fault-fields": [
        ("faults[0].latency", "is missing: a delay needs it"),
        ("faults[1].latency", "a kill has no latency; allowed: target, at, for, every"),
        ("faults[2].target.component", "a partition hits nodes, not a process of them"),
        ("faults[3].from", "the target and the other end of its links are the same"),
        ("faults[4].for", "a reset is over when it was injected"),
    ],
    "fault-unknown": [("faults[0].fault", "found 'killl'; allowed: one of bandwidth, bit-flip, ")],
    "fault-values": [
        ("faults[0].offset", "found 'soon'; allowed: a duration such as 300ms, 2s or 1m30s, at least -24h and at most"),
        ("faults[1].latency", "found '-3s'; allowed: a duration such as 300ms, 2s or 1m30s, more than 0s"),
        ("faults[2].rate", "found 0; allowed: a number, more than 0"),
        ("faults[3].direction", "found 'sideways'; allowed: one of both, inbound, outbound"),
    ],
    "faults-overlap": [("faults[1]", "overlaps faults[0]")],
    "field-unknown": [
        (
            "etcd.topologie",
            "unknown field; allowed: topology, engine, binary, reads, snapshot_count; did you mean 'topology'?",
        )
    ],
    "haproxy-before-nobody": [("load_balancer.engine", "'mine' has no load balancer; allowed: several control planes")],
    "haproxy-binary-of-ours": [("load_balancer.binary", "ours is no program of its own; allowed: engine: haproxy")],
    "haproxy-takes-no-such-fault": [
        ("experiment.faults[0].target", "a partition acts inside our own processes, and the load balancer is HAProxy"),
        ("experiment.faults[2].target", "a delay acts inside our own processes, and the load balancer is HAProxy"),
        ("experiment.faults[3].target", "a clock-offset acts inside our own processes, and the load balancer"),
    ],
    "kind-missing": [("kind", "is missing; allowed: Topology or Experiment or Scenario or Benchmark")],
    "kind-unknown": [("kind", "found 'Topolgy'")],
    "links-to-nobody": [
        ("faults[0].target", "the target is every node: nobody is left for the other end; allowed: nodes on either"),
        ("faults[1].from", "all are the target: nobody is left for the other end"),
        ("faults[2].from", "all are the target: nobody is left for the other end"),
    ],
    "many-problems": [
        ("nodes[0].count", "found -1"),
        ("nodes[1].rol", "unknown field; allowed: role, count; did you mean 'role'?"),
        ("nodes[1].role", "is missing"),
        ("etcd", "found 'stacked'; allowed: a mapping with topology, engine, binary, reads, snapshot_count"),
        ("timings.etcd_elektion", "did you mean 'etcd_election'?"),
    ],
    "mutant-in-the-real-world": [("mutant", "in the simulated world only, not in the real one; allowed: world: sim")],
    "name-a-number": [("name", "found 3")],
    "name-not-a-label": [("name", "found 'Bad_Name'; allowed: lower-case letters")],
    "store-alone-with-a-worker": [("nodes", "allowed: at least one, or nodes of role etcd only")],
    "no-control-plane": [("nodes", "no node has the role control-plane")],
    "nodes-a-mapping": [("nodes", "found a mapping; allowed: a list")],
    "nodes-empty": [("nodes", "found an empty list")],
    "nodes-missing": [("nodes", "is missing")],
    "null-byte": [(ROOT, "is a binary file")],
    "only-a-comment": [(ROOT, "the file is empty")],
    "partition-of-too-few": [
        (
            "faults[0].target",
            "a ring-partition of 3 nodes of 'stacked-3' cuts nothing; allowed: a target of at least 4 nodes",
        ),
        ("faults[1].target", "a bridge-partition of 2 nodes of 'stacked-3' cuts nothing"),
        ("faults[2].from", "topology 'stacked-3' has no node 'etcd-2'"),
    ],
    "reference-circle-a": [
        ("topology", "'reference-circle-b.yaml' is not valid"),
        ("topology", "reference-circle-a.yaml → reference-circle-b.yaml → reference-circle-a.yaml"),
    ],
    "reference-circle-b": [
        ("topology", "'reference-circle-a.yaml' is not valid"),
        ("topology", "reference-circle-b.yaml → reference-circle-a.yaml → reference-circle-b.yaml"),
    ],
    "reference-circular": [("topology", "refers to itself: reference-circular.yaml → reference-circular.yaml")],
    "reference-dangling": [("experiment", "'nowhere/missing.yaml': no such file")],
    "reference-not-valid": [
        ("topology", "'count-zero.yaml' is not valid; allowed: a valid file of kind Topology"),
        ("nodes[1].count", "found 0"),
    ],
    "reference-of-wrong-kind": [
        ("topology", "'kill-worker' is an Experiment; allowed: a file of kind Topology"),
        ("experiment", "'stacked-3' is a Topology; allowed: a file of kind Experiment"),
    ],
    "recovery-phase-unknown": [("expect.recovery.raft_elections", "did you mean 'raft_election'?")],
    "restart-for-a-while": [("faults[0].for", "a restart is over when it was injected; allowed: no for")],
    "role-twice": [("nodes[2].role", "the role 'worker' stands twice")],
    "role-unknown": [("nodes[1].role", "found 'wroker'")],
    "scenario-alone-and-together": [
        ("experiment.faults[0].at", "found 30s; allowed: before the load ends at 10s"),
        ("experiment.faults[0].target", "topology 'single-node' has no node 'worker-4'"),
        ("mutant", "bugs are planted in the simulated world only"),
    ],
    "scenario-inline-does-not-fit": [
        ("topology.nodes[1].role", "stacked etcd has no nodes of its own"),
        ("experiment.topologies[1]", "'nowhere' stands twice"),
        ("experiment.workloads[0].replicas", "a register workload has no replicas; allowed: type, clients, keys, rate"),
        ("experiment.faults[1].at", "found 11s; allowed: before the load ends at 10s"),
    ],
    "scenario-inline-problems": [
        ("topology.apiVersion", "unknown field; allowed: name, nodes, etcd, load_balancer, timings, description"),
        ("topology.nodes[0].count", "found 0; allowed: an integer, at least 1"),
        ("experiment.workloads", "is missing"),
        ("experiment.workload", "unknown field; allowed: name"),
    ],
    "scenario-inline-target-not-there": [
        ("experiment.faults[0].target", "topology 'single-node' has no node 'worker-1'; allowed: control-plane-1")
    ],
    "scenario-topology-a-list": [
        ("topology", "found a list; allowed: a name or a path, or a mapping with name, nodes, etcd"),
        ("experiment", "found 7; allowed: a name or a path, or a mapping with name, claim"),
    ],
    "scenario-without-victims": [
        ("experiment", "'kill-worker' does not fit 'single-node'"),
        ("faults[0].target", "topology 'single-node' has no worker"),
        ("expect.recovery.pods_running_elsewhere", "a single node that Pods can run on"),
    ],
    "seed-negative": [("seed", "found -1; allowed: an integer, at least 0 and at most 9007199254740992")],
    "stacked-with-etcd-nodes": [("nodes[1].role", "stacked etcd has no nodes of its own")],
    "syntax-tab": [(ROOT, "not valid YAML")],
    "syntax-unclosed": [(ROOT, "not valid YAML: while parsing a flow mapping")],
    "tag": [("nodes", "found the tag 'tag:yaml.org,2002:python/object/apply:os.system'")],
    "target-no-such-node": [("faults[0].target", "topology 'stacked-3' has no node 'control-plane-4'")],
    "target-not-on-every-topology": [("faults[0].target", "topology 'single-node' has no worker")],
    "target-unknown": [("faults[0].target", "unknown target 'etcd-leadr'")],
    "timings-election-too-short": [("timings.etcd_election", "found 1s; allowed: at least five heartbeats, 2.5s")],
    "timings-not-a-duration": [("timings.etcd_election", "found 200; allowed: a duration")],
    "timings-preset-unknown": [("timings", "found 'fsat'; allowed: a preset (fast, upstream)")],
    "too-deep": [(ROOT, "nested deeper than 20 levels")],
    "topology-is-an-experiment": [("topologies[0]", "'kill-worker' is an Experiment")],
    "topology-unknown": [("topologies[0]", "did you mean 'stacked-3'?")],
    "two-documents": [(ROOT, "found 2 documents; allowed: one document")],
    "two-load-balancers": [("nodes[1].count", "found 2 load balancers; allowed: at most one")],
    "world-unknown": [("world", "found 'simm'; allowed: one of real, sim; did you mean 'sim'?")],
    "conviction-by-nobody": [("expect.conviction.by", "is missing")],
    "conviction-of-what-nobody-feeds": [
        (
            "expect.conviction.by",
            "no workload gives linearizability anything to judge; allowed: with a workload of type create or register",
        )
    ],
    "conviction-of-what-is-not-there": [
        ("expect.conviction.by", "topology 'etcd-3' has no control plane, so takeovers has nothing to judge")
    ],
    "conviction-of-what-is-not-told": [("expect.conviction.by", "the real etcd tells none")],
    "conviction-unknown": [
        ("expect.conviction.engine", "did you mean 'pysyncobj-stock'?"),
        ("expect.conviction.by", "did you mean 'durability'?"),
    ],
    "workload-field-of-another": [("workloads[0].keys", "a deployment workload has no keys")],
    "workloads-none-writes": [("workloads", "no workload writes"), ("faults[0].at", "found 0s")],
    "workload-unknown": [("workloads[0].type", "did you mean 'register'?")],
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_bad_file_is_refused_with_every_problem_in_it(name: str) -> None:
    path = BAD / f"{name}.yaml"
    with pytest.raises(SpecError) as caught:
        load(path)
    problems = caught.value.problems
    assert [problem.field for problem in problems] == [field for field, _ in EXPECTED[name]]
    for problem, (field, reason) in zip(problems, EXPECTED[name], strict=True):
        assert reason in str(problem)
        assert f": {field}: " in str(problem)
    assert str(path) in str(caught.value)


def test_every_bad_file_has_an_expectation() -> None:
    assert {path.stem for path in BAD.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize(
    "name", [n for n in EXPECTED if n not in {"binary", "directory", "empty", "null-byte", "only-a-comment"}]
)
def test_problem_names_its_line(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(BAD / f"{name}.yaml")
    assert all(problem.line for problem in caught.value.problems)
