"""The kubelet: which pods belong on this node, and a worker for each.

Pods come from two sources. Static pods are the node's own and run from the first moment on, whether there is an API or
not: they *are* the API. Other pods come from the API, by a watch on ``spec.nodeName``. A pod that the API no longer
shows is stopped, but only the API's word counts, never its silence: while it cannot be reached, everything goes on
as it is. After a restart of the kubelet, containers that still run are adopted by their pods; what nobody owns is
stopped once every source has spoken.
"""

from __future__ import annotations

import trio

from ha.kube.client import KubeClient
from ha.kube.informer import Informer
from ha.kube.kinds import POD, Object
from ha.kube.workqueue import Key
from ha.node.kubelet.config import Config
from ha.node.kubelet.heartbeat import NodeLease
from ha.node.kubelet.mirror import MirrorPods
from ha.node.kubelet.pods import is_mirror, static_pod
from ha.node.kubelet.registration import NodeRegistration
from ha.node.kubelet.reporting import StatusReporter
from ha.node.kubelet.worker import PodWorker, Reporter
from ha.node.runtime import Container, PodSandbox, ProcessRuntime
from ha.world import Address, Host

__all__ = ["Kubelet"]

_WATCH_S = 30.0


class _NoReporter:
    """Where the statuses of a kubelet go that stands alone: its own endpoint shows them."""

    def report(self, pod: Object, status: Object) -> None:
        """Nobody to tell."""

    def finished(self, pod: Object) -> None:
        """Nobody to tell."""


