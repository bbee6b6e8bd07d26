"""The kubeconfig with which kubectl and every other Kubernetes client reach a cluster."""

from __future__ import annotations

import yaml

from ha.cluster.plan import Plan

__all__ = ["kubeconfig"]


def kubeconfig(plan: Plan, name: str) -> str:
    """YAML; the server is the control-plane endpoint (the load balancer, where there is one), which there must be."""
    assert plan.endpoint is not None, "a store alone has nobody to talk to kubectl"
    context = f"ha-{name}"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": {"server": f"http://{plan.endpoint}"}}],
            "users": [{"name": context, "user": {}}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        },
        sort_keys=False,
    )
