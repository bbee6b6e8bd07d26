"""A made-up but realistic run: stacked-3, the node of the etcd leader killed for eight seconds."""

import random

from ha.check.summary import counts
from ha.history import (
    BackendChange,
    ComponentExit,
    Event,
    FaultEvent,
    LeaseChange,
    MemberSample,
    NodeCondition,
    Operation,
    OperationType,
    Outcome,
    PhaseEvent,
    PodChange,
    ReadyChange,
)
from ha.history.result import (
    Checks,
    Claim,
    FaultRecord,
    Machine,
    NodeRecord,
    Recovery,
    Result,
    Run,
    Unavailability,
    Window,
)

LOAD_S, KILL_S, BOOT_S, END_S = 2.3, 5.31, 13.31, 16.3
GAP_S = 0.62
CONTROL_PLANES = ["control-plane-1", "control-plane-2", "control-plane-3"]
VICTIM = "control-plane-2"


def sample(*, seed: int = 7, external: bool = False) -> Run:
    rng = random.Random(seed)
    operations = _operations(rng)
    return Run(
        result=_result(operations, seed, external=external), operations=operations, events=_events(external=external)
    )


def _operations(rng: random.Random) -> list[Operation]:
    made: list[Operation] = []
    for workload, type_, rate in (("register", "read", 80), ("register", "cas", 80), ("create", "create", 80)):
        at_s = LOAD_S
        while at_s < END_S - 0.1:
            at_s += rng.expovariate(rate)
            made.append(_operation(rng, workload, type_, at_s, len(made)))
    return sorted(made, key=lambda op: op.invoked_s)


def _operation(rng: random.Random, workload: str, type_: OperationType, at_s: float, n: int) -> Operation:
    taken_s = rng.lognormvariate(-4.9 if type_ == "read" else -4.5, 0.45)
    outcome: Outcome = "ok"
    error = None
    if KILL_S - 0.03 < at_s < KILL_S + GAP_S:
        left_s = KILL_S + GAP_S - at_s
        if rng.random() < 0.35:
            outcome, taken_s, error = "info", 1.0, "RequestTimeout"
        elif rng.random() < 0.5:
            outcome, taken_s, error = "fail", 0.002, "ConnectError: refused"
        else:
            taken_s = left_s + abs(rng.gauss(0.05, 0.04))
    elif KILL_S + GAP_S <= at_s < KILL_S + 1.4 and rng.random() < 0.3:
        taken_s += rng.random() * 0.3
    elif BOOT_S < at_s < BOOT_S + 0.8:
        taken_s *= 2.2
    elif type_ == "cas" and rng.random() < 0.06:
        outcome, error = "fail", "Conflict: 409"
    return Operation(
        workload=workload,
        client=n % 8,
        type=type_,
        key=f"{workload}-{n % 10 if type_ != 'create' else n}",
        value=str(n),
        invoked_s=round(at_s, 6),
        completed_s=round(at_s + taken_s, 6),
        outcome=outcome,
        revision=1000 + n if outcome == "ok" else None,
        error=error,
    )


def _events(*, external: bool) -> list[Event]:
    events: list[Event] = [PhaseEvent(at_s=at_s, phase=phase) for at_s, phase in _phases()]
    events += _raft(["etcd-1", "etcd-2", "etcd-3"] if external else CONTROL_PLANES)
    for i, member in enumerate(CONTROL_PLANES):
        events += [BackendChange(at_s=1.4 + i / 20, backend=member, up=True, reason="3 checks passed")]
        events += [ReadyChange(at_s=1.2 + i / 20, node=member, ready=True)]
    events += _failover()
    for n, node in enumerate(["worker-1", "worker-2", "worker-1", "worker-2"]):
        pod = {"namespace": "default", "name": f"load-{n}", "uid": f"u{n}", "node": node, "owner": "ReplicaSet/load-7f"}
        events += [PodChange(at_s=2.4 + n / 10, phase="Pending", ready=False, **pod)]
        events += [PodChange(at_s=2.9 + n / 10, phase="Running", ready=True, **pod)]
    return sorted(events, key=lambda event: event.at_s)


def _raft(members: list[str]) -> list[Event]:
    events: list[Event] = []
    first, second = members[1:]
    for i, member in enumerate(members):
        for at_s, leader, term in _terms(i, first, second):
            reachable = term is not None
            events.append(
                MemberSample(at_s=at_s, member=member, node=member, reachable=reachable, term=term, leader=leader)
            )
    return events


def _terms(i: int, first: str, second: str) -> list[tuple[float, str | None, int | None]]:
    begin: list[tuple[float, str | None, int | None]] = [(0.62 + i / 50, None, 1), (0.74 + i / 50, first, 2)]
    if i == 1:
        return [*begin, (KILL_S + 0.02, None, None), (BOOT_S + 0.7, second, 4)]
    return [*begin, (KILL_S + 0.12, None, 3), (KILL_S + 0.31 + i / 100, second, 4)]


def _phases() -> list[tuple[float, str]]:
    return [(0, "up"), (LOAD_S, "load"), (KILL_S, "faults"), (BOOT_S, "recovery"), (END_S, "check"), (16.9, "down")]


