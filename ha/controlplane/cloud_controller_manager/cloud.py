"""The cloud provider "ha": the machines that a topology has, and nothing that they are not. Pure.

It knows a machine's address and where it stands. It cannot tell whether one is powered, so no Node is ever said to be
shut down. It has no load balancers to hand out: the ingress of a Service are machines themselves, whose kube-proxy
takes connections at the Service's port (as K3s' ServiceLB does it); so two Services cannot have the same port.
"""

from __future__ import annotations

import msgspec

__all__ = ["Cloud", "Machine"]


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One machine. `zone` is a failure domain within the region."""

    address: str
    zone: str


class Cloud(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All machines of one cluster, by name; a Node is named after its machine."""

    cluster: str
    region: str
    machines: dict[str, Machine]

    def provider_id(self, name: str) -> str:
        """What a machine is called for ever: ``ha://stacked-3/worker-1``."""
        return f"ha://{self.cluster}/{name}"
