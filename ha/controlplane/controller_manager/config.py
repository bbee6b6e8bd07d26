"""Configuration of the controller-manager."""

from __future__ import annotations

from ha.controlplane.candidate import CandidateConfig

__all__ = ["Config"]


class Config(CandidateConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`node_eviction_rate_per_s`: how many nodes a second may lose their pods (one may at once)."""

    port: int = 10257
    node_monitor_period_s: float = 5.0
    node_monitor_grace_s: float = 50.0
    node_eviction_rate_per_s: float = 0.1
    pod_eviction_toleration_s: float = 300.0
