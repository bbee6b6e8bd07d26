"""kube-proxy: what a Service promises on every node, kept.

It follows Services and EndpointSlices and forwards connections to those who can take them. Where upstream has the
kernel forward, it carries the connections itself: those to node ports, and to a load balancer's ingress that is the
node's own address. A cluster IP is an address of no machine; connections to one are not carried, but the table
says who would take them.

    table       Services and EndpointSlices → who takes a connection: pure      affinity    ClientIP: pure
    forwarder   listeners and connections       proxy       what drives them    endpoints   /healthz, /metrics, /table
"""

from __future__ import annotations

import trio

from ha import http
from ha.node.proxy.config import Config
from ha.node.proxy.endpoints import health_handler, metrics_handler
from ha.node.proxy.proxy import Proxy
from ha.world import Host

__all__ = ["Config", "serve"]


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Started when it tells how it is. Raises OSError when a port of its own is taken."""
    proxy = Proxy(host, config)
    health = await host.net.listen(config.health_port)
    async with health:
        metrics = await host.net.listen(config.metrics_port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: http.serve(health, health_handler(proxy, host), log=host.log))
            nursery.start_soon(lambda: http.serve(metrics, metrics_handler(proxy), log=host.log))
            task_status.started()
            await proxy.run()
