"""Configuration of the kubelet."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["Config"]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times are seconds. Defaults are upstream's (KubeletConfiguration v1beta1).

    `api_server` is ``ip:port``; None: a kubelet that stands alone and runs static pods only. `static_pods` are
    Pod bodies. `images` says which program an image is; any other image is ``ha.node.pause:serve``.
    `cloud_provider` external: the node waits for a cloud-controller-manager to say what machine it is.
    `cpu` and `memory` are what the node claims to have, as quantities.
    """

    node_name: str
    api_server: str | None = None
    static_pods: list[dict[str, Any]] = []
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    taints: list[dict[str, Any]] = []
    unschedulable: bool = False
    cloud_provider: Literal["", "external"] = ""
    cpu: str = "8"
    memory: str = "16Gi"
    max_pods: int = 110
    port: int = 10250
    node_lease_duration_s: float = 40.0
    node_lease_renew_s: float = 10.0
    node_status_update_s: float = 10.0
    node_status_report_s: float = 300.0
    container_backoff_s: float = 10.0
    container_backoff_max_s: float = 300.0
    client_timeout_s: float = 2.0
