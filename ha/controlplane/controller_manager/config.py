"""Configuration of the controller-manager."""

from __future__ import annotations

import msgspec

__all__ = ["Config"]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times are seconds; defaults are upstream's. `api_server` is ``ip:port``, the one of this node.

    `node_eviction_rate_per_s`: how many nodes a second may lose their pods (one may at once).
    """

    name: str
    api_server: str
    port: int = 10257
    lease_duration_s: float = 15.0
    lease_renew_deadline_s: float = 10.0
    lease_retry_period_s: float = 2.0
    node_monitor_period_s: float = 5.0
    node_monitor_grace_s: float = 50.0
    node_eviction_rate_per_s: float = 0.1
    pod_eviction_toleration_s: float = 300.0
    client_timeout_s: float = 2.0
