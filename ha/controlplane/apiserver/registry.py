"""The life cycle of objects: create, update, delete. Every kind goes through it; `Resource` says what differs.

Every write is one transaction on the condition that the object is still as it was read (optimistic
concurrency). An update that does not insist on a resourceVersion is applied to whatever is current: when the
transaction finds a newer state, the change is computed again from that one. The first guess comes from the
cache, which saves a read; nothing is ever *refused* on the word of the cache alone.

What is never done: writing again after an outcome is unknown. The error goes to the client, who alone knows
whether the write may be repeated.

Differences from upstream: field ownership (``managedFields``) is not kept, and an object's creation and its
namespace's termination exclude each other only as far as upstream's admission does it (by looking before).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal, TypeAlias

import msgspec
import orjson

from ha.controlplane.apiserver.cache import Entry, Feed
from ha.controlplane.apiserver.leasing import LeasePool
from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.shape import check_shape, prune
from ha.controlplane.apiserver.store import Check, Store, Stored, Write
from ha.controlplane.apiserver.validation import check_metadata, check_metadata_update
from ha.kube import errors
from ha.kube.errors import ApiError, Cause
from ha.kube.kinds import NAMESPACE, Kind, Object
from ha.kube.meta import timestamp
from ha.world import Random

__all__ = ["Outcome", "Part", "Registry", "Transform"]

Transform: TypeAlias = Callable[[Object], Object]
"""From the current object to the wanted one; called again when the current one turns out to be stale."""

Part: TypeAlias = Literal["main", "status", "all"]
"""What an update may change. ``all`` is for transitions of the server's own (binding, finalizing)."""

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
"""Upstream's alphabet for generated names: nothing that spells words or looks alike."""
_GENERATE_ATTEMPTS = 8
_ALLOCATE_ATTEMPTS = 16
_NAME_MAX = 63


class Outcome(msgspec.Struct, frozen=True):
    """What a request left behind: the object as stored, and whether it is now gone, or new."""

    raw: bytes
    revision: int
    uid: str
    deleted: bool = False
    created: bool = False


class _Change(msgspec.Struct, frozen=True):
    """A decided update: the new stored form and the transaction. No writes: nothing changes."""

    raw: bytes
    uid: str
    writes: list[Write] = []
    checks: list[Check] = []
    gone: bool = False

    def outcome(self, revision: int) -> Outcome:
        """What is left behind when the object is at `revision`."""
        return Outcome(self.raw, revision, self.uid, deleted=self.gone)


