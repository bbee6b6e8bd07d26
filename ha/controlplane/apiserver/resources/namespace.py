"""Namespaces: deleted in two steps, so that their content can go first."""

from __future__ import annotations

from ha.controlplane.apiserver.resource import Fields, Resource
from ha.controlplane.apiserver.shape import STRING
from ha.kube.kinds import NAMESPACE, Object

__all__ = ["IMMORTAL", "namespaces"]

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
"""Upstream's NamespaceLifecycle admission refuses to delete these."""


def namespaces() -> Resource:
    """The declaration."""
    return Resource(
        kind=NAMESPACE,
        shape={"spec": {"finalizers": [STRING]}, "status": {"phase": STRING}},
        name_rule="label",
        prepare=_prepare,
        default=_default,
        carry=_carry,
        fields=_fields,
        field_names=frozenset({"name", "status.phase"}),
        strict_fields=True,
        deleting=_deleting,
        held=lambda namespace: bool((namespace.get("spec") or {}).get("finalizers")),
    )


def _prepare(namespace: Object) -> None:
    namespace["status"] = {"phase": "Active"}
    finalizers = namespace.setdefault("spec", {}).setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")


def _default(namespace: Object) -> None:
    meta = namespace["metadata"]
    if name := meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": name}


def _deleting(namespace: Object) -> None:
    namespace["status"] = {**(namespace.get("status") or {}), "phase": "Terminating"}
    namespace["metadata"].pop("deletionGracePeriodSeconds", None)


def _carry(new: Object, old: Object) -> None:
    """Only ``finalize`` changes the finalizers of the spec."""
    new["spec"] = old.get("spec") or {}


def _fields(namespace: Object) -> Fields:
    phase = (namespace.get("status") or {}).get("phase", "")
    return {"name": namespace["metadata"]["name"], "status.phase": phase}
