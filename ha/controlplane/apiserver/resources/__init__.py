"""The declarations of all kinds, one file per family. See `ha.controlplane.apiserver.resource`."""

from __future__ import annotations

from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.resources.configuration import config_maps, secrets
from ha.controlplane.apiserver.resources.endpoints import endpoint_slices, endpoints
from ha.controlplane.apiserver.resources.event import events
from ha.controlplane.apiserver.resources.lease import leases
from ha.controlplane.apiserver.resources.namespace import namespaces
from ha.controlplane.apiserver.resources.node import nodes
from ha.controlplane.apiserver.resources.pod import pods
from ha.controlplane.apiserver.resources.service import services
from ha.controlplane.apiserver.resources.workload import deployments, replica_sets
from ha.kube.kinds import SERVICE_ACCOUNT, Kind
from ha.world import Random

__all__ = ["declare"]


def declare(
    *, service_cidr: str, event_ttl_s: int, eviction_toleration_s: float, random: Random
) -> dict[Kind, Resource]:
    """Every stored kind's resource, by kind."""
    resources = (
        namespaces(),
        nodes(),
        pods(eviction_toleration_s),
        config_maps(),
        secrets(),
        services(service_cidr, random),
        endpoints(),
        events(event_ttl_s),
        Resource(kind=SERVICE_ACCOUNT, returns_deleted=True),
        leases(),
        deployments(),
        replica_sets(),
        endpoint_slices(),
    )
    return {r.kind: r for r in resources}