class Registry:
    """Creates and updates objects. Deletion builds on it in `ha.controlplane.apiserver.deletion`."""

    def __init__(
        self,
        store: Store,
        feed: Feed,
        resources: Mapping[Kind, Resource],
        *,
        random: Random,
        wall_clock: Callable[[], float],
        leases: LeasePool,
    ) -> None:
        self.store = store
        self.feed = feed
        self.resources = resources
        self.random = random
        self.wall_clock = wall_clock
        self._leases = leases

    async def create(
        self, resource: Resource, namespace: str | None, body: Object, *, dry_run: bool = False
    ) -> Outcome:
        """Store a new object. Raises ApiError: AlreadyExists, Invalid, NotFound (its namespace) and so on."""
        obj = self.receive(resource, namespace, body)
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        if generate := not meta.get("name") and bool(meta.get("generateName")):
            meta["name"] = self._generated(meta["generateName"])
        await self._admit_to_namespace(resource, namespace, meta.get("name", ""))
        meta.update(uid=_new_uid(self.random), creationTimestamp=timestamp(self.wall_clock()))
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            meta.pop(field, None)
        if resource.generation:
            meta["generation"] = 1
        resource.prepare(obj)
        resource.default(obj)
        self._require_valid(resource, obj, check_metadata(resource, obj) + resource.validate(obj))
        for _ in range(_GENERATE_ATTEMPTS if generate else 1):
            outcome = await self._try_create(resource, obj, dry_run=dry_run)
            if outcome is not None:
                return outcome
            if generate:
                meta["name"] = self._generated(meta["generateName"])
                resource.default(obj)
        raise errors.already_exists(resource.kind, meta["name"])

    async def _try_create(self, resource: Resource, obj: Object, *, dry_run: bool) -> Outcome | None:
        """None: an object of that name exists."""
        meta = obj["metadata"]
        key = resource.kind.key(meta.get("namespace"), meta["name"])
        for _ in range(_ALLOCATE_ATTEMPTS):
            candidate = prune(obj)
            resource.allocate(candidate)
            raw = resource.codec.encode(candidate)
            if dry_run:
                exists = await self.store.get(key) is not None
                return None if exists else Outcome(raw, 0, meta["uid"], created=True)
            claims = resource.claims(candidate)
            checks = [Check(key, 0), *(Check(c, 0) for c in claims)]
            writes = [Write(key, raw, await self._lease(resource)), *(Write(c, key.encode()) for c in claims)]
            commit = await self.store.commit(checks, writes)
            if commit.done:
                return Outcome(raw, commit.revision, meta["uid"], created=True)
            if key in commit.current:
                return None
            chosen = [c for c in resource.claims(obj) if c in commit.current]
            if chosen:
                raise errors.invalid(resource.kind, meta["name"], [resource.taken(c) for c in chosen])
        raise errors.internal_error(f"failed to allocate a value for {resource.kind.plural}: range is full")

    async def update(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        transform: Transform,
        *,
        part: Part = "main",
        dry_run: bool = False,
    ) -> Outcome:
        """Replace an object, or a part of it, by what `transform` makes of it.

        A resourceVersion in the transformed object must be the current one.
        """
        key = resource.kind.key(namespace, name)
        current, guessed = (await self.store.get(key), False) if dry_run else await self.find(resource, key)
        allocations = 0
        while True:
            current, change = await self._decide(resource, key, current, transform, part, guessed=guessed)
            if dry_run or not change.writes:
                return change.outcome(current.revision)
            commit = await self.store.commit(change.checks, change.writes)
            if commit.done:
                return change.outcome(commit.revision)
            newer = commit.current.get(key)
            if newer is not None and newer.revision == current.revision:
                allocations += 1
                if allocations == _ALLOCATE_ATTEMPTS:
                    taken = [resource.taken(c) for c in commit.current if c != key]
                    raise errors.invalid(resource.kind, name, taken)
            current, guessed = newer, False

    async def _decide(
        self,
        resource: Resource,
        key: str,
        current: Stored | None,
        transform: Transform,
        part: Part,
        *,
        guessed: bool,
    ) -> tuple[Stored, _Change]:
        """What to write, and on the basis of which state. A guess that leads to no write is asked of the store."""
        if guessed:
            assert current is not None, "a guess is an object in the cache"
            with suppress(ApiError):  # what is wrong with the guess need not be wrong with the object
                change = await self._change(resource, current, transform, part)
                if change.writes:
                    return current, change
            current = await self.store.get(key)
        if current is None:
            raise errors.not_found(resource.kind, key.rpartition("/")[2])
        return current, await self._change(resource, current, transform, part)

    async def _change(self, resource: Resource, current: Stored, transform: Transform, part: Part) -> _Change:
        codec = resource.codec
        before = codec.canonical(current.value)
        old = codec.decode(before, current.revision)
        new = transform(codec.decode(before, current.revision))
        self._admit_update(resource, new, old, part)
        raw, uid = codec.encode(new), old["metadata"]["uid"]
        claims_before, claims_after = resource.claims(old), resource.claims(new)
        checks = [Check(current.key, current.revision)]
        if _released(resource, new, old):
            writes = [Write(current.key, None), *(Write(c, None) for c in claims_before)]
            return _Change(raw, uid, writes, checks, gone=True)
        if raw == before or orjson.loads(raw) == orjson.loads(before):
            return _Change(before, uid)
        taken = [c for c in claims_after if c not in claims_before]
        writes = [Write(current.key, raw, await self._lease(resource))]
        writes += [Write(c, current.key.encode()) for c in taken]
        writes += [Write(c, None) for c in claims_before if c not in claims_after]
        return _Change(raw, uid, writes, checks + [Check(c, 0) for c in taken])

    def _admit_update(self, resource: Resource, new: Object, old: Object, part: Part) -> None:
        """Check preconditions, carry over what is not the client's, fill in, validate."""
        self._require_fresh(resource, new, old)
        _carry_metadata(new, old)
        if part == "status":
            _only_status(new, old)
        elif part == "main":
            if resource.has_status:
                _keep_status(new, old)
            resource.default(new)
            resource.carry(new, old)
            resource.allocate(new)
        if resource.generation and _desired(new) != _desired(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        causes = check_metadata(resource, new) + check_metadata_update(new, old)
        if part == "main":
            causes += resource.validate(new) + resource.validate_update(new, old)
        self._require_valid(resource, new, causes)
        assert new["metadata"]["name"] == old["metadata"]["name"], f"{resource.kind.kind} renamed"

    def _require_fresh(self, resource: Resource, new: Object, old: Object) -> None:
        """The client's resourceVersion and uid, where it gives them, must be the current ones."""
        meta, name = new["metadata"], old["metadata"]["name"]
        wanted, current = meta.get("resourceVersion") or "0", old["metadata"]["resourceVersion"]
        if not wanted.isdecimal():
            cause = Cause.invalid("metadata.resourceVersion", wanted, "must be an unsigned integer")
            raise errors.invalid(resource.kind, name, [cause])
        if wanted == "0" and not resource.unconditional_update:
            cause = Cause.invalid_text("metadata.resourceVersion", "0x0", "must be specified for an update")
            raise errors.invalid(resource.kind, name, [cause])
        if wanted not in {"0", current}:
            raise errors.conflict(resource.kind, name)
        uid, existing = meta.get("uid"), old["metadata"]["uid"]
        if uid and uid != existing:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {existing}"
            raise errors.conflict(resource.kind, name, why)

    def receive(self, resource: Resource, namespace: str | None, body: Object) -> Object:
        """Take in an object of a request: no nulls, the types that hooks rely on, the request's namespace."""
        obj: Object = prune(body)
        obj.setdefault("metadata", {})
        obj["kind"], obj["apiVersion"] = resource.kind.kind, resource.kind.api_version
        check_shape(resource.kind, obj, resource.shape)
        meta = obj["metadata"]
        if resource.kind.namespaced:
            if meta.setdefault("namespace", namespace) != namespace:
                raise errors.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                )
        else:
            meta.pop("namespace", None)
        return obj

    async def find(self, resource: Resource, key: str) -> tuple[Stored | None, bool]:
        """The object to start from, and whether it is a guess (from the cache) that has to be confirmed."""
        entry = self._cached(resource, key)
        if entry is not None:
            return Stored(key, entry.raw, entry.revision), True
        return await self.store.get(key), False

    def _cached(self, resource: Resource, key: str) -> Entry | None:
        cache = self.feed.caches[resource.kind]
        return cache.get(key.removeprefix(resource.kind.prefix)) if self.feed.synced else None

    async def _admit_to_namespace(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Upstream's NamespaceLifecycle admission: the namespace is there, and is not going away."""
        if not resource.kind.namespaced:
            return
        assert namespace is not None, "routed by namespace"
        spaces = self.resources[NAMESPACE]
        stored, _ = await self.find(spaces, NAMESPACE.key(None, namespace))
        if stored is None:
            raise errors.not_found(NAMESPACE, namespace)
        space = spaces.codec.decode(stored.value, stored.revision)
        if space["metadata"].get("deletionTimestamp"):
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise errors.forbidden(resource.kind, name, why, [cause])

    async def _lease(self, resource: Resource) -> int:
        return await self._leases.lease(resource.ttl_s) if resource.ttl_s else 0

    def _generated(self, base: str) -> str:
        suffix = "".join(self.random.choice(_SUFFIX) for _ in range(5))
        return base[: _NAME_MAX - len(suffix)] + suffix

    def _require_valid(self, resource: Resource, obj: Object, causes: list[Cause]) -> None:
        if causes:
            raise errors.invalid(resource.kind, obj["metadata"].get("name", ""), causes)


def _new_uid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def _carry_metadata(new: Object, old: Object) -> None:
    """What the server decides stays as it is."""
    meta, before = new["metadata"], old["metadata"]
    for field in (*_SERVER_OWNED, "generateName"):
        if field in before:
            meta[field] = before[field]
        else:
            meta.pop(field, None)


def _only_status(new: Object, old: Object) -> None:
    """A status update: everything but status and metadata is the old object's."""
    for field in (new.keys() | old.keys()) - {"status", "metadata"}:
        if field in old:
            new[field] = old[field]
        else:
            new.pop(field)


def _keep_status(new: Object, old: Object) -> None:
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def _desired(obj: Object) -> Object:
    """What `metadata.generation` counts the changes of."""
    return {k: v for k, v in obj.items() if k not in {"metadata", "status"}}


def _released(resource: Resource, new: Object, old: Object) -> bool:
    """Whether nothing holds back any more an object whose deletion was asked for and whose grace is over."""
    meta = old["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("deletionGracePeriodSeconds", 0) != 0:
        return False
    return not new["metadata"].get("finalizers") and not resource.held(new)
