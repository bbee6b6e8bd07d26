"""What is looked at once the cluster has healed: whether all that it holds in many places has become one again.

Each look is repeated until it finds what it hopes for, or until more time is over than anything may take. What was
found last is recorded as events; `ha.check` judges them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import trio

from ha.cluster import Plan, View
from ha.etcd.client import HashResult
from ha.history import CacheSample, DeploymentSample, Event, MemberDigests, MemberHash, Operation, PodsRunning
from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.conditions import condition_status
from ha.kube.errors import ApiError
from ha.kube.kinds import CONFIG_MAP, DEPLOYMENT, NODE, POD, Object
from ha.workload.configmaps import NAMESPACE
from ha.world import Address, Host, World

__all__ = ["LIMIT_S", "Final"]

LIMIT_S = 30.0
"""How long members may take to agree, and caches to catch up: far longer than any timeout in between."""

_DISAGREEMENT_S = 3.0
"""How long members may hold different things at one revision that can all tell."""

_PERIOD_FIRST_S = 0.1
_PERIOD_MAX_S = 1.0
_TIMEOUT_S = 5.0
_STATIC = "kube-system"
_POD_UID, _POD_NAMESPACE = "io.kubernetes.pod.uid", "io.kubernetes.pod.namespace"


_Look: TypeAlias = tuple[float, list[Event]]
"""For how long what was found may be so (0: it is well), and what it was."""


class Final:
    """Looks at one cluster. `emit` gets the events; `now_s` is the run's clock."""

    def __init__(
        self, host: Host, world: World, plan: Plan, *, emit: Callable[[Event], None], now_s: Callable[[], float]
    ) -> None:
        self._host = host
        self._world = world
        self._plan = plan
        self._emit = emit
        self._now_s = now_s

    async def look(self, final_reads: Sequence[Operation]) -> None:
        """At everything, all at once. `final_reads`: consistent reads of what the workloads wrote."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._members)
            stored = {read.key: read.revision for read in final_reads if read.revision is not None}
            for node, address in self._plan.api_servers.items():
                nursery.start_soon(self._cache, node, address, stored)
            if self._plan.endpoint is not None:
                nursery.start_soon(self._deployments, self._plan.endpoint)
        await self._processes()

    async def _members(self) -> None:
        view = View(self._host, self._plan)
        is_real_etcd = self._plan.topology.etcd.engine == "etcd"  # it hashes what it has, whatever it was asked for

        async def sample() -> _Look:
            statuses = await view.statuses()
            revision = max((status.revision for status in statuses.values() if status), default=0)
            found = await view.hashes(revision)
            events = [
                MemberHash(
                    at_s=self._now_s(),
                    member=member,
                    revision=told.revision if is_real_etcd and isinstance(told, HashResult) else revision,
                    hash=told.hash if isinstance(told, HashResult) else None,
                    compact_revision=told.compact_revision if isinstance(told, HashResult) else 0,
                    error=None if isinstance(told, HashResult) else str(told),
                )
                for member, told in found.items()
            ]
            if None in {event.hash for event in events} or len({event.revision for event in events}) > 1:
                return LIMIT_S, [*events]
            is_one = len({(event.hash, event.compact_revision) for event in events}) == 1
            return 0.0 if is_one else _DISAGREEMENT_S, [*events]

        await self._until(sample)
        for member, digests in (await view.digests()).items():
            if digests:
                self._emit(MemberDigests(at_s=self._now_s(), member=member, digests=digests))

    async def _cache(self, node: str, address: Address, stored: Mapping[str, int]) -> None:
        """An API server's list of any age, against consistent reads of each object."""
        client = KubeClient(self._host.net, address, user_agent="ha-run", timeout_s=_TIMEOUT_S)
        known = dict(stored)

        async def sample() -> _Look:
            behind: dict[str, tuple[int, int]] = {}
            error = None
            try:
                listed = await client.list(CONFIG_MAP, NAMESPACE, resource_version="0")
                cached = {item["metadata"]["name"]: int(item["metadata"]["resourceVersion"]) for item in listed.items}
                for key in [key for key, revision in known.items() if cached.get(key, 0) != revision]:
                    known[key] = await _revision(client, key)  # a write may have landed since
                    if cached.get(key, 0) != known[key]:
                        behind[key] = (cached.get(key, 0), known[key])
            except (HttpError, ApiError) as failure:
                error = str(failure)
            found = CacheSample(at_s=self._now_s(), node=node, objects=len(known), behind=behind, error=error)
            return LIMIT_S if behind or error else 0.0, [found]

        try:
            await self._until(sample)
        finally:
            await client.aclose()

    async def _deployments(self, endpoint: Address) -> None:
        """Those of the workloads, each of which must get its replicas, however late they were lost."""
        timings = self._plan.topology.timings
        slowest_s = timings.node_monitor_grace + timings.pod_eviction_toleration + timings.container_backoff_max
        client = KubeClient(self._host.net, endpoint, user_agent="ha-run", timeout_s=_TIMEOUT_S)

        async def sample() -> _Look:
            try:
                deployments = (await client.list(DEPLOYMENT, NAMESPACE)).items
                pods = (await client.list(POD, NAMESPACE)).items
                nodes = (await client.list(NODE)).items
            except (HttpError, ApiError) as failure:
                lost = DeploymentSample(at_s=self._now_s(), name="", replicas=0, ready=0, error=str(failure))
                return LIMIT_S, [lost]
            up = {node["metadata"]["name"] for node in nodes if condition_status(node, "Ready") == "True"}
            found = [
                DeploymentSample(
                    at_s=self._now_s(),
                    name=deployment["metadata"]["name"],
                    replicas=deployment["spec"]["replicas"],
                    ready=sum(_is_ready(pod, deployment, up) for pod in pods),
                    generation=deployment["metadata"]["generation"],
                )
                for deployment in deployments
            ]
            return 0.0 if all(one.ready >= one.replicas for one in found) else LIMIT_S + slowest_s, [*found]

        try:
            await self._until(sample)
        finally:
            await client.aclose()

    async def _processes(self) -> None:
        """Where Pods really run."""
        for node in self._plan.kubernetes_nodes:
            running = [process.labels for process in await self._world.processes(node)]
            pods = {labels[_POD_UID] for labels in running if labels.get(_POD_NAMESPACE, _STATIC) != _STATIC}
            self._emit(PodsRunning(at_s=self._now_s(), node=node, pods=sorted(pods)))

    async def _until(self, sample: Callable[[], Awaitable[_Look]]) -> None:
        """Sample until what is found is well, or was given its time to become so; record the last sample."""
        begun_s, period_s = trio.current_time(), _PERIOD_FIRST_S
        while True:
            patience_s, events = await sample()
            if trio.current_time() - begun_s >= patience_s:
                break
            await trio.sleep(period_s)
            period_s = min(2 * period_s, _PERIOD_MAX_S)
        for event in events:
            self._emit(event)


async def _revision(client: KubeClient, name: str) -> int:
    """Raises HttpError, ApiError; 0: not there."""
    try:
        return int((await client.get(CONFIG_MAP, name, NAMESPACE))["metadata"]["resourceVersion"])
    except ApiError as error:
        if error.reason == "NotFound":
            return 0
        raise


def _is_ready(pod: Object, deployment: Object, up: set[str]) -> bool:
    """A Pod of the Deployment, ready, on a Node that is, and not on its way out."""
    wanted = deployment["spec"]["selector"]["matchLabels"].items()
    return (
        wanted <= pod["metadata"].get("labels", {}).items()
        and "deletionTimestamp" not in pod["metadata"]
        and pod["spec"].get("nodeName") in up
        and condition_status(pod, "Ready") == "True"
    )
