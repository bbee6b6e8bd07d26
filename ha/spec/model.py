"""``apiVersion: ha/v1``: Topology, Experiment and Scenario.

These structs are the one declaration of the format. `ha.spec.load` checks files against them field by
field, and `ha.spec.reference` writes the manual from them: a field's name in YAML is its encoded name,
its description stands in its annotation. Durations are written as in Kubernetes and Go (``300ms``, ``2s``,
``1m30s``) and held as seconds, which is why the attribute is ``at_s`` where the file says ``at``.
"""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, field

__all__ = [
    "Bound",
    "CheckerName",
    "Component",
    "Conviction",
    "Direction",
    "Engine",
    "Etcd",
    "EtcdTopology",
    "Expect",
    "Experiment",
    "Fault",
    "FaultName",
    "Liveness",
    "LoadBalancer",
    "LoadBalancerEngine",
    "NodeGroup",
    "OperationBounds",
    "OperationGroup",
    "Phase",
    "Role",
    "Scenario",
    "ScenarioFile",
    "Seed",
    "Target",
    "Timings",
    "TimingsName",
    "Topology",
    "Workload",
    "WorkloadType",
    "WorldName",
]

Seconds: TypeAlias = Annotated[float, Meta(ge=0, extra={"format": "duration"})]
Period: TypeAlias = Annotated[float, Meta(gt=0, le=86400, extra={"format": "duration"})]
Offset: TypeAlias = Annotated[float, Meta(ge=-86400, le=86400, extra={"format": "duration"})]
Rate: TypeAlias = Annotated[float, Meta(gt=0, le=10000)]
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
"""What JSON keeps exactly, whoever reads it."""
Role: TypeAlias = Literal["control-plane", "worker", "etcd", "load-balancer"]
EtcdTopology: TypeAlias = Literal["stacked", "external"]
Engine: TypeAlias = Literal["pysyncobj", "pysyncobj-stock", "etcd"]
LoadBalancerEngine: TypeAlias = Literal["embedded", "haproxy"]
Reads: TypeAlias = Literal["engine", "log"]
FaultName: TypeAlias = Literal[
    "kill",
    "pause",
    "restart",
    "partition",
    "ring-partition",
    "bridge-partition",
    "delay",
    "bandwidth",
    "refuse",
    "reset",
    "disk-full",
    "disk-error",
    "slow-disk",
    "bit-flip",
    "wipe-disk",
    "torn-write",
    "clock-offset",
    "clock-rate",
]
CheckerName: TypeAlias = Literal[
    "linearizability",
    "durability",
    "store-model",
    "leases",
    "locks",
    "leaders",
    "committed",
    "convergence",
    "watch-guarantees",
    "watch-cache",
    "takeovers",
    "pods",
    "crash",
    "ready",
]
"""Those of `ha.history.result.Checker` who judge what every run claims; a test holds the two together."""
Direction: TypeAlias = Literal["both", "inbound", "outbound"]
WorkloadType: TypeAlias = Literal["register", "create", "deployment", "store", "put", "lock", "watch"]
WorldName: TypeAlias = Literal["real", "sim"]
OperationGroup: TypeAlias = Literal["read", "write"]
TimingsName: TypeAlias = Literal["fast", "upstream", "explicit"]
Component: TypeAlias = Literal[
    "cloud-controller-manager",
    "etcd",
    "kube-apiserver",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-proxy",
    "kubelet",
    "load-balancer",
]
Phase: TypeAlias = Literal[
    "load_balancer_detection",
    "raft_election",
    "first_write",
    "controller_manager_takeover",
    "scheduler_takeover",
    "node_not_ready",
    "pods_running_elsewhere",
]
"""The same names as `ha.history.result.PHASES`; a test holds the two together."""


