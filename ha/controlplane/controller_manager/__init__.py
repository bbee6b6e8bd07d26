"""kube-controller-manager: the control loops. One of several is active, by a Lease.

The controllers are in `controllers`, one per module; adding one means adding a module.
"""

from __future__ import annotations

import trio

from ha.controlplane.candidate import run_candidate
from ha.controlplane.controller_manager.config import Config
from ha.controlplane.controller_manager.controller import Context
from ha.controlplane.controller_manager.registry import all_controllers
from ha.controlplane.manager import Manager
from ha.kube.client import KubeClient
from ha.kube.events import EventRecorder
from ha.kube.informer import Informer
from ha.kube.kinds import LEASE, Kind
from ha.world import Host

__all__ = ["LEASE_NAME", "Config", "make_manager", "serve"]

LEASE_NAME = "kube-controller-manager"
_NAMESPACES = {LEASE: "kube-node-lease"}
"""Leases of leader elections are nobody's business here."""


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Started when the health endpoint listens. Raises LostLeaseError."""

    def make(client: KubeClient, events: EventRecorder) -> Manager:
        return make_manager(client, events, config, host=host)

    await run_candidate(host, config, LEASE_NAME, "controllermanager", make, task_status=task_status)


def make_manager(client: KubeClient, events: EventRecorder, config: Config, *, host: Host) -> Manager:
    """All controllers that there are."""
    informers: dict[Kind, Informer] = {}
    context = Context(client, host, config, events, informers)
    controllers = [make(context) for make in all_controllers().values()]
    return Manager(client, controllers, informers, host=host, namespaces=_NAMESPACES)
