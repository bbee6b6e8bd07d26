"""Mirror pods: static pods shown in the API, so that people and controllers can see them.

They show and decide nothing: deleting one does not stop the static pod, and it is made anew. A mirror of another
version of the manifest is replaced, one of a manifest that is gone is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import POD, Object
from ha.kube.workqueue import Key, WorkQueue, work
from ha.node.kubelet.pods import is_mirror, manifest_hash, mirror_of
from ha.world import Host

__all__ = ["MirrorPods"]


class MirrorPods:
    """Keeps one mirror per static pod. `shown` and `node` return what the API last showed."""

    def __init__(
        self,
        client: KubeClient,
        static_pods: Mapping[Key, Object],
        shown: Callable[[Key], Object | None],
        *,
        host: Host,
        node: Callable[[], Object | None],
    ) -> None:
        self._client = client
        self._static = static_pods
        self._shown = shown
        self._host = host
        self._node = node
        self._queue: WorkQueue[Key] = WorkQueue(retry_base_s=0.1, retry_max_s=2.0)

    def shown_changed(self, key: Key) -> None:
        """A mirror pod, or a pod of a static pod's name, changed in the API."""
        self._queue.add(key)

    async def run(self) -> None:
        """Keep them for ever. To be started when the API was listed and the node is registered."""
        for key in self._static:
            self._queue.add(key)
        await work(self._queue, self._sync, transient=(ApiError, HttpError), on_error=self._failed)

    def _failed(self, key: Key, error: Exception, again_s: float) -> None:
        self._host.log("mirror pod not written", pod="/".join(key), error=str(error), again_s=again_s)

    async def _sync(self, key: Key) -> None:
        wanted, shown = self._static.get(key), self._shown(key)
        if shown is not None:
            if wanted is None or not _mirrors(shown, wanted):
                await self._remove(key, shown["metadata"]["uid"])
            return  # its disappearance comes back here
        if wanted is None:
            return
        try:
            await self._client.create(POD, mirror_of(wanted, self._node()))
        except ApiError as error:
            if error.status != 409:  # it exists: the watch will show it
                raise

    async def _remove(self, key: Key, uid: str) -> None:
        namespace, name = key
        try:
            await self._client.delete(POD, name, namespace, uid=uid, grace_period_s=0)
        except ApiError as error:
            if error.status not in (404, 409):
                raise


def _mirrors(shown: Object, wanted: Object) -> bool:
    same = is_mirror(shown) and manifest_hash(shown) == manifest_hash(wanted)
    return same and not shown["metadata"].get("deletionTimestamp")
