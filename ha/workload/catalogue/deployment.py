"""A Deployment whose Pods run: something for the scheduler, the controllers and the kubelets to look after.

With a rate it is scaled that often, to some number of replicas. It records no operations. What becomes of its Pods is
seen by the observer of the cluster, and judged by the recovery phases of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio

from ha.history import Operation
from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import DEPLOYMENT, NAMESPACE, Object
from ha.workload.catalogue import WorkloadKind
from ha.workload.configmaps import NAMESPACE as WHERE
from ha.workload.context import Context, NotSetUpError
from ha.workload.pacing import Arrivals, Backoff

__all__ = ["WORKLOAD", "Deployment"]

_IMAGE = "pause:3.10"


class Deployment:
    """See `ha.workload.catalogue.Driver`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._name = "web" + context.name.removeprefix("deployment")
        self._client = KubeClient(
            context.host.net, context.endpoint, user_agent="ha-workload", timeout_s=context.timeout_s
        )
        self._wrong = "nothing was answered"

    async def set_up(self) -> None:
        """Create it and wait until all replicas are ready."""
        backoff = Backoff(self._context.host.random)
        with trio.move_on_after(self._context.patience_s):
            while True:
                try:
                    await self._create()
                    await self._wait_ready()
                except (ApiError, HttpError) as error:
                    self._wrong = str(error)
                    await backoff.pause()
                else:
                    return
        raise NotSetUpError(f"workload {self._context.name}: {self._wrong}")

    async def run(self, arrivals: Arrivals, until: trio.Event) -> None:
        """Let it run, or scale it now and then; what is not answered is left to the next time."""
        if arrivals.rate_per_s is None:
            await until.wait()
        while await arrivals.wait(until):
            replicas = self._context.host.random.randint(1, self._context.spec.replicas)
            with suppress(ApiError, HttpError):
                await self._client.patch(DEPLOYMENT, self._name, WHERE, {"spec": {"replicas": replicas}})

    async def read_back(self) -> Sequence[Operation]:
        """Nothing was written."""
        await self._client.aclose()
        return []

    async def _create(self) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WHERE}}
        for kind, body in ((NAMESPACE, namespace), (DEPLOYMENT, manifest(self._name, self._context.spec.replicas))):
            try:
                await self._client.create(kind, body)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise

    async def _wait_ready(self) -> None:
        """Raises ApiError, HttpError when the watch breaks."""
        found = await self._client.get(DEPLOYMENT, self._name, WHERE)
        while not self._is_ready(found):
            async with self._client.watch(
                DEPLOYMENT,
                WHERE,
                resource_version=found["metadata"]["resourceVersion"],
                field_selector=f"metadata.name={self._name}",
                timeout_s=self._context.patience_s,
            ) as changes:
                async for change in changes:
                    if change.type in ("ADDED", "MODIFIED") and self._is_ready(change.object):
                        return
            found = await self._client.get(DEPLOYMENT, self._name, WHERE)

    def _is_ready(self, deployment: Object) -> bool:
        status = deployment.get("status", {})
        ready, wanted = status.get("readyReplicas", 0), self._context.spec.replicas
        self._wrong = f"{ready} of {wanted} replicas ready"
        return bool(ready >= wanted and status.get("observedGeneration") == deployment["metadata"].get("generation"))


def manifest(name: str, replicas: int) -> Object:
    """A Deployment of containers that do nothing."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": WHERE, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "pause", "image": _IMAGE}]},
            },
        },
    }


WORKLOAD = WorkloadKind("deployment", "a Deployment whose Pods must run", Deployment)
