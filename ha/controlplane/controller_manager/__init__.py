"""kube-controller-manager: the control loops. One of several is active, by a Lease.

The controllers are in `controllers`, one per module; adding one means adding a module.
"""

from __future__ import annotations

import trio

from ha.controlplane.candidate import run_candidate
from ha.controlplane.controller_manager.config import Config
from ha.controlplane.controller_manager.manager import Manager
from ha.kube.client import KubeClient
from ha.kube.events import EventRecorder
from ha.world import Host

__all__ = ["LEASE_NAME", "Config", "serve"]

LEASE_NAME = "kube-controller-manager"


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Started when the health endpoint listens. Raises LostLeaseError."""

    def make(client: KubeClient, events: EventRecorder) -> Manager:
        return Manager(client, events, config, host=host)

    await run_candidate(host, config, LEASE_NAME, "controllermanager", make, task_status=task_status)
