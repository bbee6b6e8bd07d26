"""ReplicaSets: as many pods as are wanted.

Active pods are counted (neither ended nor being deleted): a pod that is being evicted from a silent node is replaced
at once, though it stays Terminating until the node's kubelet confirms. Names are chosen here, so that a creation of
unknown outcome can be recognised when it turns up. Pods that match the selector and have no controller are adopted.

Upstream: pkg/controller/replicaset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar

import trio

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.controlplane.controller_manager.expectations import Expectations
from ha.controlplane.controller_manager.pods import (
    available_in_s,
    is_active,
    is_owned_by,
    is_ready,
    removal_rank,
)
from ha.http import HttpError
from ha.kube.errors import ApiError
from ha.kube.kinds import POD, REPLICA_SET, Kind, Object
from ha.kube.meta import controller_of, deleting, labels_of, object_key, owner_reference
from ha.kube.selectors import Selector, from_object

__all__ = ["CONTROLLER"]

_BURST = 500
_NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Upstream's: without vowels there are no words."""


class ReplicaSetController:
    """See the module."""

    name: ClassVar[str] = "replicaset"
    kinds: ClassVar[tuple[Kind, ...]] = (REPLICA_SET, POD)
    workers: ClassVar[int] = 5

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._expected = Expectations()
        self._pods: dict[str, dict[Key, Object]] = {}  # by namespace: what the informer shows

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """The ReplicaSet itself, or those of a pod."""
        obj = new if new is not None else old
        assert obj is not None, "a change has an old or a new side"
        if kind is REPLICA_SET:
            if new is None:
                self._expected.forget(obj["metadata"]["uid"])
            return [object_key(obj)]
        self._index(obj, gone=new is None)
        return [key for pod in (old, new) if pod is not None for key in self._replica_sets_of(pod)]

    async def sync(self, key: Key) -> float | None:
        """Create or delete pods; then report."""
        replica_set = self._context.informers[REPLICA_SET].get(*key)
        if replica_set is None:
            return None
        mine, orphans = self._find_pods(replica_set)
        active = [p for p in mine if is_active(p)]
        if not deleting(replica_set):
            for orphan in orphans:
                await self._adopt(replica_set, orphan)
            await self._scale(replica_set, active, [p["metadata"]["name"] for p in mine])
        again_s = await self._report(replica_set, active)
        waits = [s for s in (again_s, self._expected.wait_s(replica_set["metadata"]["uid"])) if s is not None]
        return min(waits, default=None)

    def _index(self, pod: Object, *, gone: bool) -> None:
        key = object_key(pod)
        here = self._pods.setdefault(key[0], {})
        if gone:
            here.pop(key, None)
        else:
            here[key] = pod
        reference = controller_of(pod)
        if reference is not None:
            self._expected.not_created(reference["uid"], key[1])
            if gone or deleting(pod):
                self._expected.not_deleted(reference["uid"], pod["metadata"]["uid"])

    def _replica_sets_of(self, pod: Object) -> list[Key]:
        namespace, reference = pod["metadata"]["namespace"], controller_of(pod)
        if reference is not None:
            return [(namespace, reference["name"])] if reference.get("kind") == REPLICA_SET.kind else []
        if not labels_of(pod):
            return []
        return [
            object_key(r)
            for r in self._context.informers[REPLICA_SET].list()
            if r["metadata"]["namespace"] == namespace and _selector(r).matches(labels_of(pod))
        ]

    def _find_pods(self, replica_set: Object) -> tuple[list[Object], list[Object]]:
        """Its pods, and those that it should adopt."""
        meta = replica_set["metadata"]
        here = self._pods.get(meta["namespace"], {})
        mine = [here[key] for key in sorted(here) if is_owned_by(here[key], replica_set)]
        selector = _selector(replica_set)
        orphans = [
            pod
            for key, pod in sorted(here.items())
            if selector and controller_of(pod) is None and is_active(pod) and selector.matches(labels_of(pod))
        ]
        return mine, orphans

    async def _adopt(self, replica_set: Object, pod: Object) -> None:
        meta = pod["metadata"]
        owners = [*(meta.get("ownerReferences") or []), owner_reference(replica_set, REPLICA_SET)]
        patch = {
            "metadata": {"resourceVersion": meta["resourceVersion"], "uid": meta["uid"], "ownerReferences": owners}
        }
        await self._client.patch(POD, meta["name"], meta["namespace"], patch)

    async def _scale(self, replica_set: Object, active: list[Object], shown: list[str]) -> None:
        uid = replica_set["metadata"]["uid"]
        leaving = self._expected.deleting(uid)
        staying = [p for p in active if p["metadata"]["uid"] not in leaving]
        have = len(staying) + self._expected.missing(uid, shown)
        difference = _wanted(replica_set) - have
        if difference > 0:
            await self._create(replica_set, min(difference, _BURST))
        elif difference < 0 and len(staying) > _wanted(replica_set):
            await self._delete(replica_set, staying, min(-difference, _BURST))

    async def _create(self, replica_set: Object, count: int) -> None:
        """In batches that double: a cause that makes all creations fail is met by one request, not by hundreds."""
        batch, failures = 1, list[Exception]()
        while count > 0 and not failures:
            size = min(batch, count)
            async with trio.open_nursery() as nursery:
                for _ in range(size):
                    nursery.start_soon(self._create_one, replica_set, failures)
            count -= size
            batch *= 2
        if failures:
            raise failures[0]

    async def _create_one(self, replica_set: Object, failures: list[Exception]) -> None:
        meta = replica_set["metadata"]
        template: Object = replica_set["spec"].get("template") or {}
        suffix = "".join(self._context.host.random.choices(_NAME_ALPHABET, k=5))
        name = f"{meta['name'][:57]}-{suffix}"
        pod_meta = {
            **{k: v for k, v in (template.get("metadata") or {}).items() if k in ("labels", "annotations")},
            "name": name,
            "namespace": meta["namespace"],
            "generateName": f"{meta['name']}-",
            "ownerReferences": [owner_reference(replica_set, REPLICA_SET)],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": pod_meta, "spec": template.get("spec") or {}}
        self._expected.created(meta["uid"], name)
        try:
            await self._client.create(POD, pod)
        except (ApiError, HttpError) as error:
            if error.definite:
                self._expected.not_created(meta["uid"], name)
            self._note_failure(replica_set, error)
            failures.append(error)
        else:
            message = f"Created pod: {name}"
            self._context.events.record(REPLICA_SET, replica_set, "SuccessfulCreate", message)

    def _note_failure(self, replica_set: Object, error: Exception) -> None:
        message = f"Error creating: {error}"
        self._context.events.record(REPLICA_SET, replica_set, "FailedCreate", message, type="Warning")

    async def _delete(self, replica_set: Object, pods: list[Object], count: int) -> None:
        meta = replica_set["metadata"]
        crowd = Counter((p["spec"].get("nodeName") or "") for p in pods)
        ranked = sorted(pods, key=lambda p: removal_rank(p, crowd[p["spec"].get("nodeName") or ""]))
        for pod in ranked[:count]:
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            self._expected.deleted(meta["uid"], uid)
            try:
                await self._client.delete(POD, name, meta["namespace"], uid=uid)
            except (ApiError, HttpError) as error:
                if error.definite:
                    self._expected.not_deleted(meta["uid"], uid)
                if not (isinstance(error, ApiError) and error.status in (404, 409)):
                    raise
            else:
                message = f"Deleted pod: {name}"
                self._context.events.record(REPLICA_SET, replica_set, "SuccessfulDelete", message)

    async def _report(self, replica_set: Object, active: list[Object]) -> float | None:
        """Write the status when it changed; returns when the next pod becomes available."""
        spec, meta = replica_set["spec"], replica_set["metadata"]
        min_ready_s = float(spec.get("minReadySeconds") or 0)
        template_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        waits = [available_in_s(p, min_ready_s, self._context.host.wall_clock()) for p in active]
        status = {
            "replicas": len(active),
            "fullyLabeledReplicas": sum(template_labels.items() <= labels_of(p).items() for p in active),
            "readyReplicas": sum(is_ready(p) for p in active),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "observedGeneration": meta.get("generation", 0),
        }
        shown = replica_set.get("status") or {}
        if any(shown.get(k, 0) != v for k, v in status.items()):
            wanted = {**replica_set, "status": {**shown, **status}}
            await self._client.update(REPLICA_SET, wanted, subresource="status")
        return min((w for w in waits if w), default=None)


def _wanted(replica_set: Object) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _selector(replica_set: Object) -> Selector:
    return from_object(replica_set["spec"].get("selector") or {})


CONTROLLER: type[Controller] = ReplicaSetController
