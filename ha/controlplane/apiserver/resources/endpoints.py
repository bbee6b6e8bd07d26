"""Endpoints and EndpointSlices: who stands behind a Service."""

from __future__ import annotations

from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.shape import ANY, INT, STRING, Shape
from ha.controlplane.apiserver.validation import check_ip
from ha.kube.errors import Cause
from ha.kube.kinds import ENDPOINT_SLICE, ENDPOINTS, Object

__all__ = ["endpoint_slices", "endpoints"]

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_ADDRESSES_MAX = 100


def endpoints() -> Resource:
    """The declaration of Endpoints."""
    address: Shape = [{"ip": STRING}]
    return Resource(
        kind=ENDPOINTS,
        shape={"subsets": [{"addresses": address, "notReadyAddresses": address, "ports": [{"port": INT}]}]},
        default=_default_endpoints,
        validate=_validate_endpoints,
        create_on_update=True,
    )


def _default_endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or []:
        for port in subset.get("ports") or []:
            port.setdefault("protocol", "TCP")


def _validate_endpoints(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    for i, subset in enumerate(obj.get("subsets") or []):
        path = f"subsets[{i}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            causes.append(Cause.required(path, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(field) or []):
                causes += check_ip(f"{path}.{field}[{j}].ip", address.get("ip", ""))
    return causes


def endpoint_slices() -> Resource:
    """The declaration of EndpointSlices."""
    return Resource(
        kind=ENDPOINT_SLICE,
        shape={"addressType": STRING, "endpoints": [{"addresses": [STRING], "conditions": ANY}], "ports": [ANY]},
        validate=_validate_slice,
        validate_update=_address_type_unchanged,
        generation=True,
    )


def _validate_slice(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    kind = obj.get("addressType")
    if not kind:
        causes.append(Cause.required("addressType"))
    elif kind not in _ADDRESS_TYPES:
        causes.append(Cause.unsupported("addressType", kind, _ADDRESS_TYPES))
    for i, endpoint in enumerate(obj.get("endpoints") or []):
        path = f"endpoints[{i}].addresses"
        addresses = endpoint.get("addresses") or []
        if not addresses:
            causes.append(Cause.required(path, "must contain at least 1 address"))
        elif len(addresses) > _ADDRESSES_MAX:
            text = f"Too many: {len(addresses)}: must have at most {_ADDRESSES_MAX} items"
            causes.append(Cause(path, "FieldValueTooMany", text))
        if kind in {"IPv4", "IPv6"}:
            for j, address in enumerate(addresses):
                causes += check_ip(f"{path}[{j}]", address)
    return causes


def _address_type_unchanged(new: Object, old: Object) -> list[Cause]:
    if new.get("addressType") == old.get("addressType"):
        return []
    return [Cause.invalid("addressType", new.get("addressType"), "field is immutable")]
