"""kube-controller-manager: the control loops. One of several is active, by a Lease.

The others keep their copies of the API warm. Losing the lease ends the process; the kubelet starts it again. The
controllers are in `controllers`, one per module; adding one means adding a module.
"""

from __future__ import annotations

import trio

from ha.controlplane.controller_manager.config import Config
from ha.controlplane.controller_manager.manager import Manager
from ha.controlplane.serving import identity, serve_health
from ha.kube.client import KubeClient
from ha.kube.election import LeaderElector
from ha.kube.events import EventRecorder
from ha.world import Address, Host

__all__ = ["LEASE_NAME", "Config", "serve"]

LEASE_NAME = "kube-controller-manager"


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Started when the health endpoint listens. Raises LostLeaseError."""
    server = Address.parse(config.api_server)
    lease_client = KubeClient(
        host.net,
        server,
        user_agent=f"{LEASE_NAME}/leader-election",
        timeout_s=min(config.client_timeout_s, config.lease_renew_deadline_s / 2),
    )
    elector = LeaderElector(
        lease_client,
        LEASE_NAME,
        identity(host),
        host=host,
        lease_duration_s=config.lease_duration_s,
        renew_deadline_s=config.lease_renew_deadline_s,
        retry_period_s=config.lease_retry_period_s,
    )
    client = KubeClient(
        host.net, server, user_agent=LEASE_NAME, timeout_s=config.client_timeout_s, may_write=elector.certain
    )
    events = EventRecorder(client, "controllermanager", host=host)
    manager = Manager(client, events, config, host=host)
    async with trio.open_nursery() as nursery:
        await nursery.start(
            serve_health,
            host,
            config.port,
            lambda: {"leader_election_master_status": elector.leading, **manager.metrics()},
        )
        task_status.started()
        nursery.start_soon(events.run)
        nursery.start_soon(manager.run)
        await elector.run(manager.lead)
