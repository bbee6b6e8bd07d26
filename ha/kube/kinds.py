"""The kinds that the cluster knows, as data: names, scope, subresources.

A kind here is only what both sides of the API must agree on to address it. What the API server does with it
(defaults, validation, what may change) is declared beside the server; what a controller does with it is the
controller's own. Adding a kind to the cluster starts by adding a `Kind` here.

Names and storage are upstream's own (``kubectl api-resources``; storage keys as in kube-apiserver's etcd,
``/registry/<resource>/<namespace>/<name>``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

__all__ = [
    "BINDING",
    "CONFIG_MAP",
    "DEPLOYMENT",
    "ENDPOINTS",
    "ENDPOINT_SLICE",
    "EVENT",
    "KINDS",
    "LEASE",
    "NAMESPACE",
    "NODE",
    "POD",
    "REPLICA_SET",
    "SECRET",
    "SERVICE",
    "SERVICE_ACCOUNT",
    "Kind",
    "Object",
    "kind_of",
]

Object: TypeAlias = dict[str, Any]
"""The body of a Kubernetes object: its JSON, decoded."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object, addressed as ``/apis/<group>/<version>/namespaces/<ns>/<plural>/<name>``.

    `registry` is the name under which it is stored; upstream differs from the plural for a few old kinds.
    `storable` is False for a kind that is only ever posted (Binding).
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    registry: str = ""
    storable: bool = True

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """``deployment``."""
        return self.kind.lower()

    @property
    def qualified_plural(self) -> str:
        """``deployments.apps``, or ``pods``: how error messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """``Deployment.apps``, or ``Pod``."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def prefix(self) -> str:
        """Where its objects are stored: ``/registry/pods/``."""
        return f"/registry/{self.registry or self.plural}/"

    def key(self, namespace: str | None, name: str) -> str:
        """The storage key of one object."""
        return f"{self.prefix}{namespace}/{name}" if self.namespaced else f"{self.prefix}{name}"

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The request path of a collection (no name), an object, or a subresource of it.

        A namespaced kind without a namespace is the collection over all namespaces.
        """
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


NAMESPACE = Kind("", "v1", "Namespace", "namespaces", False, ("ns",), ("finalize", "status"))
NODE = Kind("", "v1", "Node", "nodes", False, ("no",), ("status",), registry="minions")
POD = Kind("", "v1", "Pod", "pods", True, ("po",), ("binding", "status"), ("all",))
BINDING = Kind("", "v1", "Binding", "bindings", True, storable=False)
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", True, ("cm",))
SECRET = Kind("", "v1", "Secret", "secrets", True)
SERVICE = Kind("", "v1", "Service", "services", True, ("svc",), ("status",), ("all",), registry="services/specs")
ENDPOINTS = Kind("", "v1", "Endpoints", "endpoints", True, ("ep",), registry="services/endpoints")
EVENT = Kind("", "v1", "Event", "events", True, ("ev",))
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts", True, ("sa",))
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases", True)
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", True, ("deploy",), ("scale", "status"), ("all",))
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets", True, ("rs",), ("scale", "status"), ("all",))
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", True)

KINDS: tuple[Kind, ...] = (
    NAMESPACE,
    NODE,
    POD,
    BINDING,
    CONFIG_MAP,
    SECRET,
    SERVICE,
    ENDPOINTS,
    EVENT,
    SERVICE_ACCOUNT,
    LEASE,
    DEPLOYMENT,
    REPLICA_SET,
    ENDPOINT_SLICE,
)

_BY_NAME = {(k.api_version, k.kind): k for k in KINDS}


def kind_of(obj: Object) -> Kind | None:
    """The kind that an object claims to be by ``apiVersion`` and ``kind``, or None when there is no such kind."""
    return _BY_NAME.get((str(obj.get("apiVersion")), str(obj.get("kind"))))
