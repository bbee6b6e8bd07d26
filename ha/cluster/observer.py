"""Watches a cluster from outside and records every change that recovery is measured by.

It stands where a monitoring system stands: it asks etcd members for their status, API servers for /readyz and
the load balancer for its statistics, each every `poll_s`, and follows Leases, Nodes and Pods through the
control-plane endpoint. Of a store alone there is nothing to see but its members. A time recorded is the time of
observation: up to one poll (or one reconnection of a watch) late, never early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec
import trio

from ha.balancer.haproxy import STATISTICS, backend_states
from ha.cluster.plan import Plan
from ha.cluster.view import LEADER_ELECTIONS, MemberStatus, exact_status, member_digests, member_status
from ha.history import (
    BackendChange,
    Event,
    LeaseChange,
    MemberDigests,
    MemberSample,
    NodeCondition,
    PodChange,
    ReadyChange,
)
from ha.http import Client, HttpError
from ha.kube.client import KubeClient
from ha.kube.informer import Informer
from ha.kube.kinds import LEASE, NODE, POD
from ha.world import Address, Host

__all__ = ["BackendNews", "BalancerStats", "Observer"]

_TIMEOUT_S = 0.25
_DIGESTS_S = 1.0
"""How often members are asked what they applied: they remember much more."""

_Object = dict[str, Any]


class _Backend(msgspec.Struct):
    state: str
    reason: str = ""


class _Transition(msgspec.Struct, frozen=True):
    backend: str
    after: str
    at: float
    reason: str


class BalancerStats(msgspec.Struct):
    """What a load balancer tells of itself, as far as it is of interest here. HAProxy remembers no transitions."""

    backends: dict[str, _Backend] = {}
    transitions: list[_Transition] = []


class BackendNews:
    """What a load balancer says that it did not say before: every change of a backend, however soon it was undone. An
    API server that is killed and started again is away for less than the time between two looks on a busy machine.
    """

    def __init__(self) -> None:
        self._up: dict[str, bool] = {}
        self._last: _Transition | None = None

    def of(self, stats: BalancerStats) -> Iterator[tuple[str, bool, str]]:
        """Backend, whether it is up, and why."""
        known = stats.transitions
        new = known[known.index(self._last) + 1 :] if self._last in known else known
        states = [(change.backend, change.after, change.reason) for change in new]
        states += [(name, backend.state, backend.reason) for name, backend in stats.backends.items()]
        self._last = known[-1] if known else self._last
        for name, state, reason in states:
            up = state == "up"
            if self._up.get(name) != up:
                self._up[name] = up
                yield name, up, reason


class Observer:
    """Emits an `ha.history.Event` for every change. `now_s` is the run's clock."""

    def __init__(
        self, host: Host, plan: Plan, *, emit: Callable[[Event], None], now_s: Callable[[], float], poll_s: float
    ) -> None:
        self._host = host
        self._plan = plan
        self._emit = emit
        self._now_s = now_s
        self._poll_s = poll_s
        self._names: dict[str, str] = {}

    async def run(self) -> None:
        """Observe until cancelled."""
        async with trio.open_nursery() as nursery:
            for node, address in self._plan.members.items():
                nursery.start_soon(self._member, node, address)
                nursery.start_soon(self._digests, node, address)
            for node, address in self._plan.api_servers.items():
                nursery.start_soon(self._readiness, node, address)
            if self._plan.balancer_stats is not None:
                nursery.start_soon(self._balancer, self._plan.balancer_stats)
            if self._plan.endpoint is not None:
                self._follow(
                    nursery, KubeClient(self._host.net, self._plan.endpoint, user_agent="ha-observer", timeout_s=1.0)
                )

    def _follow(self, nursery: trio.Nursery, client: KubeClient) -> None:
        for informer in (
            Informer(client, LEASE, namespace="kube-system", on_change=self._lease_changed, host=self._host),
            Informer(client, NODE, on_change=self._node_changed, host=self._host),
            Informer(client, POD, on_change=self._pod_changed, host=self._host),
        ):
            nursery.start_soon(informer.run)

    async def _member(self, node: str, address: Address) -> None:
        client = Client(self._host.net, address)
        is_real_etcd = self._plan.topology.etcd.engine == "etcd"
        last: tuple[object, ...] | None = None
        while True:
            status = await member_status(client, timeout_s=_TIMEOUT_S)
            if status is not None and is_real_etcd:
                status = await exact_status(client, status, timeout_s=_TIMEOUT_S)
            leader = self._leader_name(node, status)
            seen = (status is not None, status and status.term, leader)
            if seen != last:
                last = seen
                self._emit(
                    MemberSample(
                        at_s=self._now_s(),
                        member=node,
                        node=node,
                        reachable=status is not None,
                        term=status.term if status else None,
                        leader=leader,
                        revision=status.revision if status else None,
                    )
                )
            await trio.sleep(self._poll_s)

    async def _digests(self, node: str, address: Address) -> None:
        client = Client(self._host.net, address)
        told: dict[int, int] = {}
        while True:
            found = await member_digests(client, timeout_s=_TIMEOUT_S)
            new = {index: digest for index, digest in found.items() if told.get(index) != digest}
            if new:
                self._emit(MemberDigests(at_s=self._now_s(), member=node, digests=new))
            told |= new
            await trio.sleep(_DIGESTS_S)

    def _leader_name(self, node: str, status: MemberStatus | None) -> str | None:
        if status is None:
            return None
        self._names[status.member_id] = node
        return self._names.get(status.leader_id)

    async def _readiness(self, node: str, address: Address) -> None:
        client = Client(self._host.net, address)
        last: bool | None = None
        while True:
            try:
                ready = (await client.request("GET", "/readyz", timeout_s=_TIMEOUT_S)).status == 200
            except HttpError:
                ready = False
            if ready != last:
                last = ready
                self._emit(ReadyChange(at_s=self._now_s(), node=node, ready=ready))
            await trio.sleep(self._poll_s)

    async def _balancer(self, address: Address) -> None:
        client = Client(self._host.net, address)
        is_haproxy = self._plan.topology.load_balancer.engine == "haproxy"
        ask = _haproxy_stats if is_haproxy else _balancer_stats
        news = BackendNews()
        while True:
            for name, up, reason in news.of(await ask(client)):
                self._emit(BackendChange(at_s=self._now_s(), backend=name, up=up, reason=reason))
            await trio.sleep(self._poll_s)

    def _lease_changed(self, old: _Object | None, new: _Object | None) -> None:
        lease = new or old
        assert lease is not None, "an informer reports a change of something"
        name = lease["metadata"]["name"]
        before = _holder(old)
        after = _holder(new)
        if name in LEADER_ELECTIONS and after != before:
            change = LeaseChange(
                at_s=self._now_s(),
                name=name,
                holder=after,
                revision=int(lease["metadata"]["resourceVersion"]),
                renewed_revision=int(old["metadata"]["resourceVersion"]) if old is not None and before else 0,
            )
            self._emit(change)

    def _node_changed(self, old: _Object | None, new: _Object | None) -> None:
        if new is not None and _ready(new) != (_ready(old) if old else None):
            self._emit(NodeCondition(at_s=self._now_s(), node=new["metadata"]["name"], ready=_ready(new)))

    def _pod_changed(self, old: _Object | None, new: _Object | None) -> None:
        pod = new or old
        assert pod is not None, "an informer reports a change of something"
        at_s = self._now_s()
        event = _pod_event(pod, at_s, deleted=new is None)
        if old is None or _pod_event(old, at_s, deleted=False) != event:
            self._emit(event)