class Timings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every timeout and period of the cluster, in seconds. The defaults are upstream's own.

    Sources: etcd tuning guide; component-base leader election defaults; kubelet configuration v1beta1;
    kube-controller-manager flags (1.32); DefaultTolerationSeconds; kube-proxy configuration v1alpha1; kind's load
    balancer template.
    """

    etcd_heartbeat: Annotated[Period, Meta(description="Heartbeat of the Raft leader.")] = 0.1
    etcd_election: Annotated[Period, Meta(description="Silence after which a member stands for election.")] = 1.0
    lease_duration: Annotated[Period, Meta(description="Leader-election Lease: age at which others take it.")] = 15.0
    lease_renew_deadline: Annotated[
        Period,
        Meta(description="Leader-election Lease: the holder gives up when it could not renew for so long."),
    ] = 10.0
    lease_retry_period: Annotated[Period, Meta(description="Leader-election Lease: time between attempts.")] = 2.0
    node_lease_duration: Annotated[Period, Meta(description="Duration of a node's own Lease.")] = 40.0
    node_lease_renew: Annotated[Period, Meta(description="How often the kubelet renews it.")] = 10.0
    node_status_update: Annotated[Period, Meta(description="How often the kubelet looks at its node's status.")] = 10.0
    node_monitor_period: Annotated[Period, Meta(description="How often the node controller looks at Nodes.")] = 5.0
    node_monitor_grace: Annotated[Period, Meta(description="Silence after which a Node's Ready is Unknown.")] = 50.0
    pod_eviction_toleration: Annotated[
        Seconds, Meta(description="How long Pods tolerate a node that is not ready or unreachable.")
    ] = 300.0
    node_eviction_period: Annotated[
        Annotated[float, Meta(gt=0, extra={"format": "duration"})],
        Meta(description="Time between the evictions of two nodes that fell silent."),
    ] = 10.0
    container_backoff: Annotated[Seconds, Meta(description="First delay before a container is restarted.")] = 10.0
    container_backoff_max: Annotated[Seconds, Meta(description="Longest delay; it doubles in between.")] = 300.0
    load_balancer_check: Annotated[Period, Meta(description="Time between health checks of a backend.")] = 1.0
    proxy_min_sync: Annotated[Period, Meta(description="kube-proxy: least time between two changes of its table.")] = (
        1.0
    )
    store_request_timeout: Annotated[Period, Meta(description="Deadline of an API server's request to etcd.")] = 5.0
    client_timeout: Annotated[Period, Meta(description="Deadline of a workload client's request.")] = 2.0


class NodeGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`count` nodes of one role, as kind lists them. They are named ``worker-1``, ``worker-2`` and so on;
    the load balancer is ``load-balancer``.
    """

    role: Annotated[Role, Meta(description="What the nodes are for.")]
    count: Annotated[int, Meta(ge=1, le=50, description="How many of them.")] = 1


