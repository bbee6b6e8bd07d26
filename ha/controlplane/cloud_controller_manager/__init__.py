"""cloud-controller-manager: what the cluster asks of the cloud under it. One of several is active, by a Lease.

Nodes register with the taint ``node.cloudprovider.kubernetes.io/uninitialized``, and take pods once the cloud has said
which machine each is and where; a Node whose machine is gone is removed; a Service of type LoadBalancer is told where
it can be reached. The cloud is `ha.controlplane.cloud_controller_manager.cloud`.
"""

from __future__ import annotations

import trio

from ha.controlplane.candidate import run_candidate
from ha.controlplane.cloud_controller_manager.cloud import Cloud, Machine
from ha.controlplane.cloud_controller_manager.config import Config
from ha.controlplane.cloud_controller_manager.context import Context
from ha.controlplane.cloud_controller_manager.controllers import all_controllers
from ha.controlplane.manager import Manager
from ha.kube.client import KubeClient
from ha.kube.events import EventRecorder
from ha.kube.informer import Informer
from ha.kube.kinds import Kind
from ha.world import Host

__all__ = ["LEASE_NAME", "Cloud", "Config", "Machine", "serve"]

LEASE_NAME = "cloud-controller-manager"


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Started when the health endpoint listens. Raises LostLeaseError."""

    def make(client: KubeClient, events: EventRecorder) -> Manager:
        informers: dict[Kind, Informer] = {}
        context = Context(client, host, config.cloud, events, informers)
        return Manager(client, all_controllers(context), informers, host=host)

    await run_candidate(host, config, LEASE_NAME, LEASE_NAME, make, task_status=task_status)
