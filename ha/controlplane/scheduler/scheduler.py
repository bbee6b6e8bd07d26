"""The scheduling loop: pending pods in, bindings out.

Deciding is synchronous, hence atomic: no two decisions are ever made on the same state. Only the binding waits
for the network, many at a time. Whatever goes wrong with a binding, the pod's fate is read from the watch again:
a conflict means that somebody else decided; an unanswered request may or may not have bound the pod, and a second
attempt is harmless, because the API server binds a pod once.

A pod that fits nowhere is *parked* with its reason told (condition, Event), and tried again when something changes
that could help: a node, or a pod that leaves one. Its back-off (1 s to 10 s, upstream's) still counts. Pods are
taken first come, first served; priorities and preemption are not known here.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from ha.controlplane.scheduler.cache import Cache, is_terminal
from ha.controlplane.scheduler.placement import Unschedulable, place
from ha.controlplane.scheduler.resources import PodInfo
from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.conditions import condition, with_condition
from ha.kube.errors import ApiError
from ha.kube.events import EventRecorder
from ha.kube.informer import Informer
from ha.kube.kinds import NODE, POD, Object
from ha.kube.meta import object_key, timestamp
from ha.kube.workqueue import Key, WorkQueue, work
from ha.world import Host

__all__ = ["Scheduler"]

NAME = "default-scheduler"
_BINDERS = 8
_BACKOFF_MIN_S = 1.0
_BACKOFF_MAX_S = 10.0


class Scheduler:
    """Informers, cache and queue of one scheduler. `run` keeps them warm; `lead` decides."""

    def __init__(self, client: KubeClient, events: EventRecorder, *, host: Host) -> None:
        self.bound = 0
        self.unschedulable = 0
        self._client = client
        self._events = events
        self._host = host
        self._cache = Cache()
        self._queue: WorkQueue[Key] = WorkQueue(retry_base_s=_BACKOFF_MIN_S, retry_max_s=_BACKOFF_MAX_S)
        self._parked: dict[Key, float] = {}  # not before this time
        self._attempts: dict[Key, int] = {}
        self._leading = False
        self._pods = Informer(client, POD, host=host, on_change=self._pod_changed)
        self._nodes = Informer(client, NODE, host=host, on_change=self._node_changed)

    async def run(self) -> None:
        """Keep the copies up to date."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._nodes.run)
            nursery.start_soon(self._pods.run)

    async def lead(self) -> None:
        """Schedule until cancelled."""
        await self._nodes.synced.wait()
        await self._pods.synced.wait()
        self._leading = True
        for pod in self._pods.list():
            if _is_pending(pod):
                self._queue.add(object_key(pod))
        async with trio.open_nursery() as nursery:
            for _ in range(_BINDERS):
                nursery.start_soon(self._work)

    def metrics(self) -> Mapping[str, float]:
        """Upstream's names where it has the same metric."""
        return {
            'scheduler_pending_pods{queue="active"}': len(self._queue),
            'scheduler_pending_pods{queue="unschedulable"}': len(self._parked),
            'scheduler_schedule_attempts_total{result="scheduled"}': self.bound,
            'scheduler_schedule_attempts_total{result="unschedulable"}': self.unschedulable,
        }

    async def _work(self) -> None:
        await work(self._queue, self._schedule, transient=(ApiError, HttpError), on_error=self._failed)

    def _failed(self, key: Key, error: Exception, again_s: float) -> None:
        self._host.log("pod not scheduled", pod="/".join(key), error=str(error), again_s=again_s)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        node = new if new is not None else old
        assert node is not None, "a change has an old or a new side"
        if self._cache.node_changed(node["metadata"]["name"], new):
            self._wake_parked()

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new if new is not None else old
        assert pod is not None, "a change has an old or a new side"
        if self._cache.pod_changed(old, new):
            self._wake_parked()
        key = object_key(pod)
        if new is None or not _is_pending(new):
            self._parked.pop(key, None)
            self._attempts.pop(key, None)
        elif self._leading and (old is None or old.get("spec") != new.get("spec")):
            self._queue.add(key)

    def _wake_parked(self) -> None:
        parked, self._parked = self._parked, {}
        for key, not_before in parked.items():
            self._queue.add_after(key, not_before - trio.current_time())

    async def _schedule(self, key: Key) -> float | None:
        pod = self._pods.get(*key)
        if pod is None or not _is_pending(pod) or self._cache.assumed(pod["metadata"]["uid"]):
            return None
        info = PodInfo.of(pod)
        decision = place(info, self._cache.nodes, self._host.random)
        if isinstance(decision, Unschedulable):
            self._park(key)
            await self._tell(pod, decision.message)
            return None
        self._cache.assume(info, decision)
        await self._bind(pod, info, decision)
        return None

    def _park(self, key: Key) -> None:
        attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        backoff_s = min(_BACKOFF_MIN_S * 2 ** min(attempts - 1, 8), _BACKOFF_MAX_S)
        self._parked[key] = trio.current_time() + backoff_s
        self.unschedulable += 1

    async def _bind(self, pod: Object, info: PodInfo, node: str) -> None:
        try:
            await self._client.bind(info.name, info.namespace, node, uid=info.uid)
        except ApiError as error:
            self._cache.forget(info.uid)
            if error.status == 404 or (error.status == 409 and self._was_bound(pod)):
                return
            raise
        except HttpError:
            self._cache.forget(info.uid)
            raise
        self.bound += 1
        self._attempts.pop((info.namespace, info.name), None)
        message = f"Successfully assigned {info.namespace}/{info.name} to {node}"
        self._events.record(POD, pod, "Scheduled", message)

    def _was_bound(self, pod: Object) -> bool:
        now = self._pods.get(*object_key(pod))
        return now is None or not _is_pending(now)

    async def _tell(self, pod: Object, message: str) -> None:
        said = condition(pod, "PodScheduled")
        if said is not None and said.get("message") == message and said.get("status") == "False":
            return
        self._events.record(POD, pod, "FailedScheduling", message, type="Warning")
        status = pod.get("status") or {}
        new = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        conditions = with_condition(status.get("conditions"), new, timestamp(self._host.wall_clock()))
        meta = pod["metadata"]
        patch = {
            "metadata": {"resourceVersion": meta["resourceVersion"]},
            "status": {"conditions": conditions},
        }
        try:
            await self._client.patch(POD, meta["name"], meta["namespace"], patch, subresource="status")
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or changed: what changed decides anew
                raise


def _is_pending(pod: Object) -> bool:
    spec = pod.get("spec") or {}
    return (
        not spec.get("nodeName")
        and not pod["metadata"].get("deletionTimestamp")
        and not spec.get("schedulingGates")
        and (spec.get("schedulerName") or NAME) == NAME
        and not is_terminal(pod)
    )
