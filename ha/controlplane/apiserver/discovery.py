"""Discovery: which groups, versions and resources there are; written once, from the kinds, when the server starts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

import orjson

from ha.kube.kinds import NAMESPACE, Kind, Object

__all__ = ["VERSION", "discovery_documents"]

VERSION: Object = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+ha",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "cpython",
    "platform": "linux/amd64",
}

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_SUBRESOURCE_VERBS = {"binding": ["create"], "finalize": ["update"]}
_OPENAPI: Object = {
    "swagger": "2.0",
    "info": {"title": "Kubernetes", "version": "v1.32.0"},
    "paths": {},
    "definitions": {},
}


def discovery_documents(kinds: Iterable[Kind], address: str, other_paths: Iterable[str]) -> dict[str, bytes]:
    """The body of every discovery path. `address` is where this server is reached, ``ip:port``."""
    known = list(kinds)
    groups = sorted({k.group for k in known if k.group})
    by_cidr = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    documents: dict[str, Object] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": by_cidr},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(g, known) for g in groups]},
        "/version": VERSION,
        "/openapi/v2": _OPENAPI,
    }
    for group in groups:
        documents[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **_group(group, known)}
    for api_version in sorted({k.api_version for k in known}):
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        documents[root] = _resource_list(api_version, [k for k in known if k.api_version == api_version])
    documents["/"] = {"paths": sorted({*documents, *other_paths})}
    return {path: orjson.dumps(document) for path, document in documents.items()}


def _group(group: str, kinds: list[Kind]) -> Object:
    versions = sorted({k.version for k in kinds if k.group == group})
    listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _resource_list(api_version: str, kinds: list[Kind]) -> Object:
    resources = [r for k in sorted(kinds, key=lambda k: k.plural) for r in _resources(k)]
    listing: Object = {"kind": "APIResourceList", "groupVersion": api_version, "resources": resources}
    return {"kind": "APIResourceList", "apiVersion": "v1", **listing} if "/" in api_version else listing


def _resources(kind: Kind) -> list[Object]:
    resource: Object = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _verbs(kind),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    if kind.storable:
        resource["storageVersionHash"] = _storage_version_hash(kind)
    return [resource, *(_subresource(kind, name) for name in sorted(kind.subresources))]


def _verbs(kind: Kind) -> list[str]:
    if not kind.storable:
        return ["create"]
    return [v for v in _VERBS if v != "deletecollection"] if kind == NAMESPACE else _VERBS


def _subresource(kind: Kind, name: str) -> Object:
    resource: Object = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
    if name == "scale":
        resource.update(group="autoscaling", version="v1", kind="Scale")
    else:
        resource["kind"] = "Binding" if name == "binding" else kind.kind
    resource["verbs"] = _SUBRESOURCE_VERBS.get(name, ["get", "patch", "update"])
    return resource


def _storage_version_hash(kind: Kind) -> str:
    """k8s.io/apiserver/pkg/endpoints/discovery: the first eight bytes of SHA-256 of group/version/kind."""
    digest = hashlib.sha256(f"{kind.group}/{kind.version}/{kind.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()
