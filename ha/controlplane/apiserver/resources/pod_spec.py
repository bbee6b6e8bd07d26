"""What Pods and pod templates have in common: shape, defaults and rules of a PodSpec."""

from __future__ import annotations

from ha.controlplane.apiserver.shape import ANY, BOOL, INT, STRING, STRING_MAP, Shape
from ha.controlplane.apiserver.validation import check_name, dns_label_fault
from ha.kube.errors import Cause
from ha.kube.kinds import Object

__all__ = ["POD_SPEC", "check_pod_spec", "default_pod_spec"]

_CONTAINER: Shape = {
    "name": STRING,
    "image": STRING,
    "imagePullPolicy": STRING,
    "command": [STRING],
    "args": [STRING],
    "env": [{"name": STRING, "value": STRING}],
    "ports": [{"name": STRING, "containerPort": INT, "hostPort": INT, "protocol": STRING}],
    "resources": {"limits": ANY, "requests": ANY},
    "volumeMounts": [{"name": STRING, "mountPath": STRING}],
}

POD_SPEC: Shape = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "nodeName": STRING,
    "nodeSelector": STRING_MAP,
    "restartPolicy": STRING,
    "terminationGracePeriodSeconds": INT,
    "activeDeadlineSeconds": INT,
    "dnsPolicy": STRING,
    "hostNetwork": BOOL,
    "schedulerName": STRING,
    "serviceAccountName": STRING,
    "priority": INT,
    "tolerations": [{"key": STRING, "operator": STRING, "value": STRING, "effect": STRING, "tolerationSeconds": INT}],
    "volumes": [{"name": STRING}],
    "affinity": ANY,
}

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def default_pod_spec(spec: Object) -> None:
    """Fill in what upstream's v1 defaults fill in, for the fields that exist here."""
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _default_container(container)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")


def _default_container(container: Object) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image", "")))
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")


def _pull_policy(image: str) -> str:
    """Always for the tag latest, said or implied; a digest pins."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if tag and tag != "latest" else "Always"


def check_pod_spec(spec: Object, path: str) -> list[Cause]:
    """What is wrong with a PodSpec."""
    containers = spec.get("containers") or []
    causes = [] if containers else [Cause.required(f"{path}.containers")]
    names: set[str] = set()
    for field in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(field) or []):
            causes += _check_container(container, f"{path}.{field}[{i}]", names)
    if spec["restartPolicy"] not in _RESTART_POLICIES:
        causes.append(Cause.unsupported(f"{path}.restartPolicy", spec["restartPolicy"], _RESTART_POLICIES))
    if spec["terminationGracePeriodSeconds"] < 0:
        text = "must be greater than or equal to 0"
        value = spec["terminationGracePeriodSeconds"]
        causes.append(Cause.invalid(f"{path}.terminationGracePeriodSeconds", value, text))
    if node := spec.get("nodeName"):
        causes += check_name(f"{path}.nodeName", node, "subdomain")
    for i, toleration in enumerate(spec.get("tolerations") or []):
        causes += _check_toleration(toleration, f"{path}.tolerations[{i}]")
    return causes


def _check_container(container: Object, path: str, names: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = container.get("name", "")
    if not name:
        causes.append(Cause.required(f"{path}.name"))
    elif name in names:
        causes.append(Cause.duplicate(f"{path}.name", name))
    else:
        causes += dns_label_fault(f"{path}.name", name)
    names.add(name)
    if not container.get("image"):
        causes.append(Cause.required(f"{path}.image"))
    if container["imagePullPolicy"] not in _PULL_POLICIES:
        causes.append(Cause.unsupported(f"{path}.imagePullPolicy", container["imagePullPolicy"], _PULL_POLICIES))
    for i, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            causes.append(Cause.required(f"{path}.env[{i}].name"))
    for i, port in enumerate(container.get("ports") or []):
        number = port.get("containerPort")
        if number is None:
            causes.append(Cause.required(f"{path}.ports[{i}].containerPort"))
        elif not 0 < number < 65536:
            text = "must be between 1 and 65535, inclusive"
            causes.append(Cause.invalid(f"{path}.ports[{i}].containerPort", number, text))
    return causes


def _check_toleration(toleration: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    operator = toleration.get("operator") or "Equal"
    if operator not in {"Equal", "Exists"}:
        causes.append(Cause.unsupported(f"{path}.operator", operator, ("Equal", "Exists")))
    if not toleration.get("key") and operator != "Exists":
        text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        causes.append(Cause.invalid(f"{path}.operator", operator, text))
    if operator == "Exists" and toleration.get("value"):
        text = "value must be empty when `operator` is 'Exists'"
        causes.append(Cause.invalid(f"{path}.operator", toleration["value"], text))
    effect = toleration.get("effect")
    if effect and effect not in _EFFECTS:
        causes.append(Cause.unsupported(f"{path}.effect", effect, _EFFECTS))
    if "tolerationSeconds" in toleration and effect != "NoExecute":
        text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        causes.append(Cause.invalid(f"{path}.effect", effect or "", text))
    return causes
