"""What control-plane tests share: the real API server on a store in memory, real kubelets, virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from ha.controlplane import cloud_controller_manager, controller_manager, scheduler
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import DEPLOYMENT, LEASE, NODE, POD, REPLICA_SET, Kind, Object
from ha.node import kubelet
from ha.world import Address
from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import Api, api_server

Program = Callable[..., Any]


class Cluster:
    """One API server on node "api"; the test adds nodes, schedulers and controller-managers."""

    def __init__(self, world: FakeWorld, api: Api) -> None:
        self.world = world
        self.api = api
        self.server = f"{world.address('api')}:6443"
        host = world.host("tester")
        self.client = KubeClient(host.net, Address.parse(self.server), user_agent="test", timeout_s=5.0)

    async def start_scheduler(self, node: str = "cp", **settings: float) -> None:
        config = scheduler.Config(name=node, api_server=self.server, **settings)
        await self.world.start(node, _surviving(scheduler.serve, config), process="kube-scheduler")

    async def start_controllers(self, node: str = "cp", **settings: float) -> None:
        config = controller_manager.Config(name=node, api_server=self.server, **settings)
        await self.world.start(node, _surviving(controller_manager.serve, config), process="kube-controller-manager")

    async def start_cloud(self, config: cloud_controller_manager.Config) -> None:
        serve = _surviving(cloud_controller_manager.serve, config)
        await self.world.start(config.name, serve, process="cloud-controller-manager")

    async def boot(self, *nodes: str, **settings: Any) -> None:
        """Start a kubelet on each node and wait until they are registered."""
        for node in nodes:
            config = kubelet.Config(node_name=node, api_server=self.server, **settings)
            await self.world.start(node, partial(kubelet.serve, config=config), process="kubelet")
        await self.until(lambda: self._registered(nodes))

    async def _registered(self, nodes: Iterable[str]) -> bool:
        return {n["metadata"]["name"] for n in await self.list(NODE)} >= set(nodes)

    async def until(self, holds: Callable[[], Any], within_s: float = 60.0) -> float:
        """Wait until an async condition holds; returns how long it took."""
        began = trio.current_time()
        while not await holds():
            assert trio.current_time() - began < within_s, "it never came to hold"
            await trio.sleep(0.05)
        return trio.current_time() - began

    async def list(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        return (await self.client.list(kind, namespace)).items

    async def find(self, kind: Kind, name: str, namespace: str | None = "default") -> Object | None:
        try:
            return await self.client.get(kind, name, namespace if kind.namespaced else None)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def pods(self, *, on: str | None = None, active: bool = True) -> list[Object]:
        """The pods of namespace default."""
        found = await self.list(POD, "default")
        if active:
            found = [p for p in found if not p["metadata"].get("deletionTimestamp")]
        return [p for p in found if on is None or p["spec"].get("nodeName") == on]

    async def nodes_of_pods(self) -> dict[str, str]:
        return {p["metadata"]["name"]: p["spec"].get("nodeName", "") for p in await self.pods()}

    async def deploy(self, name: str, replicas: int, image: str = "web:1", **spec: Any) -> Object:
        return await self.client.create(DEPLOYMENT, deployment(name, replicas, image, **spec))

    async def is_rolled_out(self, name: str) -> bool:
        found = await self.find(DEPLOYMENT, name)
        assert found is not None
        status, wanted = found.get("status") or {}, found["spec"]["replicas"]
        return (
            status.get("observedGeneration") == found["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == wanted
            and status.get("availableReplicas", 0) == wanted
            and status.get("replicas", 0) == wanted
        )

    async def replica_sets(self) -> dict[str, int]:
        """Replicas wanted by image, of every ReplicaSet."""
        return {
            r["spec"]["template"]["spec"]["containers"][0]["image"]: r["spec"]["replicas"]
            for r in await self.list(REPLICA_SET, "default")
        }

    async def ready_status(self, node: str) -> str:
        found = await self.find(NODE, node)
        assert found is not None
        return next((c["status"] for c in found["status"]["conditions"] if c["type"] == "Ready"), "")

    async def taints(self, node: str) -> set[tuple[str, str]]:
        found = await self.find(NODE, node)
        assert found is not None
        return {(t["key"].rpartition("/")[2], t["effect"]) for t in found["spec"].get("taints") or []}

    async def holder(self, lease: str) -> str:
        found = await self.find(LEASE, lease, "kube-system")
        return found["spec"]["holderIdentity"].partition("_")[0] if found else ""


def _surviving(serve: Program, config: object) -> Program:
    """A component that the test's world does not fail for when it crashes; nothing starts it again."""

    async def main(host: Any, *, task_status: Any) -> None:
        try:
            await serve(host, config, task_status=task_status)
        except* Exception as crash:  # noqa: BLE001  (a crash of a component is an event of the test, not its end)
            host.log("crashed", error=repr(crash.exceptions))

    return main


@asynccontextmanager
async def running_cluster(seed: int = 1) -> AsyncIterator[Cluster]:
    async with FakeWorld(seed=seed) as world, api_server(world, node="api", pod_eviction_toleration_s=20.0) as api:
        yield Cluster(world, api)


def pod(name: str, *, cpu: str | None = None, **spec: Any) -> Object:
    container: Object = {"name": "c", "image": "web:1"}
    if cpu is not None:
        container["resources"] = {"requests": {"cpu": cpu}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container], **spec}}


def deployment(name: str, replicas: int, image: str = "web:1", **spec: Any) -> Object:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": image}], **spec.pop("pod", {})},
    }
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
            **spec,
        },
    }
