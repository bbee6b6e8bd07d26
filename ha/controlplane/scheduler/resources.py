"""What pods ask for and what nodes have, reduced to what scheduling decides on. Pure.

CPU in millicores, memory in bytes, rounded against the pod: requests up, allocatable down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from ha.kube.conditions import condition_status
from ha.kube.kinds import Object
from ha.kube.quantity import parse_quantity
from ha.kube.taints import NOT_READY, UNREACHABLE, UNSCHEDULABLE

__all__ = ["NodeInfo", "PodInfo", "Resources"]

_DEFAULT_CPU_M = 100
_DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024
"""What a container without requests counts for when nodes are scored (upstream: GetNonzeroRequests)."""


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of CPU (millicores) and memory (bytes)."""

    cpu_m: int = 0
    memory_bytes: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(self.cpu_m + other.cpu_m, self.memory_bytes + other.memory_bytes)

    def __sub__(self, other: Resources) -> Resources:
        return Resources(self.cpu_m - other.cpu_m, self.memory_bytes - other.memory_bytes)


@dataclass(frozen=True, slots=True)
class PodInfo:
    """A pod as the scheduler sees it. `requests` decides what fits, `weight` (never zero) what is fuller."""

    uid: str
    namespace: str
    name: str
    owner: str
    requests: Resources
    weight: Resources
    tolerations: tuple[Object, ...]
    node_selector: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, pod: Object) -> PodInfo:
        """Read a Pod."""
        meta, spec = pod["metadata"], pod.get("spec") or {}
        requests = weight = Resources()
        for container in spec.get("containers") or []:
            asked = (container.get("resources") or {}).get("requests") or {}
            cpu, memory = ceil(_amount(asked, "cpu") * 1000), ceil(_amount(asked, "memory"))
            requests += Resources(cpu, memory)
            weight += Resources(cpu or _DEFAULT_CPU_M, memory or _DEFAULT_MEMORY_BYTES)
        owner = next((r["uid"] for r in meta.get("ownerReferences") or [] if r.get("controller")), "")
        return cls(
            uid=meta["uid"],
            namespace=meta.get("namespace", ""),
            name=meta["name"],
            owner=owner,
            requests=requests,
            weight=weight,
            tolerations=tuple(spec.get("tolerations") or ()),
            node_selector=tuple(sorted((spec.get("nodeSelector") or {}).items())),
        )


@dataclass(slots=True)
class NodeInfo:
    """A node and what runs on it. `pods` are accounted for by the cache, which owns this object."""

    name: str
    allocatable: Resources = Resources()
    max_pods: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[Object, ...] = ()
    known: bool = False
    """Whether there is a Node of that name; pods may be bound to one that is not seen yet, or gone."""
    pods: dict[str, PodInfo] = field(default_factory=dict)
    requested: Resources = Resources()
    weight: Resources = Resources()

    def describe(self, node: Object | None) -> None:
        """Take over what a Node says; None: it is gone."""
        self.known = node is not None
        if node is None:
            return
        has = (node.get("status") or {}).get("allocatable") or {}
        self.allocatable = Resources(int(_amount(has, "cpu") * 1000), int(_amount(has, "memory")))
        self.max_pods = int(_amount(has, "pods"))
        self.labels = node["metadata"].get("labels") or {}
        self.taints = tuple(_taints(node))

    def same_offer(self, other: NodeInfo) -> bool:
        """Whether two states of a node offer the same to a pod: heartbeats change nothing."""
        mine = (self.known, self.allocatable, self.max_pods, self.labels, self.taints)
        return mine == (other.known, other.allocatable, other.max_pods, other.labels, other.taints)

    def add(self, pod: PodInfo) -> None:
        """Account for a pod."""
        assert pod.uid not in self.pods, "a pod is accounted for once"
        self.pods[pod.uid] = pod
        self.requested += pod.requests
        self.weight += pod.weight

    def remove(self, uid: str) -> None:
        """Stop accounting for a pod."""
        pod = self.pods.pop(uid)
        self.requested -= pod.requests
        self.weight -= pod.weight


def _amount(resources: Object, name: str) -> Fraction:
    """One resource; what is no quantity counts as nothing (a component must not die of what somebody wrote)."""
    try:
        return parse_quantity(resources.get(name, 0))
    except ValueError:
        return Fraction(0)


def _taints(node: Object) -> list[Object]:
    """The node's taints, and those that its state implies even before the node lifecycle controller wrote them."""
    spec = node.get("spec") or {}
    taints: list[Object] = list(spec.get("taints") or [])
    ready = condition_status(node, "Ready")
    implied = []
    if ready != "True":
        implied.append(UNREACHABLE if ready == "Unknown" else NOT_READY)
    if spec.get("unschedulable"):
        implied.append(UNSCHEDULABLE)
    for key in implied:
        if not any(t.get("key") == key and t.get("effect") == "NoSchedule" for t in taints):
            taints.append({"key": key, "effect": "NoSchedule"})
    return taints
