"""What every component does of which one of several is active: scheduler, controller-manager.

All candidates keep their copies of the API warm, so that a takeover costs the lease and nothing more. One holds the
Lease and leads; what it writes is fenced by that Lease. Losing it ends the process, and the kubelet starts it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
import trio

from ha import http
from ha.kube.client import KubeClient
from ha.kube.election import LeaderElector
from ha.kube.events import EventRecorder
from ha.world import Address, Host

__all__ = ["CandidateConfig", "Work", "run_candidate"]


class CandidateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times are seconds; defaults are upstream's. `api_server` is ``ip:port``, the one of this node."""

    name: str
    api_server: str
    port: int
    lease_duration_s: float = 15.0
    lease_renew_deadline_s: float = 10.0
    lease_retry_period_s: float = 2.0
    client_timeout_s: float = 2.0


class Work(Protocol):
    """What a candidate does."""

    async def run(self) -> None:
        """Keep the copies up to date; always."""
        ...

    async def lead(self) -> None:
        """Do the work; while leading."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """Values by name, in Prometheus' notation."""
        ...


async def run_candidate(
    host: Host,
    config: CandidateConfig,
    lease_name: str,
    event_source: str,
    make: Callable[[KubeClient, EventRecorder], Work],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Run until cancelled. Started when the health endpoint listens. Raises LostLeaseError."""
    server = Address.parse(config.api_server)
    lease_client = KubeClient(
        host.net,
        server,
        user_agent=f"{lease_name}/leader-election",
        timeout_s=min(config.client_timeout_s, config.lease_renew_deadline_s / 2),
    )
    elector = LeaderElector(
        lease_client,
        lease_name,
        f"{host.node}_{host.random.getrandbits(64):016x}",
        host=host,
        lease_duration_s=config.lease_duration_s,
        renew_deadline_s=config.lease_renew_deadline_s,
        retry_period_s=config.lease_retry_period_s,
    )
    client = KubeClient(
        host.net, server, user_agent=lease_name, timeout_s=config.client_timeout_s, may_write=elector.certain
    )
    events = EventRecorder(client, event_source, host=host)
    work = make(client, events)

    def metrics() -> Mapping[str, float]:
        return {"leader_election_master_status": elector.leading, **work.metrics()}

    async with trio.open_nursery() as nursery:
        await nursery.start(_serve_health, host, config.port, metrics)
        task_status.started()
        nursery.start_soon(events.run)
        nursery.start_soon(work.run)
        await elector.run(work.lead)


async def _serve_health(
    host: Host,
    port: int,
    metrics: Callable[[], Mapping[str, float]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer ``/healthz`` and ``/metrics``. Started when it listens."""

    async def handle(request: http.Request) -> http.Response:
        await trio.lowlevel.checkpoint()
        if request.path in ("/healthz", "/livez", "/readyz"):
            return http.Response(200, b"ok", "text/plain; charset=utf-8")
        if request.path == "/metrics":
            text = "".join(f"{name} {value:g}\n" for name, value in metrics().items())
            return http.Response(200, text.encode(), "text/plain; version=0.0.4")
        return http.Response(404, b"404 page not found\n", "text/plain; charset=utf-8")

    listener = await host.net.listen(port)
    await http.serve(listener, handle, log=host.log, task_status=task_status)
