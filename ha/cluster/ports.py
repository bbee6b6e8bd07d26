"""The ports of the cluster: Kubernetes' and etcd's own. The balancer's statistics are where HAProxy has them."""

from __future__ import annotations

__all__ = [
    "API_SERVER",
    "CLOUD_CONTROLLER_MANAGER",
    "CONTROLLER_MANAGER",
    "ETCD_CLIENT",
    "ETCD_PEER",
    "KUBELET",
    "KUBE_PROXY",
    "KUBE_PROXY_METRICS",
    "LOAD_BALANCER_STATS",
    "SCHEDULER",
]

API_SERVER = 6443
ETCD_CLIENT = 2379
ETCD_PEER = 2380
KUBELET = 10250
KUBE_PROXY = 10256
KUBE_PROXY_METRICS = 10249
CONTROLLER_MANAGER = 10257
CLOUD_CONTROLLER_MANAGER = 10258
SCHEDULER = 10259
LOAD_BALANCER_STATS = 8404