def _pod_event(pod: _Object, at_s: float, *, deleted: bool) -> PodChange:
    metadata = pod["metadata"]
    owner = next((o for o in metadata.get("ownerReferences", []) if o.get("controller")), None)
    return PodChange(
        at_s=at_s,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=pod["spec"].get("nodeName", ""),
        phase=pod.get("status", {}).get("phase", "Pending"),
        ready=_ready(pod) == "True" and "deletionTimestamp" not in metadata,
        owner=f"{owner['kind']}/{owner['name']}" if owner else "",
        deleted=deleted,
    )


async def _balancer_stats(client: Client) -> BalancerStats:
    body = await _got(client, "/stats")
    return msgspec.json.decode(body, type=BalancerStats) if body else BalancerStats()


async def _haproxy_stats(client: Client) -> BalancerStats:
    states = backend_states((await _got(client, STATISTICS)).decode())
    return BalancerStats({name: _Backend("up" if one.up else "down", one.reason) for name, one in states.items()})


async def _got(client: Client, path: str) -> bytes:
    """Empty when there is no proper answer."""
    try:
        answer = await client.request("GET", path, timeout_s=_TIMEOUT_S)
    except HttpError:
        return b""
    return answer.body if answer.status == 200 else b""


def _holder(lease: _Object | None) -> str:
    return (lease or {}).get("spec", {}).get("holderIdentity") or ""


def _ready(item: _Object) -> Literal["True", "False", "Unknown"]:
    for condition in item.get("status", {}).get("conditions", []):
        if condition.get("type") == "Ready":
            status = condition.get("status")
            return status if status in ("True", "False") else "Unknown"
    return "Unknown"
