"""kube-scheduler: assigns pending pods to nodes. One of several is active, by a Lease."""

from __future__ import annotations

from functools import partial

import trio

from ha.controlplane.candidate import CandidateConfig, run_candidate
from ha.controlplane.scheduler.scheduler import Scheduler
from ha.world import Host

__all__ = ["LEASE_NAME", "Config", "serve"]

LEASE_NAME = "kube-scheduler"


class Config(CandidateConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing beyond what every candidate has."""

    port: int = 10259


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Started when the health endpoint listens. Raises LostLeaseError."""
    make = partial(Scheduler, host=host)
    await run_candidate(host, config, LEASE_NAME, "default-scheduler", make, task_status=task_status)