class _Api:
    """What a kubelet with an API server has in addition."""

    def __init__(self, kubelet: Kubelet, host: Host, config: Config, server: Address) -> None:
        timeout_s = config.client_timeout_s
        self.client = KubeClient(host.net, server, user_agent="kubelet", timeout_s=timeout_s)
        lease_client = KubeClient(
            host.net, server, user_agent="kubelet/heartbeat", timeout_s=min(timeout_s, config.node_lease_renew_s)
        )
        self.pods = Informer(
            self.client,
            POD,
            host=host,
            field_selector=f"spec.nodeName={config.node_name}",
            on_change=kubelet.pod_changed,
            watch_s=_WATCH_S,
        )
        self.registration = NodeRegistration(self.client, config, host=host)
        self.lease = NodeLease(
            lease_client,
            config.node_name,
            host=host,
            node=lambda: self.registration.node,
            duration_s=config.node_lease_duration_s,
            renew_s=config.node_lease_renew_s,
            on_silence=self.client.reset,
        )
        self.reporter = StatusReporter(self.client, self._shown, host=host)
        self.mirrors = MirrorPods(
            self.client, kubelet.static_pods, self._shown, host=host, node=lambda: self.registration.node
        )

    async def run(self, kubelet: Kubelet) -> None:
        """Everything that talks to the API."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.registration.run)
            nursery.start_soon(self.lease.run)
            nursery.start_soon(self.reporter.run)
            await nursery.start(self.pods.run)
            kubelet.stop_orphans()
            await self.registration.registered.wait()
            await self.mirrors.run()

    def _shown(self, key: Key) -> Object | None:
        return self.pods.get(*key)


class Kubelet:
    """One kubelet. `run` runs it; the rest is for its endpoint and its parts."""

    def __init__(self, host: Host, config: Config) -> None:
        pods = [static_pod(manifest, config.node_name) for manifest in config.static_pods]
        self.static_pods: dict[Key, Object] = {(p["metadata"]["namespace"], p["metadata"]["name"]): p for p in pods}
        self.runtime = ProcessRuntime(host, self._exited)
        self._host = host
        self._config = config
        self._workers: dict[str, PodWorker] = {}
        self._nursery: trio.Nursery | None = None
        self._api = None if config.api_server is None else _Api(self, host, config, Address.parse(config.api_server))
        self._reporter: Reporter = _NoReporter() if self._api is None else self._api.reporter

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run pods until cancelled; the containers stay. Started when the static pods are on their way."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.runtime.run)
            for pod in self.static_pods.values():
                self._add(pod)
            self.stop_orphans(static_only=self._api is not None)
            task_status.started()
            if self._api is not None:
                await self._api.run(self)

    def pod_changed(self, old: Object | None, new: Object | None) -> None:
        """A pod of this node changed in the API."""
        pod = new if new is not None else old
        assert pod is not None, "a change has an old or a new side"
        assert self._api is not None, "only an API server changes pods"
        meta = pod["metadata"]
        key = (meta["namespace"], meta["name"])
        self._api.reporter.shown_changed(old, new)
        if is_mirror(pod) or key in self.static_pods:
            self._api.mirrors.shown_changed(key)
            return
        worker = self._workers.get(meta["uid"])
        if new is None:
            if worker is not None and worker.ended:
                del self._workers[worker.uid]
            elif worker is not None:
                worker.stop()
        elif worker is not None:
            worker.update(new)
        else:
            self._add(new)

    def stop_orphans(self, *, static_only: bool = False) -> None:
        """Every source has spoken: stop the containers of pods that none of them knows.

        Static pods have only one source, which speaks first; their processes are in the way of their successors.
        """
        static = {c.sandbox.uid for c in self.runtime.list_containers() if c.process == c.name}
        for sandbox in self.runtime.list_pod_sandboxes():
            if sandbox.uid not in self._workers and (sandbox.uid in static or not static_only):
                self._host.log("stopping a pod that nobody wants", pod=sandbox.name, uid=sandbox.uid)
                self._add(_orphan(sandbox)).stop()

    def pods(self) -> list[Object]:
        """The pods of this node with their status as the kubelet sees it, for ``/pods``."""
        workers = sorted(
            self._workers.values(), key=lambda w: (w.pod["metadata"]["namespace"], w.pod["metadata"]["name"])
        )
        return [{**w.pod, "status": w.status()} for w in workers]

    def metrics(self) -> dict[str, float]:
        """Upstream's names where it has the same metric."""
        containers = self.runtime.list_containers()
        values: dict[str, float] = {
            "kubelet_running_pods": len(self._workers),
            'kubelet_running_containers{container_state="running"}': sum(c.state == "running" for c in containers),
            "kubelet_started_containers_total": sum(w.started for w in self._workers.values()),
        }
        if self._api is not None:
            values["kubelet_node_lease_renewals_total"] = self._api.lease.renewals
            values["kubelet_node_lease_failures_total"] = self._api.lease.failures
        return values

    def _add(self, pod: Object) -> PodWorker:
        assert self._nursery is not None, "pods are added while the kubelet runs"
        worker = PodWorker(
            pod,
            host=self._host,
            runtime=self.runtime,
            reporter=self._reporter,
            images=self._config.images,
            backoff_s=(self._config.container_backoff_s, self._config.container_backoff_max_s),
        )
        self._workers[worker.uid] = worker
        if pod["metadata"].get("deletionTimestamp"):
            worker.update(pod)
        self._nursery.start_soon(self._work, worker)
        return worker

    async def _work(self, worker: PodWorker) -> None:
        await worker.run()
        shown = self._api.pods.get(*worker.key) if self._api is not None else None
        if shown is None or shown["metadata"]["uid"] != worker.uid:
            del self._workers[worker.uid]  # else it stays until the API shows that the deletion is confirmed

    def _exited(self, container: Container) -> None:
        self._host.log(
            "container ended", container=container.id, exit_code=container.exit_code, signal=container.signal
        )
        worker = self._workers.get(container.sandbox.uid)
        if worker is not None:
            worker.poke()


def _orphan(sandbox: PodSandbox) -> Object:
    meta = {"uid": sandbox.uid, "namespace": sandbox.namespace, "name": sandbox.name}
    return {"metadata": meta, "spec": {"containers": []}}
