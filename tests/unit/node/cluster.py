"""What kubelet tests share: a world with an API server, kubelets booted into it, programs that can crash."""

from __future__ import annotations

import orjson
import trio

from ha import http
from ha.kube.kinds import POD, Object
from ha.node import kubelet
from ha.world import Address, Host, ProcessInfo
from tests.fakes.world import FakeWorld
from tests.unit.kube.fake_api import PORT, FakeApi


class Cluster:
    """One world. `crash_after_s` says how long the program ``crasher`` runs before it fails."""

    def __init__(self, world: FakeWorld, api: FakeApi) -> None:
        self.world = world
        self.api = api
        self.crash_after_s = 0.0
        self.exit_cleanly = False
        self.stubborn_s = 0.0
        self.healthy = True
        self.starts: list[tuple[float, str]] = []
        world.programs["crasher"] = self._crasher
        world.programs["server"] = self._server
        world.programs["stubborn"] = self._stubborn

    async def boot(self, node: str, *, static: list[Object] | None = None, **settings: object) -> None:
        config = kubelet.Config(
            node_name=node,
            static_pods=static or [],
            images={"crasher": "crasher", "server": "server", "stubborn": "stubborn"},
            **{"api_server": f"{self.world.address('api')}:{PORT}", **settings},  # type: ignore[arg-type]
        )

        async def serve(host: Host, *, task_status: trio.TaskStatus[None]) -> None:
            await kubelet.serve(host, config, task_status=task_status)

        await self.world.start(node, serve, process="kubelet")

    def processes(self, node: str) -> list[str]:
        return [p.name for p in self.world.running(node) if p.name != "kubelet"]

    def process(self, node: str, name: str) -> ProcessInfo:
        return next(p for p in self.world.running(node) if p.name == name)

    def add_pod(self, name: str, node: str = "n1", image: str = "any", **spec: object) -> Object:
        return self.api.put(POD, pod(name, image, nodeName=node, **spec))

    def pod(self, name: str, namespace: str = "default") -> Object:
        return self.api.get(POD, name, namespace)

    def container(self, name: str, namespace: str = "default") -> Object:
        return self.pod(name, namespace)["status"]["containerStatuses"][0]

    async def delete(self, name: str, grace_s: int = 30) -> None:
        pod = self.pod(name)
        meta = {**pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace_s}
        self.api.put(POD, {**pod, "metadata": meta})
        await trio.lowlevel.checkpoint()

    async def ask_kubelet(self, node: str, path: str) -> http.Response:
        client = http.Client(self.world.host("tester").net, Address(self.world.address(node), 10250))
        return await client.request("GET", path, timeout_s=2.0)

    async def _crasher(self, host: Host, _config: object, *, task_status: trio.TaskStatus[None]) -> None:
        self.starts.append((trio.current_time(), host.process))
        task_status.started()
        await trio.sleep(self.crash_after_s)
        if not self.exit_cleanly:
            raise RuntimeError("crash")

    async def _server(self, host: Host, _config: object, *, task_status: trio.TaskStatus[None]) -> None:
        self.starts.append((trio.current_time(), host.process))

        async def handle(_: http.Request) -> http.Response:
            await trio.lowlevel.checkpoint()
            return http.Response(200 if self.healthy else 500)

        await http.serve(await host.net.listen(8080), handle, task_status=task_status)

    async def _stubborn(self, _host: Host, _config: object, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.stubborn_s)


def pod(name: str, image: str = "any", *, namespace: str = "default", **spec: object) -> Object:
    container: Object = {"name": "c", "image": image}
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if probe in spec:
            container[probe] = spec.pop(probe)
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"containers": [container], **spec}}


def conditions(obj: Object) -> dict[str, str]:
    return {c["type"]: c["status"] for c in obj["status"]["conditions"]}


def manifest(name: str, image: str = "any", **config: object) -> Object:
    env = [{"name": "HA_CONFIG", "value": orjson.dumps(config).decode()}]
    return {
        "metadata": {"name": name, "namespace": "kube-system", "labels": {"component": name}},
        "spec": {"containers": [{"name": name, "image": image, "env": env}]},
    }
