"""Rules that hold for every object: names, labels, owners, finalizers; and what an update may not touch.

Wording and order are upstream's (k8s.io/apimachinery/pkg/api/validation, /pkg/util/validation).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from ha.controlplane.apiserver.resource import NameRule, Resource
from ha.kube.errors import Cause
from ha.kube.kinds import Object
from ha.kube.selectors import is_label_value, is_qualified_name

__all__ = ["check_ip", "check_metadata", "check_metadata_update", "check_name", "dns_label_fault", "label_faults"]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"

SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    rf"'{_SUBDOMAIN}')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{_LABEL_1035}')"
)
KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ANNOTATIONS_BYTES_MAX = 256 * 1024


def _dns(pattern: str, longest: int, rule: str) -> Callable[[str], list[str]]:
    compiled = re.compile(pattern)

    def faults(name: str) -> list[str]:
        long = [f"must be no more than {longest} characters"] if len(name) > longest else []
        return long + ([] if compiled.fullmatch(name) else [rule])

    return faults


def _path_segment(name: str) -> list[str]:
    if name in {".", ".."}:
        return [f"may not be '{name}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in name]


_NAME_RULES: dict[NameRule, Callable[[str], list[str]]] = {
    "subdomain": _dns(_SUBDOMAIN, 253, SUBDOMAIN_RULE),
    "label": _dns(_LABEL, 63, LABEL_RULE),
    "label-1035": _dns(_LABEL_1035, 63, LABEL_1035_RULE),
    "path-segment": _path_segment,
}


def check_name(field: str, name: str, rule: NameRule) -> list[Cause]:
    """What is wrong with a name."""
    return [Cause.invalid(field, name, text) for text in _NAME_RULES[rule](name)]


def dns_label_fault(field: str, name: str) -> list[Cause]:
    """What is wrong with a name that must be a DNS label (containers, ports)."""
    return check_name(field, name, "label")


def check_ip(field: str, text: str) -> list[Cause]:
    """What is wrong with an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return [Cause.invalid(field, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def label_faults(field: str, labels: dict[str, str]) -> list[Cause]:
    """What is wrong with a map of labels."""
    keys = [Cause.invalid(field, k, KEY_RULE) for k in labels if not is_qualified_name(k)]
    return keys + [Cause.invalid(field, v, VALUE_RULE) for v in labels.values() if not is_label_value(v)]


def check_metadata(resource: Resource, obj: Object) -> list[Cause]:
    """What is wrong with an object's metadata, whatever its kind."""
    meta = obj["metadata"]
    causes: list[Cause] = []
    if generate := meta.get("generateName"):
        causes += check_name("metadata.generateName", generate.rstrip("-.") or generate, resource.name_rule)
    if name := meta.get("name"):
        causes += check_name("metadata.name", name, resource.name_rule)
    else:
        causes.append(Cause.required("metadata.name", "name or generateName is required"))
    causes += label_faults("metadata.labels", meta.get("labels") or {})
    causes += _annotation_faults(meta.get("annotations") or {})
    causes += _owner_faults(meta.get("ownerReferences") or [])
    return causes + [
        Cause.invalid("metadata.finalizers", f, KEY_RULE)
        for f in meta.get("finalizers") or []
        if not is_qualified_name(f)
    ]


def _annotation_faults(annotations: dict[str, str]) -> list[Cause]:
    field = "metadata.annotations"
    causes = [Cause.invalid(field, k, KEY_RULE) for k in annotations if not is_qualified_name(k.lower())]
    if sum(len(k) + len(v) for k, v in annotations.items()) > ANNOTATIONS_BYTES_MAX:
        causes.append(Cause(field, "FieldValueTooLong", f"Too long: must have at most {ANNOTATIONS_BYTES_MAX} bytes"))
    return causes


def _owner_faults(owners: list[Object]) -> list[Cause]:
    causes: list[Cause] = []
    for i, owner in enumerate(owners):
        field = f"metadata.ownerReferences[{i}]"
        for name, text in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not owner.get(name):
                causes.append(Cause.invalid(f"{field}.{name}", "", f"{text} must not be empty"))
    if sum(bool(o.get("controller")) for o in owners) > 1:
        text = "Only one reference can have Controller set to true"
        causes.append(Cause.invalid("metadata.ownerReferences", str([o.get("uid") for o in owners]), text))
    return causes


def check_metadata_update(new: Object, old: Object) -> list[Cause]:
    """What an update may not do to an object that is being deleted: hold it back with new finalizers."""
    if not old["metadata"].get("deletionTimestamp"):
        return []
    before = old["metadata"].get("finalizers") or []
    added = [f for f in new["metadata"].get("finalizers") or [] if f not in before]
    if not added:
        return []
    listed = ", ".join(f'"{f}"' for f in added)
    why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
    return [Cause.forbidden("metadata.finalizers", why)]
