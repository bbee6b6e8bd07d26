"""Pods: bound once, deleted with grace, changed hardly at all after creation."""

from __future__ import annotations

import copy
import math

from ha.controlplane.apiserver.resource import Fields, Resource
from ha.controlplane.apiserver.resources.pod_spec import POD_SPEC, check_pod_spec, default_pod_spec
from ha.controlplane.apiserver.shape import ANY, STRING
from ha.kube.errors import Cause
from ha.kube.kinds import POD, Object

__all__ = ["pods"]

_FIELD_NAMES = frozenset(
    {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    },
)
_FROZEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pods(eviction_toleration_s: float) -> Resource:
    """`eviction_toleration_s`: how long a Pod that says nothing of it stays on a node that is not ready."""
    seconds = math.ceil(eviction_toleration_s)

    def default(pod: Object) -> None:
        spec = pod.setdefault("spec", {})
        default_pod_spec(spec)
        spec.setdefault("enableServiceLinks", True)
        spec.setdefault("priority", 0)
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")

    def prepare(pod: Object) -> None:
        pod["status"] = {"phase": "Pending", "qosClass": _quality(pod.get("spec") or {})}
        _tolerate_unready_nodes(pod.setdefault("spec", {}), seconds)

    return Resource(
        kind=POD,
        shape={"spec": POD_SPEC, "status": {"phase": STRING, "podIP": STRING, "conditions": [ANY]}},
        prepare=prepare,
        default=default,
        validate=lambda pod: check_pod_spec(pod["spec"], "spec"),
        validate_update=_validate_update,
        fields=_fields,
        field_names=_FIELD_NAMES,
        strict_fields=True,
        grace=_grace,
        returns_deleted=True,
    )


def _tolerate_unready_nodes(spec: Object, seconds: int) -> None:
    """What upstream's DefaultTolerationSeconds admission adds unless the Pod itself has a say."""
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(_covers(t, key) for t in tolerations):
            toleration = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
            tolerations.append(toleration)


def _covers(toleration: Object, key: str) -> bool:
    return toleration.get("key", key) in {key, ""} and toleration.get("effect", "") in {"", "NoExecute"}


def _quality(spec: Object) -> str:
    """The QoS class: Guaranteed when every container's cpu and memory limits equal its requests."""
    any_set, guaranteed = False, True
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        any_set = any_set or bool(limits or requests)
        for name in ("cpu", "memory"):
            guaranteed = guaranteed and name in limits and requests.get(name, limits[name]) == limits[name]
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _validate_update(new: Object, old: Object) -> list[Cause]:
    masked = copy.deepcopy(new["spec"])
    before = old["spec"]
    for field in ("containers", "initContainers"):
        now, then = masked.get(field) or [], before.get(field) or []
        if len(now) != len(then):
            return [Cause.forbidden(f"spec.{field}", "pod updates may not add or remove containers")]
        for container, original in zip(now, then, strict=True):
            container["image"] = original["image"]
    known = before.get("tolerations") or []
    if all(t in (masked.get("tolerations") or []) for t in known):
        masked["tolerations"] = known
    for field in ("activeDeadlineSeconds", "tolerations"):
        if field not in before:
            masked.pop(field, None)
    if "activeDeadlineSeconds" in before and "activeDeadlineSeconds" in masked:
        masked["activeDeadlineSeconds"] = before["activeDeadlineSeconds"]
    return [] if masked == before else [Cause.forbidden("spec", _FROZEN)]


def _grace(pod: Object, asked: int | None) -> int:
    """Seconds until the Pod may be removed. One that never ran, or ran out, goes at once."""
    spec, status = pod["spec"], pod.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in {"Failed", "Succeeded"}:
        return 0
    period = spec.get("terminationGracePeriodSeconds", 30) if asked is None else asked
    return max(0, int(period))


def _fields(pod: Object) -> Fields:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    return {
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.restartPolicy": spec.get("restartPolicy", ""),
        "spec.schedulerName": spec.get("schedulerName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "spec.hostNetwork": "true" if spec.get("hostNetwork") else "false",
        "status.phase": status.get("phase", ""),
        "status.podIP": status.get("podIP", ""),
        "status.nominatedNodeName": status.get("nominatedNodeName", ""),
    }