def _failover() -> list[Event]:
    fault = {"index": 0, "fault": "kill", "target": "etcd-leader", "nodes": [VICTIM], "attested": True}
    nodes = [*CONTROL_PLANES, "worker-1", "worker-2"]
    events: list[Event] = [NodeCondition(at_s=1.6 + i / 10, node=node, ready="True") for i, node in enumerate(nodes)]
    events += [
        FaultEvent(at_s=KILL_S, action="inject", evidence={"exited": {"kubelet": 4711, "etcd": 4713}}, **fault),
        FaultEvent(at_s=BOOT_S, action="undo", evidence={"booted": "kubelet 5120"}, **fault),
        *(
            ComponentExit(at_s=KILL_S, node=VICTIM, process=p, pid=4711, code=None, signal=9)
            for p in ("etcd", "kubelet")
        ),
        BackendChange(at_s=KILL_S + 0.11, backend=VICTIM, up=False, reason="connection refused"),
        BackendChange(at_s=BOOT_S + 1.3, backend=VICTIM, up=True, reason="2 checks passed"),
        ReadyChange(at_s=KILL_S + 0.05, node=VICTIM, ready=False),
        ReadyChange(at_s=BOOT_S + 1.1, node=VICTIM, ready=True),
        NodeCondition(at_s=KILL_S + 5.4, node=VICTIM, ready="Unknown"),
        NodeCondition(at_s=BOOT_S + 1.4, node=VICTIM, ready="True"),
        LeaseChange(at_s=1.5, name="kube-controller-manager", holder=VICTIM),
        LeaseChange(at_s=KILL_S + 1.72, name="kube-controller-manager", holder="control-plane-1"),
        LeaseChange(at_s=1.55, name="kube-scheduler", holder="control-plane-1"),
    ]
    return events


def _nodes(*, external: bool) -> list[NodeRecord]:
    own = ["kube-apiserver", "kube-scheduler", "kube-controller-manager", "cloud-controller-manager"]
    control = [*own, "kube-proxy", "kubelet"]
    names = [(name, "control-plane", [*([] if external else ["etcd"]), *control]) for name in CONTROL_PLANES]
    names += [(f"etcd-{i}", "etcd", ["etcd", "kubelet"]) for i in (1, 2, 3) if external]
    names += [(f"worker-{i}", "worker", ["kube-proxy", "kubelet"]) for i in (1, 2)]
    names += [("load-balancer", "load-balancer", ["load-balancer"])]
    return [
        NodeRecord(name=name, role=role, address=f"127.34.0.{i + 11}", components=components)
        for i, (name, role, components) in enumerate(names)
    ]


def _claims() -> list[Claim]:
    return [
        Claim(
            checker="availability",
            expectation="unavailability of write, longest: at most 5 s",
            measured="0.623 s",
            held=True,
        ),
        Claim(
            checker="availability",
            expectation="unavailability of read, longest: at most 5 s",
            measured="0.611 s",
            held=True,
        ),
        Claim(checker="recovery", expectation="recovery, raft election: at most 3 s", measured="0.312 s", held=True),
        Claim(checker="recovery", expectation="recovery, first write: at most 5 s", measured="0.641 s", held=True),
    ]


def _result(operations: list[Operation], seed: int, *, external: bool) -> Result:
    memory = {
        f"{node.name}/{component}": 6_400_000 + 310_000 * len(component)
        for node in _nodes(external=external)
        for component in node.components
    } | {"world/zygote": 21_000_000}
    gap = Window(KILL_S + 0.01, KILL_S + 0.01 + GAP_S)
    return Result(
        verdict="pass",
        reason="The history is linearizable, nothing acknowledged was lost, and all 4 expectations held.",
        topology="external-3" if external else "stacked-3",
        experiment="kill-etcd-leader",
        claim="When the node that hosts the etcd leader is killed under load, nothing acknowledged is lost, and writes "
        "come back within five seconds.",
        claims=_claims(),
        checks=Checks(linearizable=True, lost_writes=0, method="by revision"),
        operations=counts(operations),
        unavailability={
            group: Unavailability(longest_s=GAP_S, total_s=GAP_S, windows=[gap], threshold_s=0.1)
            for group in ("write", "read")
        },
        recovery=_phases_s(),
        recoveries=[Recovery(fault=0, target="etcd-leader", phases_s=_phases_s())],
        faults=[_fault("etcd-2" if external else VICTIM)],
        nodes=_nodes(external=external),
        world="real",
        engine="pysyncobj",
        timings="fast",
        timings_s={"etcd_heartbeat": 0.01, "etcd_election": 0.1, "lease_duration": 1.5, "node_monitor_grace": 5.0},
        seed=seed,
        started="2026-11-23T07:14:02Z",
        duration_s=17.4,
        ready_s=2.21,
        memory_bytes=memory,
        memory_total_bytes=sum(memory.values()),
        versions={"ha-testbed": "0.1.0", "pysyncobj": "0.3.17", "trio": "0.35.0"},
        machine=Machine(system="Linux 6.1 x86_64", cores=2, memory_bytes=8 << 30, python="3.11.7"),
        run_dir="runs/2026-11-23T07-14-02-kill-etcd-leader-on-stacked-3",
        repeat="ha run topologies/stacked-3.yaml --chaos chaos/kill-etcd-leader.yaml --seed 7",
    )


def _phases_s() -> dict[str, float | None]:
    return {
        "load_balancer_detection": 0.112,
        "raft_election": 0.312,
        "first_write": 0.641,
        "controller_manager_takeover": 1.72,
        "scheduler_takeover": None,
        "node_not_ready": 5.4,
        "pods_running_elsewhere": None,
    }


def _fault(node: str) -> FaultRecord:
    return FaultRecord(
        index=0,
        fault="kill",
        target="etcd-leader",
        nodes=[node],
        injected_s=KILL_S,
        undone_s=BOOT_S,
        attested=True,
        evidence={
            node: {
                "signal": "SIGKILL",
                "process_group": 4711,
                "exited": {"etcd": 4713, "kube-apiserver": 4714, "kubelet": 4711},
            }
        },
        undo_evidence={node: {"booted": {"kubelet": 5120}}},
    )
