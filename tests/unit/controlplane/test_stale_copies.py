"""Controllers and scheduler whose copies lag behind, or whose requests go astray."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock

from ha.controlplane.controller_manager import Config, make_manager
from ha.controlplane.scheduler.scheduler import Scheduler
from ha.http import ConnectionLost
from ha.kube.client import KubeClient, WatchEvent
from ha.kube.events import EventRecorder
from ha.kube.kinds import DEPLOYMENT, POD, REPLICA_SET, Kind, Object
from ha.world import Address
from tests.unit.controlplane.cluster import Cluster, deployment, pod


class LaggingClient(KubeClient):
    """Shows pods a second late."""

    lag_s = 1.0

    @asynccontextmanager
    async def watch(self, kind: Kind, *args: Any, **settings: Any) -> AsyncIterator[Any]:
        async with super().watch(kind, *args, **settings) as events:
            if kind is not POD:
                yield events
                return
            async with aclosing(self._late(events)) as late:
                yield late

    async def _late(self, events: AsyncIterator[WatchEvent]) -> AsyncIterator[WatchEvent]:
        async for event in events:
            await trio.sleep(self.lag_s)
            yield event


class AstrayClient(KubeClient):
    """Loses the first requests to bind, before they get anywhere."""

    lost = 0

    async def bind(self, pod_name: str, namespace: str, node: str, *, uid: str | None = None) -> None:
        if self.lost < 3:
            self.lost += 1
            await trio.lowlevel.checkpoint()
            raise ConnectionLost("lost")
        await super().bind(pod_name, namespace, node, uid=uid)


class SlowClient(KubeClient):
    """Takes a second to create a ReplicaSet, and learns a second late that one was resized."""

    async def create(self, kind: Kind, *args: Any, **settings: Any) -> Object:
        if kind is REPLICA_SET:
            await trio.sleep(1)
        return await super().create(kind, *args, **settings)

    async def patch(self, kind: Kind, *args: Any, **settings: Any) -> Object:
        patched = await super().patch(kind, *args, **settings)
        if kind is REPLICA_SET:
            await trio.sleep(1)
        return patched


async def lead_controllers(cluster: Cluster, nursery: trio.Nursery, make: type[KubeClient] = LaggingClient) -> None:
    host = cluster.world.host("cp")
    client = make(host.net, Address.parse(cluster.server), user_agent="test", timeout_s=2.0)
    manager = make_manager(
        client,
        EventRecorder(client, "test", host=host),
        Config(name="cp", api_server=cluster.server),
        host=host,
    )
    nursery.start_soon(manager.run)
    nursery.start_soon(manager.lead)


async def test_late_copy_makes_no_pod_too_many(
    autojump_clock: MockClock, cluster: Cluster, nursery: trio.Nursery
) -> None:
    await lead_controllers(cluster, nursery)
    spec = deployment("web", 3)["spec"]
    body = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    made = await cluster.client.create(REPLICA_SET, body)
    for replicas in (3, 4, 6):
        patch = {"spec": {"replicas": replicas}, "metadata": {"annotations": {"poke": str(replicas)}}}
        await cluster.client.patch(REPLICA_SET, "web", "default", patch)
        for poke in range(5):
            await trio.sleep(0.2)
            again = {"metadata": {"annotations": {"poke": f"{replicas}.{poke}"}}}
            await cluster.client.patch(REPLICA_SET, "web", "default", again)
            assert len(await cluster.pods(active=False)) <= replicas
    await trio.sleep(30)
    names = {p["metadata"]["name"] for p in await cluster.pods(active=False)}
    assert len(names) == 6
    assert made["metadata"]["uid"]


async def test_late_copy_deletes_no_pod_too_many(
    autojump_clock: MockClock, cluster: Cluster, nursery: trio.Nursery
) -> None:
    await cluster.boot("n1")
    await cluster.start_scheduler()
    await lead_controllers(cluster, nursery)
    spec = deployment("web", 6)["spec"]
    body = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    await cluster.client.create(REPLICA_SET, body)
    await trio.sleep(60)
    assert len(await cluster.pods()) == 6
    await cluster.client.patch(REPLICA_SET, "web", "default", {"spec": {"replicas": 3}})
    for poke in range(20):
        await trio.sleep(0.1)
        again = {"metadata": {"annotations": {"poke": str(poke)}}}
        await cluster.client.patch(REPLICA_SET, "web", "default", again)
        assert len(await cluster.pods()) >= 3
    await trio.sleep(60)
    assert len(await cluster.pods(active=False)) == 3


async def test_deployment_observes_no_generation_before_it_is_acted_upon(
    autojump_clock: MockClock, cluster: Cluster, nursery: trio.Nursery
) -> None:
    """Whoever waits for a rollout takes observedGeneration for the controller's word that it has begun."""
    await lead_controllers(cluster, nursery, SlowClient)
    await cluster.client.create(DEPLOYMENT, deployment("web", 1))
    await trio.sleep(1.5)
    template = {"metadata": {"annotations": {"version": "2"}}}
    changed = await cluster.client.patch(DEPLOYMENT, "web", "default", {"spec": {"template": template}})
    generation = changed["metadata"]["generation"]
    for _ in range(100):
        await trio.sleep(0.05)
        shown = await cluster.client.get(DEPLOYMENT, "web", "default")
        if shown.get("status", {}).get("observedGeneration") == generation:
            assert len(await cluster.list(REPLICA_SET)) == 2
            return
    raise AssertionError("it was never observed")


async def test_bindings_that_go_astray_are_made_again_and_hold_no_capacity(
    autojump_clock: MockClock, cluster: Cluster, nursery: trio.Nursery
) -> None:
    await cluster.boot("n1", cpu="2")
    host = cluster.world.host("cp")
    client = AstrayClient(host.net, Address.parse(cluster.server), user_agent="test", timeout_s=2.0)
    scheduler = Scheduler(client, EventRecorder(client, "test", host=host), host=host)
    nursery.start_soon(scheduler.run)
    nursery.start_soon(scheduler.lead)
    for i in range(2):
        await cluster.client.create(POD, pod(f"p{i}", cpu="1"))
    await trio.sleep(15)
    assert Counter((await cluster.nodes_of_pods()).values()) == {"n1": 2}
    assert client.lost == 3
