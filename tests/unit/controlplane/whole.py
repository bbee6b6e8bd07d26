"""A whole cluster in virtual time: kubelets bring up etcd and the control plane as static pods, behind a balancer.

Everything is production code but the world.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import trio

from ha.cluster.plan import node_names, plan
from ha.http import HttpError
from ha.kube.client import KubeClient
from ha.kube.conditions import condition_status
from ha.kube.errors import ApiError
from ha.kube.kinds import CONFIG_MAP, DEPLOYMENT, LEASE, NODE
from ha.spec import NodeGroup, Topology
from ha.spec.timings import FAST
from tests.fakes.world import FakeWorld

TIMINGS = msgspec.structs.replace(FAST, pod_eviction_toleration=3.0)
TOPOLOGY = Topology(
    name="stacked-3",
    nodes=[NodeGroup(role="control-plane", count=3), NodeGroup(role="worker", count=2)],
    timings=TIMINGS,
)


class Whole:
    """The cluster, as somebody outside sees it."""

    def __init__(self, world: FakeWorld) -> None:
        addresses = {name: world.address(name) for name in node_names(TOPOLOGY)}
        self.world = world
        self.plan = plan(TOPOLOGY, addresses, cluster_token="test")
        self.client = KubeClient(world.host("tester").net, self.plan.endpoint, user_agent="test", timeout_s=1.0)

    async def boot(self, *names: str) -> None:
        for name in names:
            node = self.plan.nodes[name]
            await self.world.start_program(name, node.process, node.program, node.config, {})

    async def until(self, holds: Callable[[], Awaitable[bool]], within_s: float) -> None:
        with trio.fail_after(within_s):
            while True:
                try:
                    if await holds():
                        return
                except (ApiError, HttpError):
                    pass  # not answered yet: what is being waited for
                await trio.sleep(0.05)

    async def nodes_ready(self) -> bool:
        nodes = (await self.client.list(NODE)).items
        return len(nodes) == 5 and all(condition_status(n, "Ready") == "True" for n in nodes)

    async def available(self) -> bool:
        found = await self.client.get(DEPLOYMENT, "web", "default")
        return (found.get("status") or {}).get("availableReplicas") == 4

    async def writes(self) -> bool:
        name = f"at-{trio.current_time():.6f}".replace(".", "-")
        await self.client.create(CONFIG_MAP, {"metadata": {"name": name, "namespace": "default"}})
        return True

    async def holder(self, lease: str) -> str:
        found = await self.client.get(LEASE, lease, "kube-system")
        return str(found["spec"]["holderIdentity"]).partition("_")[0]