class Etcd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the store runs and what runs it."""

    topology: Annotated[
        EtcdTopology,
        Meta(description="stacked: a member on every control-plane node. external: on nodes of role etcd."),
    ] = "stacked"
    engine: Annotated[
        Engine,
        Meta(
            description="What keeps the members agreed. pysyncobj-stock is the library as it is, which loses writes. "
            "etcd is the real one, a program of its own in place of our member; in the real world only."
        ),
    ] = "pysyncobj"
    binary: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="engine etcd: the executable, a path relative to this file; without it that of the extra "
            "`ha-testbed[etcd]`, else `etcd` on the PATH."
        ),
    ] = None
    reads: Annotated[
        Reads,
        Meta(
            description="How a read is made linearizable. engine: by what the engine has for it (pysyncobj: ReadIndex; "
            "pysyncobj-stock: nothing, so reads are stale; etcd: ReadIndex). log: by a command that changes nothing, "
            "as in etcd 2."
        ),
    ] = "engine"
    snapshot_count: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Log entries between two snapshots, as etcd's flag of this name.")
    ] = 10_000


class LoadBalancer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stands before the API servers, where there are several control planes."""

    engine: Annotated[
        LoadBalancerEngine,
        Meta(
            description="embedded: ours. haproxy: the real one, a program of its own in its place; in the real world "
            "only."
        ),
    ] = "embedded"
    binary: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(
            description="engine haproxy: the executable, a path relative to this file; without it `haproxy` on the "
            "PATH or in /usr/sbin."
        ),
    ] = None


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The shape of a cluster. More than one control plane brings a load balancer, as in kind. Nodes of role etcd
    alone are the store by itself, which only clients of etcd can use.
    """

    name: Annotated[Name, Meta(description="Name of the topology.")]
    nodes: Annotated[list[NodeGroup], Meta(min_length=1, description="The nodes by role; a role stands once.")]
    etcd: Annotated[Etcd, Meta(description="The store.")] = Etcd()
    load_balancer: Annotated[LoadBalancer, Meta(description="The load balancer.")] = LoadBalancer()
    timings: Annotated[
        Timings,
        Meta(description="A preset (fast is upstream divided by ten), or a mapping with a preset and what differs."),
    ] = Timings()
    timings_name: Annotated[TimingsName, Meta(extra={"derived": True})] = "upstream"
    description: Annotated[str, Meta(description="For people.")] = ""

    def count(self, role: Role) -> int:
        """How many nodes of a role, the implied load balancer included."""
        n = sum(g.count for g in self.nodes if g.role == role)
        if role == "load-balancer" and n == 0 and self.count("control-plane") > 1:
            return 1
        return n

    def names(self, role: Role) -> list[str]:
        """Names of the nodes of a role, in order."""
        if role == "load-balancer":
            return ["load-balancer"] * self.count(role)
        return [f"{role}-{i}" for i in range(1, self.count(role) + 1)]

    @property
    def store_alone(self) -> bool:
        """Whether there is no control plane, hence no API."""
        return self.count("control-plane") == 0

    @property
    def etcd_role(self) -> Role:
        """The role of the nodes that host an etcd member."""
        return "etcd" if self.etcd.topology == "external" else "control-plane"


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom a fault hits. A plain string is short for its `select`."""

    select: Annotated[
        str,
        Meta(
            description="A node's name (worker-1), or a role (control-plane, worker, load-balancer; etcd: the hosts of "
            "the etcd members, stacked or external), or one of "
            "etcd-leader, etcd-followers, scheduler-leader, controller-manager-leader, "
            "cloud-controller-manager-leader, all."
        ),
    ]
    take: Annotated[
        Literal["one", "minority", "majority", "all"], Meta(description="How many of those that match; the seed picks.")
    ] = "all"
    component: Annotated[
        Component | None,
        Meta(description="Only this process of each node taken; without it the whole node."),
    ] = None


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the schedule. Times count from the moment that the load runs. Undone means: a killed node
    boots again, a paused one resumes, a killed component has been restarted by its kubelet, links, disks and clocks
    are as they were. What each fault does, which fields it takes and which world can do it: [faults](faults.md).
    """

    fault: Annotated[FaultName, Meta(description="What is done.")]
    target: Annotated[Target, Meta(description="To whom.")]
    at_s: Annotated[Seconds, Meta(description="First injection.")] = field(name="at")
    for_s: Annotated[
        Period | None,
        Meta(
            description="How long until it is undone; without it at the end of the load. A restart or a reset has none."
        ),
    ] = field(name="for", default=None)
    every_s: Annotated[
        Period | None,
        Meta(description="Repeats it until the load ends, resolving the target anew each time."),
    ] = field(name="every", default=None)
    source: Annotated[
        Target | None,
        Meta(description="Faults of links: the nodes at the other end; without it all that are not the target."),
    ] = field(name="from", default=None)
    direction: Annotated[
        Direction | None,
        Meta(description="partition: inbound, nothing reaches the target; outbound, nothing leaves it; default both."),
    ] = None
    latency_s: Annotated[Period | None, Meta(description="delay, slow-disk: how much longer it takes.")] = field(
        name="latency", default=None
    )
    jitter_s: Annotated[Period | None, Meta(description="delay: up to so much more, at random.")] = field(
        name="jitter", default=None
    )
    bytes_per_s: Annotated[
        Annotated[float, Meta(ge=1, le=1e12)] | None, Meta(description="bandwidth: what each link passes.")
    ] = None
    offset_s: Annotated[
        Offset | None, Meta(description="clock-offset: by how much the wall clock jumps, forward or (-30s) back.")
    ] = field(name="offset", default=None)
    rate: Annotated[
        Annotated[float, Meta(gt=0, le=100)] | None,
        Meta(description="clock-rate: seconds of the wall clock per second."),
    ] = None

    def occurrences_s(self, load_s: float) -> list[float]:
        """When it is injected within a load of that length."""
        if self.every_s is None:
            return [self.at_s] if self.at_s < load_s else []
        return [self.at_s + i * self.every_s for i in range(ceil((load_s - self.at_s) / self.every_s))]


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Clients of one kind. With a rate the loop is open (requests arrive at that rate over all clients, whatever
    the answers do), without one closed (each client asks again as soon as it is answered).
    """

    type: Annotated[
        WorkloadType,
        Meta(
            description="register: read, write and compare-and-set a few ConfigMaps. create: ConfigMaps that must all "
            "be there in the end. deployment: a Deployment whose Pods must run. store: everything that etcd's API "
            "offers, asked of its members directly, each client of one member. put: keys of etcd that must all be "
            "there in the end, put by clients of one member each. lock: locks in the store, held with leases. watch: "
            "clients that follow whatever the other workloads write, at single members, at all of them and at the API."
        ),
    ]
    clients: Annotated[int, Meta(ge=1, le=256, description="All but deployment: concurrent clients, or watchers.")] = 4
    rate_per_s: Annotated[
        Rate | None,
        Meta(
            description="register, create, store, put, lock: requests per second, all clients together. deployment: "
            "how often a second it is scaled, to one up to all of its replicas; without it never."
        ),
    ] = field(name="rate", default=None)
    keys: Annotated[
        int, Meta(ge=1, le=10000, description="register, store, lock: how many ConfigMaps, keys of etcd, or locks.")
    ] = 10
    replicas: Annotated[int, Meta(ge=1, le=100, description="deployment: how many Pods.")] = 4
    value_bytes: Annotated[
        int, Meta(ge=1, le=100_000, description="put: how large a value is, if its name is not longer.")
    ] = 16


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits on a duration."""

    at_most_s: Annotated[Seconds | None, Meta(description="Upper limit.")] = field(name="at_most", default=None)
    at_least_s: Annotated[Seconds | None, Meta(description="Lower limit.")] = field(name="at_least", default=None)


class OperationBounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits on the unavailability of one operation group."""

    longest: Annotated[Bound | None, Meta(description="The longest window.")] = None
    total: Annotated[Bound | None, Meta(description="All windows together.")] = None


