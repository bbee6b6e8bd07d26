"""``apiVersion: ha/v1``: Topology, Experiment and Scenario.

Durations are written as in Kubernetes and Go (``300ms``, ``2s``, ``1m30s``) and held as seconds.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

__all__ = [
    "Bound",
    "Engine",
    "Etcd",
    "EtcdTopology",
    "Expect",
    "Experiment",
    "Fault",
    "FaultName",
    "NodeGroup",
    "OperationBounds",
    "Role",
    "Scenario",
    "Spec",
    "Target",
    "Timings",
    "Topology",
    "Workload",
]

Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Role: TypeAlias = Literal["control-plane", "worker", "etcd", "load-balancer"]
EtcdTopology: TypeAlias = Literal["stacked", "external"]
Engine: TypeAlias = Literal["pysyncobj"]
FaultName: TypeAlias = Literal["kill", "pause", "restart"]


class Timings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every timeout and period of the cluster, in seconds. The defaults are upstream's own.

    Sources: etcd tuning guide; component-base leader election defaults; kubelet configuration v1beta1;
    kube-controller-manager flags (1.32); DefaultTolerationSeconds; kind's load balancer template.
    """

    etcd_heartbeat: Seconds = 0.1
    etcd_election: Seconds = 1.0
    lease_duration: Seconds = 15.0
    lease_renew_deadline: Seconds = 10.0
    lease_retry_period: Seconds = 2.0
    node_lease_duration: Seconds = 40.0
    node_lease_renew: Seconds = 10.0
    node_status_update: Seconds = 10.0
    node_monitor_period: Seconds = 5.0
    node_monitor_grace: Seconds = 50.0
    pod_eviction_toleration: Seconds = 300.0
    container_backoff: Seconds = 10.0
    container_backoff_max: Seconds = 300.0
    load_balancer_check: Seconds = 1.0
    store_request_timeout: Seconds = 5.0
    client_timeout: Seconds = 2.0


class NodeGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`count` nodes of one role, as kind lists them."""

    role: Role
    count: Annotated[int, Meta(ge=1, le=50)] = 1


class Etcd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the store runs and what runs it."""

    topology: EtcdTopology = "stacked"
    engine: Engine = "pysyncobj"


class Topology(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The shape of a cluster. More than one control plane brings a load balancer, as in kind."""

    name: Name
    nodes: list[NodeGroup]
    etcd: Etcd = Etcd()
    timings: Timings = Timings()
    timings_name: Literal["fast", "upstream", "explicit"] = "upstream"
    description: str = ""

    def count(self, role: Role) -> int:
        """How many nodes of a role, the implied load balancer included."""
        n = sum(g.count for g in self.nodes if g.role == role)
        if role == "load-balancer" and n == 0 and self.count("control-plane") > 1:
            return 1
        return n


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom a fault hits. `select` is a node's name, or a role (``control-plane``, ``worker``, ``etcd``,
    ``load-balancer``), or one of ``etcd-leader``, ``etcd-followers``, ``scheduler-leader``,
    ``controller-manager-leader``, ``all``. `take` says how many of those that match. `component` narrows
    the fault to one process of each node taken (``kube-apiserver``); None is the whole node.
    """

    select: str
    take: Literal["one", "minority", "majority", "all"] = "all"
    component: str | None = None


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the schedule. Times count from the moment that the load runs.

    `at_s` the first injection; `for_s` how long until it is undone (None: at the end of the load; a killed
    node boots again, a paused one resumes, a killed component is restarted by its kubelet); `every_s`
    repeats it until the load ends, resolving the target anew each time.
    """

    fault: FaultName
    target: Target
    at_s: Seconds
    for_s: Seconds | None = None
    every_s: Annotated[float, Meta(gt=0)] | None = None


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Clients of one kind. With a rate the loop is open (arrivals at `rate_per_s` over all clients, whatever
    the answers do), without one closed (each client asks again as soon as it is answered).
    """

    type: Literal["register", "create", "deployment"]
    clients: Annotated[int, Meta(ge=1, le=256)] = 4
    rate_per_s: Annotated[float, Meta(gt=0, le=10000)] | None = None
    keys: Annotated[int, Meta(ge=1, le=10000)] = 10
    replicas: Annotated[int, Meta(ge=1, le=100)] = 4


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits on a duration, in seconds."""

    at_most_s: Seconds | None = None
    at_least_s: Seconds | None = None


class OperationBounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits on the unavailability of one operation group."""

    longest: Bound | None = None
    total: Bound | None = None


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must hold beside safety, which always must (linearizable, nothing acknowledged lost)."""

    unavailability: dict[Literal["read", "write"], OperationBounds] = {}
    recovery: dict[str, Bound] = {}
    """By phase of `ha.history.result.PHASES`."""


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One claim, the load and the faults that put it to the test, and the topologies on which it holds."""

    name: Name
    claim: str
    topologies: list[str]
    duration_s: Annotated[float, Meta(gt=0, le=86400)]
    workloads: list[Workload]
    faults: list[Fault]
    expect: Expect = Expect()


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A topology and an experiment, resolved."""

    name: Name
    topology: Topology
    experiment: Experiment


Spec: TypeAlias = Topology | Experiment | Scenario
