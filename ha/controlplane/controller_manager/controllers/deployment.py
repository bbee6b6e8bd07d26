"""Deployments: one ReplicaSet per version of the template, and the way from one to the next.

The ReplicaSet whose template equals the Deployment's is the new one; its name and the label ``pod-template-hash``
derive from the template, so that several controller-managers could never make two. The sizes of a rolling update are
worked out by `rollout`; ``Recreate`` removes the old pods first. A paused Deployment is only scaled. Status,
conditions (Available, Progressing) and revisions are upstream's (pkg/controller/deployment).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import ClassVar

import orjson

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.controlplane.controller_manager.deployment_status import condition_changes, status_of
from ha.controlplane.controller_manager.pods import is_owned_by
from ha.controlplane.controller_manager.rollout import Size, limits, next_sizes
from ha.kube.errors import ApiError
from ha.kube.kinds import DEPLOYMENT, POD, REPLICA_SET, Kind, Object
from ha.kube.meta import annotations_of, controller_of, deleting, object_key, owner_reference

__all__ = ["CONTROLLER"]

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_DESIRED = "deployment.kubernetes.io/desired-replicas"
_MAX = "deployment.kubernetes.io/max-replicas"
_HASH_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


class DeploymentController:
    """See the module."""

    name: ClassVar[str] = "deployment"
    kinds: ClassVar[tuple[Kind, ...]] = (DEPLOYMENT, REPLICA_SET, POD)
    workers: ClassVar[int] = 5

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """The Deployment itself, or the owner of a ReplicaSet; pods matter to Recreate when they go."""
        if kind is POD:
            return self._recreating(old) if new is None and old is not None else []
        obj = new if new is not None else old
        assert obj is not None, "a change has an old or a new side"
        if kind is DEPLOYMENT:
            return [object_key(obj)]
        owner = controller_of(obj)
        if owner is None or owner.get("kind") != DEPLOYMENT.kind:
            return []
        return [(obj["metadata"]["namespace"], owner["name"])]

    async def sync(self, key: Key) -> float | None:
        """One step of the rollout, then the status."""
        deployment = self._context.informers[DEPLOYMENT].get(*key)
        if deployment is None or deleting(deployment):
            return None
        owned = self._owned(deployment)
        new = next((r for r in owned if _template(r) == _template(deployment)), None)
        old = [r for r in owned if r is not new]
        if not deployment["spec"].get("paused"):
            if new is None:
                new = await self._create_new(deployment, old)
            new = await self._revise(deployment, new, old)
            await self._roll(deployment, new, old)
            await self._clean_up(deployment, old)
        elif new is not None or old:
            await self._scale_paused(deployment, new, old)
        return await self._report(deployment, new, old)

    def _owned(self, deployment: Object) -> list[Object]:
        """Its ReplicaSets, oldest revision first."""
        namespace = deployment["metadata"]["namespace"]
        mine = [
            r
            for r in self._context.informers[REPLICA_SET].list()
            if r["metadata"]["namespace"] == namespace and is_owned_by(r, deployment)
        ]
        return sorted(mine, key=lambda r: (_revision(r), r["metadata"].get("creationTimestamp") or ""))

    def _recreating(self, pod: Object) -> list[Key]:
        owner = controller_of(pod)
        if owner is None or owner.get("kind") != REPLICA_SET.kind:
            return []
        replica_set = self._context.informers[REPLICA_SET].get(pod["metadata"]["namespace"], owner["name"])
        return list(self.keys(REPLICA_SET, replica_set, replica_set)) if replica_set is not None else []

    async def _create_new(self, deployment: Object, old: list[Object]) -> Object:
        meta, spec = deployment["metadata"], deployment["spec"]
        digest = _template_hash(spec["template"], (deployment.get("status") or {}).get("collisionCount") or 0)
        template = {**spec["template"]}
        template_meta = template.get("metadata") or {}
        labels = {**(template_meta.get("labels") or {}), HASH: digest}
        template["metadata"] = {**template_meta, "labels": labels}
        selector = spec.get("selector") or {}
        replica_set = {
            "metadata": {
                "name": f"{meta['name']}-{digest}",
                "namespace": meta["namespace"],
                "labels": labels,
                "annotations": {**_copied(deployment), REVISION: str(_next_revision(old))},
                "ownerReferences": [owner_reference(deployment, DEPLOYMENT)],
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": spec.get("minReadySeconds") or 0,
                "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH: digest}},
                "template": template,
            },
        }
        try:
            return await self._client.create(REPLICA_SET, replica_set)
        except ApiError as error:
            if error.status != 409:
                raise
        return await self._resolve_collision(deployment, replica_set)

    async def _resolve_collision(self, deployment: Object, replica_set: Object) -> Object:
        """The name is taken: by ourselves, not yet shown by the informer, or by another template of the same hash."""
        meta = replica_set["metadata"]
        there = await self._client.get(REPLICA_SET, meta["name"], meta["namespace"])
        if is_owned_by(there, deployment) and _template(there) == _template(deployment):
            return there
        status = deployment.get("status") or {}
        collided = {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}
        await self._client.update(DEPLOYMENT, {**deployment, "status": collided}, subresource="status")
        raise ApiError(409, "AlreadyExists", f"pod template hash collision: {meta['name']}")

    async def _revise(self, deployment: Object, new: Object, old: list[Object]) -> Object:
        """The new ReplicaSet has the highest revision, also when it is an old one come back (a rollback)."""
        if _revision(new) < _next_revision(old):
            annotations = {REVISION: str(_next_revision(old))}
            new = await self._annotate(REPLICA_SET, new, annotations)
        if annotations_of(deployment).get(REVISION) != str(_revision(new)):
            await self._annotate(DEPLOYMENT, deployment, {REVISION: str(_revision(new))})
        return new

    async def _annotate(self, kind: Kind, obj: Object, annotations: dict[str, str]) -> Object:
        meta = obj["metadata"]
        return await self._client.patch(
            kind, meta["name"], meta["namespace"], {"metadata": {"annotations": annotations}}
        )

    async def _roll(self, deployment: Object, new: Object, old: list[Object]) -> None:
        spec = deployment["spec"]
        replicas = int(spec.get("replicas", 1))
        strategy = spec.get("strategy") or {}
        if strategy.get("type") == "Recreate":
            await self._recreate(deployment, new, old, replicas)
            return
        rolling = strategy.get("rollingUpdate") or {}
        bounds = limits(replicas, rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%"))
        by_name = {r["metadata"]["name"]: r for r in old}
        grown, shrunk = next_sizes(_size(new), {n: _size(r) for n, r in by_name.items()}, replicas, bounds)
        await self._resize(deployment, new, grown, replicas + bounds.surge)
        for name, size in shrunk.items():
            await self._resize(deployment, by_name[name], size, replicas + bounds.surge)

    async def _recreate(self, deployment: Object, new: Object, old: list[Object], replicas: int) -> None:
        for replica_set in old:
            await self._resize(deployment, replica_set, 0, replicas)
        namespace, uids = deployment["metadata"]["namespace"], {r["metadata"]["uid"] for r in old}
        left = any(
            (controller_of(p) or {}).get("uid") in uids
            and (p.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
            for p in self._context.informers[POD].list()
            if p["metadata"]["namespace"] == namespace
        )
        if not left:
            await self._resize(deployment, new, replicas, replicas)

    async def _scale_paused(self, deployment: Object, new: Object | None, old: list[Object]) -> None:
        """Paused: no rollout, but a change of size goes to the ReplicaSet that has the pods."""
        active = [r for r in [*old, *([new] if new else [])] if r["spec"].get("replicas", 0)] or [new or old[-1]]
        if len(active) == 1:
            replicas = int(deployment["spec"].get("replicas", 1))
            await self._resize(deployment, active[0], replicas, replicas)

    async def _resize(self, deployment: Object, replica_set: Object, replicas: int, most: int) -> None:
        before = int(replica_set["spec"].get("replicas", 1))
        if before == replicas:
            return
        meta = replica_set["metadata"]
        wanted = int(deployment["spec"].get("replicas", 1))
        annotations = {_DESIRED: str(wanted), _MAX: str(most)}
        patch = {
            "metadata": {"resourceVersion": meta["resourceVersion"], "annotations": annotations},
            "spec": {"replicas": replicas},
        }
        await self._client.patch(REPLICA_SET, meta["name"], meta["namespace"], patch)
        verb = "up" if replicas > before else "down"
        message = f"Scaled {verb} replica set {meta['name']} from {before} to {replicas}"
        self._context.events.record(DEPLOYMENT, deployment, "ScalingReplicaSet", message)

    async def _clean_up(self, deployment: Object, old: list[Object]) -> None:
        """Keep no more old ReplicaSets than the history limit."""
        limit = int(deployment["spec"].get("revisionHistoryLimit", 10))
        spent = [
            r
            for r in old
            if not r["spec"].get("replicas") and not (r.get("status") or {}).get("replicas") and not deleting(r)
        ]
        for replica_set in spent[: max(0, len(old) - limit)]:
            meta = replica_set["metadata"]
            try:
                await self._client.delete(REPLICA_SET, meta["name"], meta["namespace"], uid=meta["uid"])
            except ApiError as error:
                if error.status not in (404, 409):
                    raise

    async def _report(self, deployment: Object, new: Object | None, old: list[Object]) -> float | None:
        """Of what was acted upon, written over what is shown now."""
        status = status_of(deployment, new, old)
        meta = deployment["metadata"]
        deployment = self._context.informers[DEPLOYMENT].get(meta["namespace"], meta["name"]) or deployment
        conditions, again_s = condition_changes(deployment, status, new, wall_s=self._context.host.wall_clock())
        shown = deployment.get("status") or {}
        wanted = {**status, "conditions": conditions}
        if any(shown.get(k, 0) != v for k, v in wanted.items()):
            merged = {**deployment, "status": {**shown, **wanted}}
            await self._client.update(DEPLOYMENT, merged, subresource="status")
        return again_s


def _template(obj: Object) -> Object:
    """The pod template without the hash label: what makes two versions the same."""
    template: Object = obj["spec"].get("template") or {}
    meta = template.get("metadata") or {}
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH}
    annotations = meta.get("annotations") or {}
    return {"labels": labels, "annotations": annotations, "spec": template.get("spec") or {}}


def _template_hash(template: Object, collisions: int) -> str:
    data = orjson.dumps([template, collisions], option=orjson.OPT_SORT_KEYS)
    digest = blake2b(data, digest_size=10).digest()
    return "".join(_HASH_ALPHABET[byte % len(_HASH_ALPHABET)] for byte in digest)


def _size(replica_set: Object) -> Size:
    status = replica_set.get("status") or {}
    return Size(
        int(replica_set["spec"].get("replicas", 1)), status.get("replicas", 0), status.get("availableReplicas", 0)
    )


def _revision(obj: Object) -> int:
    text = annotations_of(obj).get(REVISION, "0")
    return int(text) if text.isdecimal() else 0


def _next_revision(old: list[Object]) -> int:
    return max((_revision(r) for r in old), default=0) + 1


def _copied(deployment: Object) -> dict[str, str]:
    skipped = ("kubectl.kubernetes.io/last-applied-configuration", REVISION)
    return {k: v for k, v in annotations_of(deployment).items() if k not in skipped}


CONTROLLER: type[Controller] = DeploymentController
