"""Events: notes about objects that expire by themselves."""

from __future__ import annotations

from ha.controlplane.apiserver.resource import Fields, Resource
from ha.controlplane.apiserver.shape import STRING, Shape
from ha.kube.errors import Cause
from ha.kube.kinds import EVENT, Object

__all__ = ["events"]

_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def events(ttl_s: int) -> Resource:
    """`ttl_s`: how long an Event is kept."""
    reference: Shape = dict.fromkeys(_REFERENCE, STRING)
    return Resource(
        kind=EVENT,
        shape={
            "involvedObject": reference,
            "source": {"component": STRING},
            "reason": STRING,
            "type": STRING,
            "reportingComponent": STRING,
        },
        validate=_validate,
        fields=_fields,
        field_names=frozenset(
            {f"involvedObject.{f}" for f in _REFERENCE} | {"reason", "reportingComponent", "source", "type"},
        ),
        strict_fields=True,
        create_on_update=True,
        ttl_s=ttl_s,
    )


def _validate(event: Object) -> list[Cause]:
    if event.get("involvedObject") is None:
        return [Cause.required("involvedObject")]
    involved = event["involvedObject"].get("namespace", "")
    namespace = event["metadata"].get("namespace", "")
    if involved == namespace or (not involved and namespace in {"default", "kube-system"}):
        return []
    return [Cause.invalid("involvedObject.namespace", involved, "does not match event.namespace")]


def _fields(event: Object) -> Fields:
    involved = event.get("involvedObject") or {}
    source = (event.get("source") or {}).get("component", "") or event.get("reportingComponent", "")
    fields = {f"involvedObject.{f}": involved.get(f, "") for f in _REFERENCE}
    fields["reason"] = event.get("reason", "")
    fields["reportingComponent"] = event.get("reportingComponent", "")
    fields["source"] = source
    fields["type"] = event.get("type", "")
    return fields
