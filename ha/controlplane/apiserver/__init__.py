"""kube-apiserver: the Kubernetes API in front of the store, and the only client that the store has.

    server          the front: routing, errors, metrics      handlers       verb by verb
    routing         path → kind, namespace, name             representation bodies in and out
    registry        create and update                        deletion       delete
    reading         get and list                             watching       watch
    subresources    binding, scale, finalize                 selection      what a list or watch asks for
    resource        what a kind may declare                  resources/     the declarations
    cache           the state in memory, one feed for all    store          the store, in the server's words
    codec           stored form ⇄ answer                     validation, shape   rules, types
    health, metrics, discovery, compaction, leasing, bootstrap

What it promises
* A request that is acknowledged is durable, and every later get or list without a resourceVersion sees it.
* A write whose outcome is unknown is answered 504 or 500, and not tried again here.
* Without a store every request that needs it fails within `Config.store_request_timeout_s`; cached reads
  (``resourceVersion=0``) and open watches go on.
* Any number of servers work on one store, and none is special. What has to be done once (compaction,
  bootstrap, allocation) is decided by transactions on the store.
"""

from __future__ import annotations

from contextlib import aclosing

import msgspec
import trio

from ha import http
from ha.controlplane.apiserver.bootstrap import bootstrap
from ha.controlplane.apiserver.cache import Feed
from ha.controlplane.apiserver.compaction import compact_periodically
from ha.controlplane.apiserver.handlers import Handlers
from ha.controlplane.apiserver.health import Health
from ha.controlplane.apiserver.leasing import LeasePool
from ha.controlplane.apiserver.reading import Reader
from ha.controlplane.apiserver.registry import Registry
from ha.controlplane.apiserver.resources import declare
from ha.controlplane.apiserver.server import Front
from ha.controlplane.apiserver.store import Store, StoreClient
from ha.controlplane.apiserver.watching import Watches
from ha.etcd.client import EtcdClient
from ha.world import Address, Host, Listener

__all__ = ["Config", "run", "serve"]

_CATCH_UP_S = 3.0
"""How long a read waits for the cache to become recent enough, as upstream's watch cache."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`etcd`: the local member's client address (stacked), or all members' (external)."""

    name: str
    etcd: list[str]
    port: int = 6443
    store_request_timeout_s: float = 5.0
    store_probe_period_s: float = 0.5
    store_probe_window_s: float = 1.5
    """The store counts as serving while a linearizable request succeeded within this window."""
    watch_bookmark_period_s: float = 60.0
    watch_log_size: int = 2048
    """Changes kept per kind (at least), for watches to begin from."""
    compaction_interval_s: float = 300.0
    event_ttl_s: int = 3600
    service_cidr: str = "10.96.0.0/12"
    pod_eviction_toleration_s: float = 300.0
    """How long a Pod that does not say stays on a node that is not ready (DefaultTolerationSeconds)."""


async def serve(host: Host, config: Config, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Run until cancelled. Started when it listens; ``/readyz`` tells when it can be used."""
    endpoints = [Address.parse(text) for text in config.etcd]
    async with (
        aclosing(EtcdClient(host.net, endpoints, timeout_s=config.store_request_timeout_s)) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.run)
        await run(host, config, client, task_status=task_status)


async def run(
    host: Host,
    config: Config,
    client: StoreClient,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The same, on a store client that is given."""
    store = Store(client)
    resources = declare(
        service_cidr=config.service_cidr,
        event_ttl_s=config.event_ttl_s,
        eviction_toleration_s=config.pod_eviction_toleration_s,
        random=host.random,
    )
    feed = Feed(store, resources, log_size=config.watch_log_size, log=host.log)
    registry = Registry(store, feed, resources, random=host.random, wall_clock=host.wall_clock, leases=LeasePool(store))
    reader = Reader(store, feed, wait_s=min(_CATCH_UP_S, config.store_request_timeout_s))
    watches = Watches(feed, reader, bookmark_period_s=config.watch_bookmark_period_s, random=host.random)
    health = Health(store, feed, period_s=config.store_probe_period_s, window_s=config.store_probe_window_s)
    front = Front(
        Handlers(registry, reader, watches),
        health,
        store=store,
        feed=feed,
        watches=watches,
        address=f"{host.address}:{config.port}",
        log=host.log,
    )

    async def prepare() -> None:
        await bootstrap(registry, service_cidr=config.service_cidr, port=config.port, log=host.log)
        health.bootstrapped = True

    listener = await host.net.listen(config.port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        nursery.start_soon(health.run)
        nursery.start_soon(prepare)
        nursery.start_soon(compact_periodically, store, config.compaction_interval_s, host.log)
        await nursery.start(_listen, listener, front, host)
        task_status.started()


async def _listen(listener: Listener, front: Front, host: Host, *, task_status: trio.TaskStatus[None]) -> None:
    await http.serve(listener, front.handle, log=host.log, wall_clock=host.wall_clock, task_status=task_status)
