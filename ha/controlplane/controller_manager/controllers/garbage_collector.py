"""Garbage: objects whose owners are all gone are deleted; owners that wait for their dependents are released.

An object is *dangling* when it names owners and none of them exists any more under the uid named. That is decided on
the informers' word only if they say that an owner exists; absence is confirmed at the API. Three ways to delete an
owner: background (it goes at once, the dependents follow), foreground (it waits, behind the finalizer
``foregroundDeletion``, until they are gone), orphan (it waits, behind ``orphan``, until they have forgotten it).

Only kinds that controllers create, or that own such, are watched: ConfigMaps and Secrets change often and own
nothing, so copies of all of them on every controller-manager would cost more than they bring. Upstream:
pkg/controller/garbagecollector.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ha.controlplane.controller_manager.controller import Context, Controller, Key
from ha.kube.errors import ApiError
from ha.kube.kinds import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    ENDPOINTS,
    KINDS,
    LEASE,
    NODE,
    POD,
    REPLICA_SET,
    SERVICE,
    Kind,
    Object,
)
from ha.kube.meta import deleting, object_key, uid_of

__all__ = ["CONTROLLER"]

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"
_KINDS = (POD, REPLICA_SET, DEPLOYMENT, SERVICE, ENDPOINTS, ENDPOINT_SLICE, NODE, LEASE)
_BY_PLURAL = {k.qualified_plural: k for k in _KINDS}
_BY_TYPE = {(k.api_version, k.kind): k for k in KINDS}


class GarbageCollector:
    """See the module. Keys are (resource, namespace, name)."""

    name: ClassVar[str] = "garbage-collector"
    kinds: ClassVar[tuple[Kind, ...]] = _KINDS
    workers: ClassVar[int] = 5

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.client
        self._known: dict[str, Key] = {}  # uid -> key of every object that the informers show
        self._dependents: dict[str, dict[Key, None]] = {}  # owner uid -> keys

    def keys(self, kind: Kind, old: Object | None, new: Object | None) -> Iterable[Key]:
        """Objects that lack an owner, dependents of one that went, owners that wait."""
        obj = new if new is not None else old
        assert obj is not None, "a change has an old or a new side"
        key = (kind.qualified_plural, *object_key(obj))
        uid = uid_of(obj)
        if old is not None:
            for owner in _owners(old):
                self._dependents.get(owner["uid"], {}).pop(key, None)
        if new is None:
            self._known.pop(uid, None)
            return [*self._dependents.get(uid, {}), *self._waiting_owners(obj)]
        self._known[uid] = key
        for owner in _owners(new):
            self._dependents.setdefault(owner["uid"], {})[key] = None
        lacks_owner = any(owner["uid"] not in self._known for owner in _owners(new))
        return [key] if lacks_owner or _waits(new) or self._waiting_owners(new) else []

    async def sync(self, key: Key) -> float | None:
        """Collect one object, or release it."""
        kind = _BY_PLURAL[key[0]]
        obj = self._context.informers[kind].get(key[1], key[2])
        if obj is None:
            return None
        if _waits(obj):
            await self._release(kind, obj)
        elif _owners(obj) and not deleting(obj):
            await self._collect(kind, obj)
        return None

    def _waiting_owners(self, obj: Object) -> list[Key]:
        """The owners of an object that may be waiting for it."""
        found = []
        for owner in _owners(obj):
            key = self._known.get(owner["uid"])
            if key is not None:
                shown = self._context.informers[_BY_PLURAL[key[0]]].get(key[1], key[2])
                if shown is not None and _waits(shown):
                    found.append(key)
        return found

    async def _collect(self, kind: Kind, obj: Object) -> None:
        meta = obj["metadata"]
        solid = [o for o in _owners(obj) if await self._exists(o, meta.get("namespace"))]
        waiting = [o for o in solid if self._is_waiting(o)]
        if solid and len(solid) > len(waiting):
            if len(solid) < len(_owners(obj)):
                await self._set_owners(kind, obj, [o for o in solid if o not in waiting])
            return
        self._context.host.log("collecting garbage", kind=kind.kind, name=meta["name"])
        try:
            await self._client.delete(kind, meta["name"], meta.get("namespace"), uid=meta["uid"])
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def _exists(self, owner: Object, namespace: str | None) -> bool:
        if owner["uid"] in self._known:
            return True
        kind = _BY_TYPE.get((owner.get("apiVersion", ""), owner.get("kind", "")))
        if kind is None:
            return True  # of a kind that nobody knows: not ours to judge
        try:
            shown = await self._client.get(kind, owner["name"], namespace if kind.namespaced else None)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return uid_of(shown) == str(owner["uid"])

    def _is_waiting(self, owner: Object) -> bool:
        key = self._known.get(owner["uid"])
        shown = self._context.informers[_BY_PLURAL[key[0]]].get(key[1], key[2]) if key is not None else None
        return shown is not None and _waits(shown) and _FOREGROUND in _finalizers(shown)

    async def _release(self, kind: Kind, obj: Object) -> None:
        """An owner that waits: deal with its dependents, then take the finalizer out."""
        uid, finalizers = uid_of(obj), _finalizers(obj)
        dependents = sorted(self._dependents.get(uid, {}))
        for key in dependents:
            dependent = self._context.informers[_BY_PLURAL[key[0]]].get(key[1], key[2])
            if dependent is None:
                continue
            if _ORPHAN in finalizers:
                owners = [o for o in _owners(dependent) if o["uid"] != uid]
                await self._set_owners(_BY_PLURAL[key[0]], dependent, owners)
            elif not deleting(dependent):
                await self._collect(_BY_PLURAL[key[0]], dependent)
        if _ORPHAN not in finalizers and any(self._blocks(key, uid) for key in dependents):
            return  # their going comes back here
        left = [f for f in finalizers if f not in (_FOREGROUND, _ORPHAN)]
        await self._patch(kind, obj, {"finalizers": left})

    def _blocks(self, key: Key, uid: str) -> bool:
        dependent = self._context.informers[_BY_PLURAL[key[0]]].get(key[1], key[2])
        return dependent is not None and any(
            o["uid"] == uid and o.get("blockOwnerDeletion") for o in _owners(dependent)
        )

    async def _set_owners(self, kind: Kind, obj: Object, owners: list[Object]) -> None:
        await self._patch(kind, obj, {"ownerReferences": owners or None})

    async def _patch(self, kind: Kind, obj: Object, meta: Object) -> None:
        own = obj["metadata"]
        guarded = {"metadata": {"uid": own["uid"], "resourceVersion": own["resourceVersion"], **meta}}
        try:
            await self._client.patch(kind, own["name"], own.get("namespace"), guarded)
        except ApiError as error:
            if error.status != 404:
                raise


def _owners(obj: Object) -> list[Object]:
    return obj["metadata"].get("ownerReferences") or []


def _finalizers(obj: Object) -> list[str]:
    return obj["metadata"].get("finalizers") or []


def _waits(obj: Object) -> bool:
    return deleting(obj) and any(f in (_FOREGROUND, _ORPHAN) for f in _finalizers(obj))


CONTROLLER: type[Controller] = GarbageCollector
