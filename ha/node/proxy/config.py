"""Configuration of kube-proxy."""

from __future__ import annotations

import msgspec

__all__ = ["Config"]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times are seconds; defaults are upstream's (KubeProxyConfiguration v1alpha1). `api_server` is ``ip:port``.

    Changes reach the forwarding at once, unless the last ones did less than `min_sync_period_s` ago: then together
    when that is over. What could not be programmed is tried again every `sync_period_s`; after twice that the table
    counts as stale.
    """

    node_name: str
    api_server: str
    health_port: int = 10256
    metrics_port: int = 10249
    min_sync_period_s: float = 1.0
    sync_period_s: float = 30.0
    client_timeout_s: float = 2.0
