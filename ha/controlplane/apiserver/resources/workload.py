"""Deployments and ReplicaSets: a selector, a template that it selects, a number of replicas."""

from __future__ import annotations

import re

from ha.controlplane.apiserver.resource import Fields, Resource
from ha.controlplane.apiserver.resources.pod_spec import POD_SPEC, check_pod_spec, default_pod_spec
from ha.controlplane.apiserver.shape import ANY, BOOL, INT, META, STRING, STRING_MAP, Shape
from ha.controlplane.apiserver.validation import label_faults
from ha.kube.errors import Cause
from ha.kube.kinds import DEPLOYMENT, REPLICA_SET, Object
from ha.kube.selectors import SelectorError, from_object

__all__ = ["deployments", "replica_sets"]

_SPEC: dict[str, Shape] = {
    "replicas": INT,
    "minReadySeconds": INT,
    "selector": {
        "matchLabels": STRING_MAP,
        "matchExpressions": [{"key": STRING, "operator": STRING, "values": [STRING]}],
    },
    "template": {"metadata": META, "spec": POD_SPEC},
}
_STRATEGIES = ("Recreate", "RollingUpdate")
_PERCENT = re.compile(r"\d+%")
_NEGATIVE = "must be greater than or equal to 0"


def deployments() -> Resource:
    """The declaration."""
    spec: Shape = {
        **_SPEC,
        "paused": BOOL,
        "revisionHistoryLimit": INT,
        "progressDeadlineSeconds": INT,
        "strategy": {"type": STRING, "rollingUpdate": {"maxSurge": ANY, "maxUnavailable": ANY}},
    }
    return Resource(
        kind=DEPLOYMENT,
        shape={"spec": spec, "status": {"replicas": INT}},
        prepare=_reset_status,
        default=_default_deployment,
        validate=_validate_deployment,
        validate_update=_selector_unchanged,
        generation=True,
        scale=True,
    )


def replica_sets() -> Resource:
    """The declaration."""
    return Resource(
        kind=REPLICA_SET,
        shape={"spec": _SPEC, "status": {"replicas": INT}},
        prepare=_reset_status,
        default=_default_replica_set,
        validate=_validate_common,
        validate_update=_selector_unchanged,
        fields=_replica_set_fields,
        field_names=frozenset({"status.replicas"}),
        generation=True,
        scale=True,
    )


def _reset_status(obj: Object) -> None:
    obj["status"] = {"replicas": 0} if obj["kind"] == REPLICA_SET.kind else {}


def _default_replica_set(replica_set: Object) -> None:
    spec = replica_set.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    if template := spec.get("template"):
        default_pod_spec(template.setdefault("spec", {}))


def _default_deployment(deployment: Object) -> None:
    _default_replica_set(deployment)
    spec = deployment["spec"]
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _validate_common(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes: list[Cause] = []
    if spec["replicas"] < 0:
        causes.append(Cause.invalid("spec.replicas", spec["replicas"], _NEGATIVE))
    if spec.get("minReadySeconds", 0) < 0:
        causes.append(Cause.invalid("spec.minReadySeconds", spec["minReadySeconds"], _NEGATIVE))
    selector = spec.get("selector")
    template = spec.get("template")
    if selector is None:
        causes.append(Cause.required("spec.selector"))
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        text = "empty selector is invalid for deployment"
        causes.append(Cause.invalid_text("spec.selector", _go_selector(selector), text))
    if template is None:
        return [*causes, Cause.required("spec.template")]
    return causes + _check_template(selector or {}, template)


def _check_template(selector: Object, template: Object) -> list[Cause]:
    labels = (template.get("metadata") or {}).get("labels") or {}
    causes = label_faults("spec.selector.matchLabels", selector.get("matchLabels") or {})
    try:
        matches = from_object(selector).matches(labels)
    except SelectorError as error:
        return [*causes, Cause.invalid_text("spec.selector", _go_selector(selector), str(error))]
    if selector and not matches:
        field = "spec.template.metadata.labels"
        causes.append(Cause.invalid(field, labels, "`selector` does not match template `labels`"))
    causes += label_faults("spec.template.labels", labels)
    causes += check_pod_spec(template["spec"], "spec.template.spec")
    if (policy := template["spec"]["restartPolicy"]) in {"OnFailure", "Never"}:
        causes.append(Cause.unsupported("spec.template.spec.restartPolicy", policy, ("Always",)))
    return causes


def _validate_deployment(deployment: Object) -> list[Cause]:
    causes = _validate_common(deployment)
    strategy = deployment["spec"]["strategy"]
    path = "spec.strategy"
    if strategy["type"] not in _STRATEGIES:
        return [*causes, Cause.unsupported(f"{path}.type", strategy["type"], _STRATEGIES)]
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "Recreate":
        if rolling:
            text = "may not be specified when strategy `type` is 'Recreate'"
            causes.append(Cause.forbidden(f"{path}.rollingUpdate", text))
        return causes
    assert rolling is not None, "defaulted"
    for name, value in rolling.items():
        causes += _check_share(f"{path}.rollingUpdate.{name}", value)
    if all(str(rolling[n]) in {"0", "0%"} for n in ("maxUnavailable", "maxSurge")):
        text = "may not be 0 when `maxSurge` is 0"
        causes.append(Cause.invalid(f"{path}.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], text))
    return causes


def _check_share(path: str, value: object) -> list[Cause]:
    """A number of Pods, or a percentage of them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [] if value >= 0 else [Cause.invalid(path, value, _NEGATIVE)]
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        return []
    text = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"  # noqa: E501  (one sentence of upstream's)
    return [Cause.invalid(path, value, text)]


def _selector_unchanged(new: Object, old: Object) -> list[Cause]:
    selector = new["spec"].get("selector")
    if selector == old["spec"].get("selector"):
        return []
    return [Cause.invalid_text("spec.selector", _go_selector(selector or {}), "field is immutable")]


def _go_selector(selector: Object) -> str:
    """A LabelSelector as Go's ``%#v`` prints it, which is what upstream's messages hold."""
    labels = selector.get("matchLabels")
    text = "(nil)" if labels is None else "{" + ", ".join(f'"{k}":"{v}"' for k, v in sorted(labels.items())) + "}"
    expressions = selector.get("matchExpressions")
    listed = "(nil)" if expressions is None else "{" + ", ".join(map(_go_requirement, expressions)) + "}"
    expressions_text = f"MatchExpressions:[]v1.LabelSelectorRequirement{listed}"
    return f"v1.LabelSelector{{MatchLabels:map[string]string{text}, {expressions_text}}}"


def _go_requirement(expression: Object) -> str:
    values = expression.get("values")
    listed = "(nil)" if values is None else "{" + ", ".join(f'"{v}"' for v in values) + "}"
    key, operator = expression.get("key", ""), expression.get("operator", "")
    return f'v1.LabelSelectorRequirement{{Key:"{key}", Operator:"{operator}", Values:[]string{listed}}}'


def _replica_set_fields(replica_set: Object) -> Fields:
    return {"status.replicas": str((replica_set.get("status") or {}).get("replicas", 0))}
