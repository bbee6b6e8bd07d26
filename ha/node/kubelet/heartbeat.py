"""The node's Lease: the cheap heartbeat (KEP-589), in the namespace kube-node-lease.

It must get through when anything can. So it has a client of its own, every attempt is bounded, and after a failure
the next one dials anew: a connection to a paused API server behind the balancer must not be asked twice. The
first failure that may be the connection's fault also resets the kubelet's other client, whose watches would
otherwise stay silent for as long as they asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil

import trio

from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import LEASE, Object
from ha.kube.meta import micro_time
from ha.world import Host

__all__ = ["NAMESPACE", "NodeLease"]

NAMESPACE = "kube-node-lease"
_RETRY_MIN_S = 0.2
_JITTER = 0.04


class NodeLease:
    """Renews the Lease of one node. `node` returns the Node, its owner, once it is registered."""

    def __init__(
        self,
        client: KubeClient,
        name: str,
        *,
        host: Host,
        node: Callable[[], Object | None],
        duration_s: float,
        renew_s: float,
        on_silence: Callable[[], Awaitable[None]],
    ) -> None:
        self.renewals = 0
        self.failures = 0
        self._client = client
        self._name = name
        self._host = host
        self._node = node
        self._duration_s = duration_s
        self._renew_s = renew_s
        self._on_silence = on_silence
        self._lease: Object | None = None

    async def run(self) -> None:
        """Renew for ever."""
        retry_s = _RETRY_MIN_S
        while True:
            if await self._attempt():
                retry_s = _RETRY_MIN_S
                await trio.sleep(self._renew_s * self._host.random.uniform(1.0, 1.0 + _JITTER))
            else:
                await trio.sleep(retry_s * self._host.random.uniform(0.5, 1.0))
                retry_s = min(retry_s * 2, self._renew_s)

    async def _attempt(self) -> bool:
        try:
            await self._renew()
        except (ApiError, HttpError) as error:
            self.failures += 1
            self._lease = None
            self._host.log("node lease not renewed", error=str(error))
            await self._client.reset()
            if isinstance(error, HttpError):
                await self._on_silence()
            return False
        self.renewals += 1
        return True

    async def _renew(self) -> None:
        if self._lease is None:
            self._lease = await self._find()
        if self._lease is None:
            self._lease = await self._client.create(LEASE, self._renewed(None), NAMESPACE)
        else:
            self._lease = await self._client.update(LEASE, self._renewed(self._lease))

    async def _find(self) -> Object | None:
        try:
            return await self._client.get(LEASE, self._name, NAMESPACE)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def _renewed(self, lease: Object | None) -> Object:
        meta = dict(lease["metadata"]) if lease is not None else {"name": self._name, "namespace": NAMESPACE}
        node = self._node()
        if node is not None:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": node["metadata"]["uid"]}
            meta["ownerReferences"] = [owner]
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": meta,
            "spec": {
                "holderIdentity": self._name,
                "leaseDurationSeconds": max(1, ceil(self._duration_s)),
                "renewTime": micro_time(self._host.wall_clock()),
            },
        }
