"""The Node object: registers it, and keeps its status.

The status is worked out every `node_status_update_s`, and written when it differs from what the API shows or when
the last report is older than `node_status_report_s`; the Lease is the heartbeat in between. A Node that the
node lifecycle controller declared Unknown is thus put right at the next round at the latest.
"""

from __future__ import annotations

import trio

import ha
from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.conditions import condition, with_condition
from ha.kube.errors import ApiError
from ha.kube.kinds import NODE, Object
from ha.kube.meta import timestamp
from ha.kube.taints import UNINITIALIZED
from ha.node.kubelet.config import Config
from ha.world import Host

__all__ = ["VERSION", "NodeRegistration"]

VERSION = "v1.32.0"
_RETRY_MIN_S = 0.1
_RETRY_MAX_S = 2.0
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


class NodeRegistration:
    """Registers one node and reports its status. `node` is the Node as last seen, once registered."""

    def __init__(self, client: KubeClient, config: Config, *, host: Host) -> None:
        self.registered = trio.Event()
        self.node: Object | None = None
        self._client = client
        self._config = config
        self._host = host
        self._reported_s = -float("inf")

    async def run(self) -> None:
        """Register, then report for ever."""
        retry_s = _RETRY_MIN_S
        while True:
            try:
                await self._round()
            except (ApiError, HttpError) as error:
                self._host.log("node status not reported", error=str(error))
                await trio.sleep(retry_s * self._host.random.uniform(0.5, 1.0))
                retry_s = min(retry_s * 2, _RETRY_MAX_S)
            else:
                retry_s = _RETRY_MIN_S
                await trio.sleep(self._config.node_status_update_s)

    async def _round(self) -> None:
        if self.registered.is_set():
            node = await self._get_or_create(resource_version="0")
        else:
            node = await self._adjust(await self._get_or_create(resource_version=None))
        status = self._status(node)
        stale = trio.current_time() - self._reported_s >= self._config.node_status_report_s
        if stale or _differs(node.get("status") or {}, status):
            name = self._config.node_name
            node = await self._client.patch(NODE, name, None, {"status": status}, subresource="status")
            self._reported_s = trio.current_time()
        self.node = node
        self.registered.set()

    async def _get_or_create(self, *, resource_version: str | None) -> Object:
        try:
            return await self._client.get(NODE, self._config.node_name, resource_version=resource_version)
        except ApiError as error:
            if error.status != 404:
                raise
        node = self._initial()
        try:
            return await self._client.create(NODE, node)
        except ApiError as error:
            if error.status != 409:
                raise
        return await self._client.get(NODE, self._config.node_name)

    async def _adjust(self, node: Object) -> Object:
        """A node that registered before: bring its labels up to date. Taints are others' business by now."""
        wanted = self._labels()
        labels = node["metadata"].get("labels") or {}
        if all(labels.get(k) == v for k, v in wanted.items()):
            return node
        return await self._client.patch(NODE, self._config.node_name, None, {"metadata": {"labels": wanted}})

    def _labels(self) -> dict[str, str]:
        return {
            "kubernetes.io/hostname": self._config.node_name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            **self._config.labels,
        }

    def _initial(self) -> Object:
        config = self._config
        spec: Object = {"podCIDR": self._host.subnet, "podCIDRs": [self._host.subnet]}
        waits = [{"key": UNINITIALIZED, "value": "true", "effect": "NoSchedule"}] if config.cloud_provider else []
        if taints := [*config.taints, *waits]:
            spec["taints"] = taints
        if config.unschedulable:
            spec["unschedulable"] = True
        meta = {"name": config.node_name, "labels": self._labels()}
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec}
        return {**node, "status": self._status(node)}

    def _status(self, node: Object) -> Object:
        config, now = self._config, timestamp(self._host.wall_clock())
        conditions: list[Object] = list((node.get("status") or {}).get("conditions") or [])
        for type_, status, reason, message in _CONDITIONS:
            new = {"type": type_, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now}
            conditions = with_condition(conditions, new, now)
        addresses = [
            {"type": "InternalIP", "address": self._host.address},
            {"type": "Hostname", "address": config.node_name},
        ]
        if config.cloud_provider:  # what the cloud has said counts more
            addresses = (node.get("status") or {}).get("addresses") or addresses
        resources = {"cpu": config.cpu, "memory": config.memory, "pods": str(config.max_pods)}
        return {
            "addresses": addresses,
            "allocatable": resources,
            "capacity": resources,
            "conditions": conditions,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": config.port}},
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": f"ha://{ha.__version__}",
                "kernelVersion": "",
                "kubeProxyVersion": "",
                "kubeletVersion": VERSION,
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "ha",
                "systemUUID": "",
            },
        }


def _differs(shown: Object, status: Object) -> bool:
    if any(shown.get(k) != status[k] for k in ("addresses", "allocatable", "capacity", "daemonEndpoints", "nodeInfo")):
        return True
    node = {"status": shown}
    return any(
        (found := condition(node, type_)) is None or found.get("status") != expected
        for type_, expected, _, _ in _CONDITIONS
    )
