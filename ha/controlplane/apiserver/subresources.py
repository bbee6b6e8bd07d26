"""Subresources with a body of their own: a Pod's binding, a workload's scale."""

from __future__ import annotations

from ha.controlplane.apiserver.registry import Outcome, Registry, Transform
from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.shape import INT, META, STRING, check_shape
from ha.kube import errors
from ha.kube.errors import Cause
from ha.kube.kinds import BINDING, POD, Kind, Object
from ha.kube.meta import timestamp
from ha.kube.selectors import from_object

__all__ = ["SCALE", "bind", "finalize", "scale_of", "scaling"]

SCALE = Kind("autoscaling", "v1", "Scale", "scales", namespaced=True)
_PODS_BINDING = Kind("", "v1", "Pod", "pods/binding", namespaced=True)


async def bind(registry: Registry, namespace: str, name: str, binding: Object, *, dry_run: bool = False) -> Outcome:
    """Assign a Pod to a node, once. Raises Conflict when it is assigned, or being deleted."""
    check_shape(BINDING, binding, {"target": {"kind": STRING, "name": STRING}})
    target = binding.get("target") or {}
    meta = binding.get("metadata") or {}
    causes = []
    if target.get("kind") not in {None, "", "Node"}:
        causes.append(Cause.unsupported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        causes.append(Cause.required("target.name"))
    if causes:
        raise errors.invalid(BINDING, name, causes)

    def transform(pod: Object) -> Object:
        _require_unassigned(pod, name)
        for field in ("uid", "resourceVersion"):
            if meta.get(field):
                pod["metadata"][field] = meta[field]
        if annotations := meta.get("annotations"):
            pod["metadata"]["annotations"] = {**(pod["metadata"].get("annotations") or {}), **annotations}
        pod["spec"]["nodeName"] = target["name"]
        _mark_scheduled(pod, timestamp(registry.wall_clock()))
        return pod

    return await registry.update(registry.resources[POD], namespace, name, transform, part="all", dry_run=dry_run)


def _require_unassigned(pod: Object, name: str) -> None:
    if pod["metadata"].get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise errors.conflict(_PODS_BINDING, name, why)
    if node := pod["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{node}"'
        raise errors.conflict(_PODS_BINDING, name, why)


def _mark_scheduled(pod: Object, now: str) -> None:
    status = pod.setdefault("status", {})
    conditions = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
    conditions.append({"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now})
    status["conditions"] = conditions


def finalize(body: Object) -> Transform:
    """What ``namespaces/finalize`` does: replace the finalizers of the spec."""

    def transform(namespace: Object) -> Object:
        namespace["spec"] = body.get("spec") or {}
        for field in ("uid", "resourceVersion"):
            if wanted := body["metadata"].get(field):
                namespace["metadata"][field] = wanted
        return namespace

    return transform


def scale_of(obj: Object) -> Object:
    """A workload as a ``Scale``."""
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": {field: meta[field] for field in kept if field in meta},
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": str(from_object(obj["spec"].get("selector") or {})),
        },
    }


def scaling(resource: Resource, name: str, wanted: Transform) -> Transform:
    """The update of a workload that an update of its Scale stands for. `wanted`: from the old Scale to the new."""

    def transform(obj: Object) -> Object:
        scale = wanted(scale_of(obj))
        check_shape(SCALE, scale, {"metadata": META, "spec": {"replicas": INT}})
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        if replicas < 0:
            cause = Cause.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
            raise errors.invalid(SCALE, name, [cause])
        assert resource.scale, f"{resource.kind.kind} has no scale"
        obj["spec"]["replicas"] = replicas
        for field in ("uid", "resourceVersion"):
            if value := (scale.get("metadata") or {}).get(field):
                obj["metadata"][field] = value
        return obj

    return transform
