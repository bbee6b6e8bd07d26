"""Topology in, running cluster out: what kubeadm does, for a `ha.world.World`.

`plan` turns a topology into nodes with addresses, static pods and boot configurations, without touching
anything. `Cluster` boots the plan, waits until it is ready, and boots single nodes again. `Observer` watches
a running cluster from outside and records what changes. `view` answers who leads right now.
"""

from __future__ import annotations

from ha.cluster.cluster import Cluster, NotReadyError
from ha.cluster.observer import Observer
from ha.cluster.plan import NodePlan, Plan, node_names, plan
from ha.cluster.view import NoLeaderSeenError, View

__all__ = [
    "Cluster",
    "NoLeaderSeenError",
    "NodePlan",
    "NotReadyError",
    "Observer",
    "Plan",
    "View",
    "node_names",
    "plan",
]
