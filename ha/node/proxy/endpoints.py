"""What kube-proxy tells of itself: health as upstream's (``/healthz``, ``/livez``), metrics, and its table.

``/healthz`` is what a cloud's load balancer asks: 503 while changes wait for too long to be programmed, and when the
node is about to be removed; ``/livez`` leaves the node out. ``/table`` is ours: which ports are listened on, and for
every port of every Service who takes its connections, cluster IPs included.
"""

from __future__ import annotations

import msgspec
import orjson
import trio

from ha import http
from ha.kube.meta import timestamp
from ha.node.proxy.proxy import Proxy
from ha.world import Host

__all__ = ["health_handler", "metrics_handler"]

_TEXT = "text/plain; charset=utf-8"
_NOT_FOUND = http.Response(404, b"404 page not found\n", _TEXT)


def health_handler(proxy: Proxy, host: Host) -> http.Handler:
    """Answers ``/healthz`` and ``/livez``."""

    async def handle(request: http.Request) -> http.Response:
        await trio.lowlevel.checkpoint()
        if request.path not in ("/healthz", "/livez"):
            return _NOT_FOUND
        now = host.wall_clock()
        healthy = proxy.is_current
        updated_at = now if healthy else proxy.updated_at
        said: dict[str, object] = {
            "lastUpdated": None if updated_at is None else timestamp(updated_at),
            "currentTime": timestamp(now),
        }
        if request.path == "/healthz":
            said["nodeEligible"] = proxy.is_eligible
            healthy = healthy and proxy.is_eligible
        return http.Response(200 if healthy else 503, orjson.dumps(said))

    return handle


def metrics_handler(proxy: Proxy) -> http.Handler:
    """Answers ``/metrics``, ``/proxyMode`` and ``/table``."""

    async def handle(request: http.Request) -> http.Response:
        await trio.lowlevel.checkpoint()
        match request.path:
            case "/metrics":
                text = "".join(f"{name} {value:g}\n" for name, value in _metrics(proxy).items())
                return http.Response(200, text.encode(), "text/plain; version=0.0.4")
            case "/proxyMode":
                return http.Response(200, b"userspace", _TEXT)
            case "/table":
                return http.Response(200, msgspec.json.encode(_table(proxy)))
        return _NOT_FOUND

    return handle


def _metrics(proxy: Proxy) -> dict[str, float]:
    """Upstream's names where it has the same metric."""
    forwarder = proxy.forwarder
    return {
        "kubeproxy_sync_proxy_rules_total": proxy.syncs,
        "kubeproxy_sync_proxy_rules_last_timestamp_seconds": proxy.updated_at or 0.0,
        "kubeproxy_connections_open": forwarder.open,
        "kubeproxy_connections_carried_total": forwarder.carried,
        "kubeproxy_connections_retried_total": forwarder.retried,
        "kubeproxy_connections_failed_total": forwarder.failed,
        "kubeproxy_connections_cut_total": forwarder.cut,
        "kubeproxy_received_bytes_total": forwarder.bytes_in,
        "kubeproxy_sent_bytes_total": forwarder.bytes_out,
    }


def _table(proxy: Proxy) -> dict[str, object]:
    return {
        "listening": {str(port): str(name) for port, name in proxy.forwarder.fronts.items()},
        "errors": {str(port): error for port, error in sorted(proxy.forwarder.errors.items())},
        "services": {str(name): rule for name, rule in proxy.table.items()},
    }
