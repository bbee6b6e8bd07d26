"""From what the API shows to what is forwarded: informers, and a loop that applies the table when it changed.

Upstream bounds how often it programs the kernel (``BoundedFrequencyRunner``); here the first change after a quiet time
is applied at once, and those that follow within the minimal period together at its end. Nothing is programmed before
both collections were listed: half a table would cut what the other half carries.
"""

from __future__ import annotations

import trio

from ha.kube.client import KubeClient
from ha.kube.informer import Informer
from ha.kube.kinds import ENDPOINT_SLICE, NODE, SERVICE, Object
from ha.kube.meta import deleting
from ha.kube.taints import has_taint
from ha.node.proxy.config import Config
from ha.node.proxy.forwarder import Forwarder
from ha.node.proxy.table import Table, table_of
from ha.world import Address, Host

__all__ = ["Proxy"]

_TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"


class Proxy:
    """One kube-proxy. `run` runs it; the rest is for its endpoints."""

    def __init__(self, host: Host, config: Config) -> None:
        server = Address.parse(config.api_server)
        client = KubeClient(host.net, server, user_agent="kube-proxy", timeout_s=config.client_timeout_s)
        self.table: Table = {}
        self.forwarder = Forwarder(host)
        self.syncs = 0
        self.updated_at: float | None = None
        """When the table was last programmed, by the wall clock."""
        self._host = host
        self._config = config
        self._pending_since_s: float | None = None
        self._changed = trio.Event()
        self._services = Informer(client, SERVICE, host=host, on_change=self._note)
        self._slices = Informer(client, ENDPOINT_SLICE, host=host, on_change=self._note)
        self._nodes = Informer(client, NODE, host=host, field_selector=f"metadata.name={config.node_name}")

    async def run(self) -> None:
        """Forward until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.forwarder.run)
            for informer in (self._services, self._slices, self._nodes):
                nursery.start_soon(informer.run)
            await self._services.synced.wait()
            await self._slices.synced.wait()
            while True:
                await self._sync()
                await trio.sleep(self._config.min_sync_period_s)
                with trio.move_on_after(float("inf") if self.forwarder.is_complete else self._config.sync_period_s):
                    await self._changed.wait()

    @property
    def is_current(self) -> bool:
        """Whether no change has waited for too long to be programmed."""
        since_s = self._pending_since_s
        return since_s is None or trio.current_time() - since_s < 2 * self._config.sync_period_s

    @property
    def is_eligible(self) -> bool:
        """Whether the node is there to stay, as far as is known."""
        node = self._nodes.get(None, self._config.node_name)
        if node is None:
            return True
        return not deleting(node) and not has_taint(node, _TO_BE_DELETED)

    def _note(self, _old: Object | None, _new: Object | None) -> None:
        if self._pending_since_s is None:
            self._pending_since_s = trio.current_time()
        self._changed.set()

    async def _sync(self) -> None:
        pending_since_s, self._changed = self._pending_since_s, trio.Event()
        self._pending_since_s = None
        table = table_of(self._services.objects.values(), self._slices.objects.values(), self._config.node_name)
        if table != self.table or not self.forwarder.is_complete:
            await self.forwarder.apply(table)
            self.table = table
            self.syncs += 1
        if self.forwarder.is_complete:
            self.updated_at = self._host.wall_clock()
        else:
            self._pending_since_s = pending_since_s
