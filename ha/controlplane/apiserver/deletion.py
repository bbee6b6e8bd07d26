"""Deletion: preconditions, grace, finalizers, then removal.

An object goes in one step when nothing holds it: no grace period (Pods that run somewhere have one), no
finalizer. Otherwise ``deletionTimestamp`` is set, and whoever holds it lets go later: the kubelet deletes again
with grace 0, a controller takes its finalizer out; the update or delete that removes the last hold removes the
object (`registry._released`).

Dependents are the garbage collector's work. For ``Orphan`` and ``Foreground`` the object waits for it behind
the finalizers ``orphan`` and ``foregroundDeletion``, as upstream.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ha.controlplane.apiserver.registry import Outcome, Registry
from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.resources.namespace import IMMORTAL
from ha.controlplane.apiserver.store import Check, Stored, Write
from ha.kube import errors
from ha.kube.errors import ApiError
from ha.kube.kinds import NAMESPACE, Object
from ha.kube.meta import timestamp

__all__ = ["DeleteOptions", "Deletion", "Preconditions"]

_FOREGROUND, _ORPHAN = "foregroundDeletion", "orphan"


class Preconditions(msgspec.Struct, frozen=True, rename="camel"):
    """What must be true of the object for the deletion to happen."""

    uid: str | None = None
    resource_version: str | None = None


class DeleteOptions(msgspec.Struct, frozen=True, rename="camel"):
    """``metav1.DeleteOptions``, as far as it is understood here."""

    grace_period_seconds: int | None = None
    preconditions: Preconditions = Preconditions()
    propagation_policy: Literal["Background", "Foreground", "Orphan"] | None = None
    orphan_dependents: bool | None = None
    dry_run: list[str] = []

    @property
    def policy(self) -> str | None:
        """The propagation policy, `orphan_dependents` (its older form) counted in."""
        if self.orphan_dependents is None:
            return self.propagation_policy
        return "Orphan" if self.orphan_dependents else "Background"


class Deletion:
    """Deletes objects of every kind."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store

    async def delete(self, resource: Resource, namespace: str | None, name: str, options: DeleteOptions) -> Outcome:
        """Remove an object, or mark it as being deleted. Raises ApiError."""
        if resource.kind == NAMESPACE and name in IMMORTAL:
            raise errors.forbidden(NAMESPACE, name, "this namespace may not be deleted")
        key = resource.kind.key(namespace, name)
        current, guessed = await self._registry.find(resource, key)
        while True:
            try:
                if current is None:
                    raise errors.not_found(resource.kind, name)
                old = resource.codec.decode(current.value, current.revision)
                _require(resource, old, options.preconditions)
            except ApiError:
                if not guessed:
                    raise
                current, guessed = await self._store.get(key), False
                continue
            new = self._next(resource, old, options)
            if new == old and guessed:
                current, guessed = await self._store.get(key), False
                continue
            outcome = await self._commit(resource, current, old, new, dry_run=bool(options.dry_run))
            if isinstance(outcome, Outcome):
                return outcome
            current, guessed = outcome.get(key), False

    async def _commit(
        self, resource: Resource, current: Stored, old: Object, new: Object | None, *, dry_run: bool
    ) -> Outcome | dict[str, Stored]:
        """Write the next state (None: removed); or, when the object has changed meanwhile, what there is now."""
        uid = old["metadata"]["uid"]
        raw = resource.codec.encode(new or old)
        if new == old or dry_run:
            return Outcome(raw, current.revision, uid, deleted=new is None)
        if new is None:
            writes = [Write(current.key, None), *(Write(c, None) for c in resource.claims(old))]
        else:
            writes = [Write(current.key, raw)]
        commit = await self._store.commit([Check(current.key, current.revision)], writes)
        return Outcome(raw, commit.revision, uid, deleted=new is None) if commit.done else commit.current

    def _next(self, resource: Resource, old: Object, options: DeleteOptions) -> Object | None:
        """The object after the request: gone (None), marked as being deleted, or as it was."""
        meta = old["metadata"]
        asked = options.grace_period_seconds
        grace_s = resource.grace(old, asked) if resource.grace else 0
        finalizers = _finalizers(meta.get("finalizers") or [], options.policy)
        held = bool(finalizers) or resource.held(old)
        if grace_s == 0 and not held:
            return None
        marked = {**old, "metadata": {**meta, "finalizers": finalizers}}
        if not finalizers:
            del marked["metadata"]["finalizers"]
        shortened = resource.grace is not None and grace_s < meta.get("deletionGracePeriodSeconds", 0)
        if not meta.get("deletionTimestamp") or shortened:
            self._mark(resource, marked, grace_s)
        return marked

    def _mark(self, resource: Resource, obj: Object, grace_s: int) -> None:
        meta = obj["metadata"]
        meta["deletionTimestamp"] = timestamp(self._registry.wall_clock() + grace_s)
        meta["deletionGracePeriodSeconds"] = grace_s
        if resource.generation:
            meta["generation"] = meta.get("generation", 0) + 1
        resource.deleting(obj)


def _finalizers(present: list[str], policy: str | None) -> list[str]:
    """The finalizers after a request with a propagation policy; without one they stay as they are."""
    if policy is None:
        return present
    kept = [f for f in present if f not in {_FOREGROUND, _ORPHAN}]
    if policy == "Foreground":
        return [*kept, _FOREGROUND]
    return [*kept, _ORPHAN] if policy == "Orphan" else kept


def _require(resource: Resource, obj: Object, wanted: Preconditions) -> None:
    meta, name = obj["metadata"], obj["metadata"]["name"]
    if wanted.uid is not None and wanted.uid != meta["uid"]:
        why = (
            f"the UID in the precondition ({wanted.uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(resource.kind, name, why, as_kind=True)
    if wanted.resource_version is not None and wanted.resource_version != meta["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({wanted.resource_version}) does not match the ResourceVersion "
            f"in record ({meta['resourceVersion']}). The object might have been modified"
        )
        raise errors.conflict(resource.kind, name, why, as_kind=True)
