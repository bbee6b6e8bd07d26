"""A program for a container that serves: it answers every HTTP request with the name of its pod.

As ``agnhost serve-hostname``, on the same port. Whoever asks a Service sees by it which pod has answered.
"""

from __future__ import annotations

import msgspec
import trio

from ha import http
from ha.world import Host

__all__ = ["Config", "serve"]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The port that it listens on, at its pod's address."""

    port: int = 9376


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Answer until cancelled. The process of a pod's container is named ``<namespace>_<pod>_<container>``."""
    pod = host.process.split("_")[1] if "_" in host.process else host.process

    async def handle(_: http.Request) -> http.Response:
        await trio.lowlevel.checkpoint()
        return http.Response(200, pod.encode(), "text/plain; charset=utf-8")

    await http.serve(await host.net.listen(config.port), handle, log=host.log, task_status=task_status)
