"""Reports pod statuses to the API and confirms deletions: upstream's status manager.

The latest status of each pod is kept until the API shows it. While the API is away nothing is lost and nothing piles
up; when it is back, each pod is reported once. When somebody else writes a pod's status (the node lifecycle
controller marks pods of a silent node unready), the pod's watch event shows the difference, and it is put right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import POD, Object
from ha.kube.workqueue import Key, WorkQueue, work
from ha.node.kubelet.pods import is_static
from ha.world import Host

__all__ = ["StatusReporter"]

_WORKERS = 4
_COMPARED = ("phase", "hostIP", "podIP", "containerStatuses")


@dataclass(slots=True)
class _Entry:
    uid: str
    status: Object
    static: bool
    finished: bool = False


class StatusReporter:
    """Reports to the API. `shown` returns a pod as the API last showed it, by namespace and name."""

    def __init__(self, client: KubeClient, shown: Callable[[Key], Object | None], *, host: Host) -> None:
        self._client = client
        self._shown = shown
        self._host = host
        self._entries: dict[Key, _Entry] = {}
        self._queue: WorkQueue[Key] = WorkQueue(retry_base_s=0.1, retry_max_s=2.0)

    def report(self, pod: Object, status: Object) -> None:
        """Make the API show this status, when it can."""
        meta = pod["metadata"]
        key = (meta["namespace"], meta["name"])
        self._entries[key] = _Entry(meta["uid"], status, is_static(pod))
        self._queue.add(key)

    def finished(self, pod: Object) -> None:
        """All containers of a deleted pod have ended: confirm the deletion."""
        meta = pod["metadata"]
        entry = self._entries.get((meta["namespace"], meta["name"]))
        assert entry is not None, "a pod's last status is reported before its end"
        entry.finished = True

    def shown_changed(self, old: Object | None, new: Object | None) -> None:
        """A pod changed in the API (the informer's callback)."""
        pod = new if new is not None else old
        assert pod is not None, "a change has an old or a new side"
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        entry = self._entries.get(key)
        if entry is None:
            return
        if new is None and not entry.static:
            del self._entries[key]
        elif new is not None and not _shows(new, entry.status):
            self._queue.add(key)

    async def run(self) -> None:
        """Report for ever."""
        async with trio.open_nursery() as nursery:
            for _ in range(_WORKERS):
                nursery.start_soon(self._work)

    async def _work(self) -> None:
        await work(self._queue, self._sync, transient=(ApiError, HttpError), on_error=self._failed)

    def _failed(self, key: Key, error: Exception, again_s: float) -> None:
        self._host.log("pod status not reported", pod="/".join(key), error=str(error), again_s=again_s)

    async def _sync(self, key: Key) -> None:
        entry, shown = self._entries.get(key), self._shown(key)
        if entry is None or shown is None:
            return  # a static pod without its mirror yet: its appearance comes back here
        uid = shown["metadata"]["uid"]
        if not entry.static and uid != entry.uid:
            del self._entries[key]  # another pod of that name
            return
        if not _shows(shown, entry.status):
            await self._patch(key, uid, _merged(shown, entry.status))
        if entry.finished:
            await self._confirm(key, uid)

    async def _patch(self, key: Key, uid: str, status: Object) -> None:
        namespace, name = key
        try:
            patch = {"metadata": {"uid": uid}, "status": status}
            await self._client.patch(POD, name, namespace, patch, subresource="status")
        except ApiError as error:
            if error.status != 404:
                raise

    async def _confirm(self, key: Key, uid: str) -> None:
        namespace, name = key
        try:
            await self._client.delete(POD, name, namespace, uid=uid, grace_period_s=0)
        except ApiError as error:
            if error.status not in (404, 409):  # gone, or another pod of that name
                raise


def _merged(shown: Object, status: Object) -> Object:
    """The status with the conditions of others as the API shows them now."""
    own = {c["type"] for c in status["conditions"]}
    others = [c for c in (shown.get("status") or {}).get("conditions") or [] if c.get("type") not in own]
    return {**status, "conditions": [*status["conditions"], *others]}


def _shows(pod: Object, status: Object) -> bool:
    shown = pod.get("status") or {}
    if any(shown.get(field) != status.get(field) for field in _COMPARED):
        return False
    conditions = {c.get("type"): c.get("status") for c in shown.get("conditions") or []}
    return all(conditions.get(c["type"]) == c["status"] for c in status["conditions"])
