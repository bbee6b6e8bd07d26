"""The kubelet: runs the pods of one node, and speaks for the node to the API.

It is the only thing (beside the load balancer) that the machine starts by itself; the control plane are its static
pods. Parts: `kubelet` (which pods), `worker` (one pod), `backoff`, `probes`, `status` (rules), `reporting`, `mirror`,
`registration` and `heartbeat` (what the API is told), and below them `ha.node.runtime` (containers).
"""

from __future__ import annotations

import orjson
import trio

from ha import http
from ha.node.kubelet.config import Config
from ha.node.kubelet.kubelet import Kubelet
from ha.world import Host

__all__ = ["Config", "serve"]


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled; containers outlive it. Started when it listens and the static pods are on their way."""
    kubelet = Kubelet(host, config)
    listener = await host.net.listen(config.port)
    async with trio.open_nursery() as nursery:
        await nursery.start(kubelet.run)
        nursery.start_soon(lambda: http.serve(listener, lambda r: _handle(kubelet, r), log=host.log))
        task_status.started()


async def _handle(kubelet: Kubelet, request: http.Request) -> http.Response:
    await trio.lowlevel.checkpoint()
    if request.path == "/healthz":
        return http.Response(200, b"ok", "text/plain; charset=utf-8")
    if request.path == "/pods":
        body = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": kubelet.pods()}
        return http.Response(200, orjson.dumps(body))
    if request.path == "/metrics":
        lines = "".join(f"{name} {value:g}\n" for name, value in kubelet.metrics().items())
        return http.Response(200, lines.encode(), "text/plain; version=0.0.4")
    return http.Response(404, b"404 page not found\n", "text/plain; charset=utf-8")
