"""Reading Pods: what the kubelet wants to know of a manifest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import orjson

from ha.kube.kinds import Object
from ha.node.runtime import PodSandbox

__all__ = [
    "CONFIG_VARIABLE",
    "MIRROR",
    "PAUSE",
    "containers",
    "grace_period_s",
    "is_mirror",
    "is_static",
    "manifest_hash",
    "mirror_of",
    "program_of",
    "sandbox_of",
    "static_pod",
]

CONFIG_VARIABLE = "HA_CONFIG"
PAUSE = "ha.node.pause:serve"
MIRROR = "kubernetes.io/config.mirror"
_HASH = "kubernetes.io/config.hash"
_SOURCE = "kubernetes.io/config.source"


def containers(pod: Object) -> list[Object]:
    """Its containers. Init containers are not run here."""
    return pod["spec"].get("containers") or []


def grace_period_s(pod: Object) -> float:
    """How long its containers may take to end."""
    deletion = pod["metadata"].get("deletionGracePeriodSeconds")
    wanted = deletion if deletion is not None else pod["spec"].get("terminationGracePeriodSeconds", 30)
    return float(wanted)


def sandbox_of(pod: Object) -> PodSandbox:
    """The pod as the runtime knows it."""
    meta = pod["metadata"]
    return PodSandbox(meta["uid"], meta["namespace"], meta["name"], host_network=bool(pod["spec"].get("hostNetwork")))


def is_static(pod: Object) -> bool:
    """Whether the pod comes from this kubelet's own manifests."""
    return (pod["metadata"].get("annotations") or {}).get(_SOURCE) == "file" and not is_mirror(pod)


def is_mirror(pod: Object) -> bool:
    """Whether the pod in the API only mirrors a static pod."""
    return MIRROR in (pod["metadata"].get("annotations") or {})


def manifest_hash(pod: Object) -> str:
    """The hash that tells one version of a static pod from another."""
    return str((pod["metadata"].get("annotations") or {}).get(MIRROR if is_mirror(pod) else _HASH, ""))


def static_pod(manifest: Object, node: str) -> Object:
    """A static pod from its manifest: bound to this node, its name and uid derived from it, immune to taints."""
    digest = blake2b(orjson.dumps([node, manifest], option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
    meta, spec = manifest["metadata"], manifest["spec"]
    return {
        **manifest,
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **meta,
            "name": f"{meta['name']}-{node}",
            "namespace": meta.get("namespace") or "default",
            "uid": digest,
            "annotations": {**(meta.get("annotations") or {}), _HASH: digest, _SOURCE: "file"},
        },
        "spec": {
            **spec,
            "nodeName": node,
            "tolerations": [*(spec.get("tolerations") or []), {"operator": "Exists", "effect": "NoExecute"}],
        },
    }


def mirror_of(pod: Object, node: Object | None) -> Object:
    """What is shown of a static pod in the API. `node` owns it, once it is registered."""
    meta = pod["metadata"]
    mirror_meta: Object = {
        "name": meta["name"],
        "namespace": meta["namespace"],
        "labels": meta.get("labels") or {},
        "annotations": {**meta["annotations"], MIRROR: manifest_hash(pod)},
    }
    if node is not None:
        mirror_meta["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "name": node["metadata"]["name"],
                "uid": node["metadata"]["uid"],
                "controller": True,
            }
        ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": mirror_meta, "spec": pod["spec"]}


def program_of(pod: Object, container: Object, images: Mapping[str, str]) -> tuple[str, str, bytes]:
    """The process name, program and configuration of a container.

    A static pod's container is named like itself, so that its log and its disk are found by that name.
    """
    meta, name = pod["metadata"], container["name"]
    process = name if is_static(pod) else f"{meta['namespace']}_{meta['name']}_{name}"
    program = images.get(container.get("image", ""))
    if program is None:
        return process, PAUSE, b"{}"
    variables = {v["name"]: v.get("value", "") for v in container.get("env") or []}
    return process, program, str(variables.get(CONFIG_VARIABLE) or "{}").encode()
