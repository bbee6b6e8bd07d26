"""Configuration of the cloud-controller-manager."""

from __future__ import annotations

from ha.controlplane.candidate import CandidateConfig
from ha.controlplane.cloud_controller_manager.cloud import Cloud

__all__ = ["Config"]


class Config(CandidateConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`cloud`: all that there is of it."""

    port: int = 10258
    cloud: Cloud
