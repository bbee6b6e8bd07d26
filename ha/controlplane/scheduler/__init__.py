"""kube-scheduler: assigns pending pods to nodes. One of several is active, by a Lease.

The others keep their copies of pods and nodes warm, so that a takeover costs the lease and nothing more. Losing
the lease ends the process; the kubelet starts it again.
"""

from __future__ import annotations

import msgspec
import trio

from ha.controlplane.scheduler.scheduler import Scheduler
from ha.controlplane.serving import identity, serve_health
from ha.kube.client import KubeClient
from ha.kube.election import LeaderElector
from ha.kube.events import EventRecorder
from ha.world import Address, Host

__all__ = ["LEASE_NAME", "Config", "serve"]

LEASE_NAME = "kube-scheduler"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times are seconds. `api_server` is ``ip:port``, the one of this node."""

    name: str
    api_server: str
    port: int = 10259
    lease_duration_s: float = 15.0
    lease_renew_deadline_s: float = 10.0
    lease_retry_period_s: float = 2.0
    client_timeout_s: float = 2.0


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Started when the health endpoint listens. Raises LostLeaseError."""
    server = Address.parse(config.api_server)
    lease_client = KubeClient(
        host.net,
        server,
        user_agent="kube-scheduler/leader-election",
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
        host.net, server, user_agent="kube-scheduler", timeout_s=config.client_timeout_s, may_write=elector.certain
    )
    events = EventRecorder(client, "default-scheduler", host=host)
    scheduler = Scheduler(client, events, host=host)
    async with trio.open_nursery() as nursery:
        await nursery.start(
            serve_health,
            host,
            config.port,
            lambda: {"leader_election_master_status": elector.leading, **scheduler.metrics()},
        )
        task_status.started()
        nursery.start_soon(events.run)
        nursery.start_soon(scheduler.run)
        await elector.run(scheduler.lead)
