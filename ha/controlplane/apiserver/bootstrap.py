"""What the cluster begins with: the system namespaces and the Service of the API itself.

Every API server creates what is missing; whoever comes first wins, the others find it there.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network

import trio

from ha.controlplane.apiserver.registry import Registry
from ha.kube.errors import ApiError
from ha.kube.kinds import NAMESPACE, SERVICE, Kind, Object

__all__ = ["SYSTEM_NAMESPACES", "bootstrap"]

SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "default")
_RETRY_S = 0.2


async def bootstrap(registry: Registry, *, service_cidr: str, port: int, log: Callable[..., None]) -> None:
    """Create what is missing; return when everything is known to exist."""
    service_ip = str(IPv4Network(service_cidr).network_address + 1)
    for name in SYSTEM_NAMESPACES:
        await _ensure(registry, NAMESPACE, None, {"metadata": {"name": name}}, log)
    await _ensure(registry, SERVICE, "default", _kubernetes_service(service_ip, port), log)


def _kubernetes_service(ip: str, port: int) -> Object:
    return {
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": ip,
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
        },
    }


async def _ensure(registry: Registry, kind: Kind, namespace: str | None, obj: Object, log: Callable[..., None]) -> None:
    resource, name = registry.resources[kind], obj["metadata"]["name"]
    while True:
        try:
            if await registry.store.get(kind.key(namespace, name)) is None:
                await registry.create(resource, namespace, obj)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                log("not yet created", kind=kind.kind, name=name, error=str(error))
                await trio.sleep(_RETRY_S)
        else:
            return
