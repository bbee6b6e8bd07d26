"""What was observed: operations of clients, events of the cluster and of the injector. Plain data, all layers.

Times are seconds since the run began, on the run's one monotonic clock. A history is a sequence of
`Operation`; what watchers were told is a sequence of records (`ha.history.watch`); everything else that happened is an
`Event`. All are written as JSON lines.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from ha.history.store import StoreCall

__all__ = [
    "BackendChange",
    "CacheSample",
    "ComponentExit",
    "DeploymentSample",
    "Event",
    "FaultEvent",
    "LeaseChange",
    "MemberDigests",
    "MemberHash",
    "MemberSample",
    "NodeCondition",
    "Operation",
    "OperationType",
    "Outcome",
    "PhaseEvent",
    "PodChange",
    "PodsRunning",
    "ReadyChange",
    "Revision",
]

Outcome: TypeAlias = Literal["ok", "fail", "info"]
"""ok: done · fail: certainly not applied · info: unknown, it may take effect now, later or never."""

OperationType: TypeAlias = Literal["read", "write", "cas", "create", "delete", "txn", "compact", "lease"]
"""read: linearizable get · write: unconditional update · cas: update with a resourceVersion · create · delete.
Of the store itself also: txn · compact · lease (grant, renew, revoke), and a read need not be linearizable.
"""


Revision: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 2)]
"""What comes after the last one must still be a number of 64 bits."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation of one client. A client has at most one outstanding.

    `key` names the object. `value` is what was written or read (None: absent, or unknown). `expected` is
    the revision that a cas demanded. `revision` is the object's resourceVersion: the one that a write
    produced, or that a read saw (0: read found nothing); None when the answer did not tell.
    `completed_s` is None when no answer ever came (outcome info). An operation on etcd itself has its request and
    answer in `store`; `value`, `expected` and `revision` are None then.
    """

    workload: str
    client: int
    type: OperationType
    key: str
    value: str | None = None
    expected: Revision | None = None
    invoked_s: float
    completed_s: float | None = None
    outcome: Outcome
    revision: Revision | None = None
    error: str | None = None
    store: StoreCall | None = None


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    at_s: float


class PhaseEvent(_Event, frozen=True, tag="phase"):
    """The run entered a phase: up, load, faults, core, recovery, check, down."""

    phase: str


class FaultEvent(_Event, frozen=True, tag="fault"):
    """A fault was injected or undone, beginning at `at_s`. It is recorded once its effect was attested, so what
    followed from it may stand before it in a file. `index` numbers the occurrences of a run; inject and undo share it.
    """

    index: int
    action: Literal["inject", "undo"]
    fault: str
    target: str
    nodes: list[str]
    processes: list[str] = []
    links: list[tuple[str, str]] = []
    """From which node to which nothing passes any more, or passes again."""
    took_s: float = 0.0
    """How long it took until its effect was attested."""
    attested: bool = False
    evidence: dict[str, object] = {}
    error: str | None = None


class MemberSample(_Event, frozen=True, tag="member"):
    """What an etcd member said of itself; recorded when it changes. Unreachable: all None."""

    member: str
    node: str
    reachable: bool
    term: int | None = None
    leader: str | None = None
    revision: int | None = None


class BackendChange(_Event, frozen=True, tag="backend"):
    """The load balancer ejected a backend or took it back."""

    backend: str
    up: bool
    reason: str


class LeaseChange(_Event, frozen=True, tag="lease"):
    """A leader-election Lease changed hands. `name`: kube-scheduler, kube-controller-manager and so on. `revision`: of
    the Lease as it is now; `renewed_revision`: as it was seen before, in the hands of somebody else. 0: nobody had it.
    """

    name: str
    holder: str
    revision: int = 0
    renewed_revision: int = 0


class NodeCondition(_Event, frozen=True, tag="node"):
    """The Ready condition of a Node changed."""

    node: str
    ready: Literal["True", "False", "Unknown"]


class PodChange(_Event, frozen=True, tag="pod"):
    """A Pod changed. `owner` is ``Kind/name`` of its controller, or empty."""

    namespace: str
    name: str
    uid: str
    node: str
    phase: str
    ready: bool
    owner: str = ""
    deleted: bool = False


class ReadyChange(_Event, frozen=True, tag="readyz"):
    """An API server began or ceased to answer ``/readyz`` with 200."""

    node: str
    ready: bool


class ComponentExit(_Event, frozen=True, tag="exit"):
    """A process ended."""

    node: str
    process: str
    pid: int
    code: int | None
    signal: int | None


class MemberHash(_Event, frozen=True, tag="hash"):
    """What an etcd member holds in the end: the hash of its keys at `revision`, which the others were asked for as
    well (the real etcd tells it for the revision that it has). None, with `error`: it could not tell within the time
    that it was given.
    """

    member: str
    revision: int
    hash: int | None
    compact_revision: int = 0
    error: str | None = None


class MemberDigests(_Event, frozen=True, tag="digests"):
    """What an etcd member of ours applied of its log: by index, a digest of all entries up to it. Only what is new, or
    another one than before.
    """

    member: str
    digests: dict[int, int]


class CacheSample(_Event, frozen=True, tag="cache"):
    """What an API server's cache holds in the end of what the workloads wrote. `behind`: by name of the object, the
    revision in the cache and the one in the store (0: not there), where they differ. `error`: it did not answer.
    """

    node: str
    objects: int
    behind: dict[str, tuple[int, int]] = {}
    error: str | None = None


class DeploymentSample(_Event, frozen=True, tag="deployment"):
    """How many Pods of a Deployment are ready in the end, on Nodes that are. `generation`: 1 as long as its spec was
    never changed. `error`: nobody would tell.
    """

    name: str
    replicas: int
    ready: int
    generation: int = 1
    error: str | None = None


class PodsRunning(_Event, frozen=True, tag="running"):
    """The Pods (uids, static ones left out) of which processes run on a node in the end."""

    node: str
    pods: list[str]


Event: TypeAlias = (
    PhaseEvent
    | FaultEvent
    | MemberSample
    | BackendChange
    | LeaseChange
    | NodeCondition
    | PodChange
    | ReadyChange
    | ComponentExit
    | MemberDigests
    | MemberHash
    | CacheSample
    | DeploymentSample
    | PodsRunning
)