class Conviction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """For an experiment whose claim is that something is found wrong. On this engine a run passes when this checker
    convicts, and fails when it does not; whatever else is found is told and decides nothing. On any other engine it
    is judged as if this were not there: there everything must hold.
    """

    engine: Annotated[Engine, Meta(description="Of what it is claimed.")]
    by: Annotated[CheckerName, Meta(description="Who must convict it.")]


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must hold beside safety, which always must (linearizable, nothing acknowledged lost), unless a conviction is
    expected.
    """

    unavailability: Annotated[
        dict[OperationGroup, OperationBounds], Meta(description="By operation group: read or write.")
    ] = {}
    recovery: Annotated[
        dict[Phase, Bound], Meta(description="By phase, from the injection to the end of the phase.")
    ] = {}
    conviction: Annotated[
        Conviction | None, Meta(description="What must be found wrong, with which engine; without it nothing may be.")
    ] = None


class Liveness(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must hold once the load's time is over: a part of the cluster is healed, with the clients still at work
    and everything else as broken as it is, and this part must serve again. Only then everything is healed. What is
    only slow, and what would leave a member outside in touch with a part of the core's, is not left broken.
    """

    core: Annotated[
        list[str],
        Meta(
            min_length=1,
            description="The nodes that are healed: a majority of the etcd members, an API server, and the load "
            "balancer where there is one.",
        ),
    ]
    within_s: Annotated[Period, Meta(description="Until they serve steadily: no request fails any more.")] = field(
        name="within"
    )


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One claim, the load and the faults that put it to the test, and the topologies on which it holds."""

    name: Annotated[Name, Meta(description="Name of the experiment.")]
    claim: Annotated[str, Meta(min_length=1, description="What is claimed, in plain words.")]
    topologies: Annotated[
        list[str],
        Meta(min_length=1, description="On what it holds: names of the catalogue, or paths relative to this file."),
    ]
    duration_s: Annotated[Period, Meta(description="How long the load runs.")] = field(name="duration")
    workloads: Annotated[list[Workload], Meta(min_length=1, description="The clients.")]
    faults: Annotated[list[Fault], Meta(description="The schedule; empty to measure the undisturbed cluster.")]
    missed_faults: Annotated[
        Literal["inconclusive", "ignored"],
        Meta(
            description="What a fault makes of the run that finds nobody, comes too late or is not attested. ignored: "
            "the claim is about whatever strikes, as with a schedule drawn at random."
        ),
    ] = "inconclusive"
    expect: Annotated[Expect, Meta(description="Bounds on what the faults may cost.")] = Expect()
    observe_s: Annotated[
        Period,
        Meta(description="How often members, API servers and load balancer are asked how they are."),
    ] = field(name="observe", default=0.025)
    liveness: Annotated[
        Liveness | None, Meta(description="A core that must serve while the rest stays broken; without it none must.")
    ] = None


class ScenarioFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A topology and an experiment to run on it, each named or written out in place, and where it runs. With both
    written out and a seed this one file repeats a run.
    """

    name: Annotated[Name, Meta(description="Name of the scenario.")]
    topology: Annotated[
        Topology | str,
        Meta(description="A path relative to this file, a name of the catalogue, or the topology itself."),
    ]
    experiment: Annotated[
        Experiment | str,
        Meta(
            description="A path relative to this file, a name of the catalogue, or the experiment itself. Its "
            "`topologies` may then be left out, and are not looked up."
        ),
    ]
    world: Annotated[
        WorldName,
        Meta(
            description="real: processes on loopback. sim: the same components in virtual time, where the seed decides "
            "everything. `--world` overrides it."
        ),
    ] = "real"
    seed: Annotated[
        Seed | None, Meta(description="Decides every random choice; without it a new one. `--seed` overrides it.")
    ] = None
    mutant: Annotated[
        Name | None, Meta(description="A bug that is planted for the time of the run, to see it found; in sim only.")
    ] = None
    description: Annotated[str, Meta(description="For people.")] = ""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A topology and an experiment, resolved, and where they meet."""

    name: Name
    topology: Topology
    experiment: Experiment
    world: WorldName = "real"
    seed: int | None = None
    mutant: str | None = None
