"""What a kind is to the server: a declaration of hooks around one generic life cycle.

The life cycle (create, update, status, delete) is the same for every kind and lives in
`ha.controlplane.apiserver.registry`. A `Resource` says only what differs: what is filled in, what is wrong,
what may not change, how it is selected. Hooks are pure functions on decoded objects; those that fill in change
the object in place. Adding a kind means declaring a `Resource` (and its `Kind`), nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ha.controlplane.apiserver.codec import Codec
from ha.controlplane.apiserver.shape import Shape
from ha.kube.errors import Cause
from ha.kube.kinds import Kind, Object

__all__ = ["Fields", "NameRule", "Resource"]

NameRule: TypeAlias = Literal["subdomain", "label", "label-1035", "path-segment"]
Fields: TypeAlias = dict[str, str]


def _nothing(_obj: Object) -> None:
    return None


def _carry_nothing(_new: Object, _old: Object) -> None:
    return None


def _no_fault(_obj: Object) -> list[Cause]:
    return []


def _no_change_fault(_new: Object, _old: Object) -> list[Cause]:
    return []


def _free(_obj: Object) -> bool:
    return False


def _no_fields(_obj: Object) -> Fields:
    return {}


def _no_claims(_obj: Object) -> list[str]:
    return []


def _is_taken(claim: str) -> Cause:
    return Cause.duplicate("spec", claim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind's declaration."""

    kind: Kind
    shape: Shape = field(default_factory=dict)
    name_rule: NameRule = "subdomain"

    prepare: Callable[[Object], None] = _nothing
    """On create: reset what a client may not set."""
    default: Callable[[Object], None] = _nothing
    """On create and update: fill in what was left out."""
    validate: Callable[[Object], list[Cause]] = _no_fault
    carry: Callable[[Object, Object], None] = _carry_nothing
    """On update (new, old): take over from the old object what a client may leave out or not change."""
    validate_update: Callable[[Object, Object], list[Cause]] = _no_change_fault

    fields: Callable[[Object], Fields] = _no_fields
    """Selectable fields beside ``metadata.name`` and ``metadata.namespace``."""
    field_names: frozenset[str] = frozenset()
    strict_fields: bool = False
    """Word an unsupported field as kinds with a conversion function of their own do."""

    allocate: Callable[[Object], None] = _nothing
    """Choose values that no other object may have; tried again when they turn out to be taken."""
    claims: Callable[[Object], list[str]] = _no_claims
    """Storage keys that exist exactly as long as the object holds the value that they stand for."""
    taken: Callable[[str], Cause] = _is_taken
    """What is wrong with an object that was to have the value that a claim of another object stands for."""

    generation: bool = False
    """Count changes of the desired state in ``metadata.generation``."""
    create_on_update: bool = False
    unconditional_update: bool = True
    """Whether an update may come without a resourceVersion."""
    grace: Callable[[Object, int | None], int] | None = None
    """Seconds between a delete request (which may ask for some) and the removal, for a kind that has such."""
    held: Callable[[Object], bool] = _free
    """Whether something beside ``metadata.finalizers`` keeps a deleted object."""
    deleting: Callable[[Object], None] = _nothing
    """When deletion was asked for and has to wait: what else shows it."""
    returns_deleted: bool = False
    """Whether a delete answers with the object instead of a Status."""
    ttl_s: int = 0
    """Seconds after which an object expires; 0: never."""
    scale: bool = False
    """Whether it has ``spec.replicas``, ``status.replicas`` and ``spec.selector`` for a ``Scale`` to show."""

    @property
    def has_status(self) -> bool:
        """Whether status is written through a subresource of its own."""
        return "status" in self.kind.subresources

    @property
    def codec(self) -> Codec:
        """How it is encoded."""
        return _CODECS.setdefault(self.kind, Codec.of(self.kind))

    def selectable(self, obj: Object) -> Fields:
        """All fields that a field selector may name."""
        meta = obj["metadata"]
        fields = {"metadata.name": meta["name"], "metadata.namespace": meta.get("namespace", "")}
        fields.update(self.fields(obj))
        return fields


_CODECS: dict[Kind, Codec] = {}
