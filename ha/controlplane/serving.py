"""What scheduler and controller-manager share: an identity, and an endpoint for health and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio

from ha import http
from ha.world import Host

__all__ = ["identity", "metrics_text", "serve_health"]


def identity(host: Host) -> str:
    """Who asks for the lease: ``<node>_<random>``, new with each start of the process."""
    return f"{host.node}_{host.random.getrandbits(64):016x}"


def metrics_text(values: Mapping[str, float]) -> bytes:
    """Prometheus' text format; a name may carry labels: ``name{label="x"}``."""
    return "".join(f"{name} {value:g}\n" for name, value in values.items()).encode()


async def serve_health(
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
            return http.Response(200, metrics_text(metrics()), "text/plain; version=0.0.4")
        return http.Response(404, b"404 page not found\n", "text/plain; charset=utf-8")

    listener = await host.net.listen(port)
    await http.serve(listener, handle, log=host.log, task_status=task_status)
