"""Reading and writing what every object carries: names, revisions, owners, times.

Plain functions on decoded objects. Times are given by the caller (seconds since the epoch, from
``host.wall_clock()``): this module knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ha.kube.kinds import Kind, Object

__all__ = [
    "annotations_of",
    "controller_of",
    "deleting",
    "labels_of",
    "metadata",
    "micro_time",
    "name_of",
    "namespace_of",
    "object_key",
    "owner_reference",
    "parse_time",
    "resource_version",
    "timestamp",
    "uid_of",
]


def metadata(obj: Object) -> Object:
    """The object's ``metadata``, made when missing."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        meta = obj["metadata"] = {}
    return meta


def name_of(obj: Object) -> str:
    """``metadata.name``, or empty."""
    return str(metadata(obj).get("name") or "")


def namespace_of(obj: Object) -> str:
    """``metadata.namespace``, or empty for an object without one."""
    return str(metadata(obj).get("namespace") or "")


def object_key(obj: Object) -> tuple[str, str]:
    """Namespace and name: what identifies an object among its kind."""
    return namespace_of(obj), name_of(obj)


def uid_of(obj: Object) -> str:
    """``metadata.uid``, or empty."""
    return str(metadata(obj).get("uid") or "")


def labels_of(obj: Object) -> dict[str, str]:
    """The labels; not to be changed in place."""
    return metadata(obj).get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """The annotations; not to be changed in place."""
    return metadata(obj).get("annotations") or {}


def resource_version(obj: Object) -> int:
    """The store's revision at which the object was last written; 0 when it says none."""
    return int(metadata(obj).get("resourceVersion") or 0)


def deleting(obj: Object) -> bool:
    """Whether the object is on its way out: ``deletionTimestamp`` is set."""
    return bool(metadata(obj).get("deletionTimestamp"))


def controller_of(obj: Object) -> Object | None:
    """The owner reference of the controller that manages the object, if any."""
    owners: Iterable[Any] = metadata(obj).get("ownerReferences") or ()
    return next((o for o in owners if isinstance(o, dict) and o.get("controller")), None)


def owner_reference(owner: Object, kind: Kind) -> Object:
    """What a dependent carries to name its controller."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds, as ``metav1.Time`` is written: ``2026-11-23T03:49:12Z``."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(seconds: float) -> str:
    """RFC 3339 in UTC with microseconds, as ``metav1.MicroTime`` is written (Lease times)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {text!r}")
    return moment.timestamp()
