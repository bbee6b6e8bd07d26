"""A planned cluster in a world: boot, readiness, power, and the init system of each node.

The init system is the one thing that a machine does by itself: it boots the node's first process and starts
it again when it ends (kubeadm's systemd unit: ``Restart=always``). Everything else is the kubelet's work.
A node that was powered off stays off until it is booted.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import trio

from ha.cluster.plan import Plan
from ha.cluster.view import member_status
from ha.etcd.client import EtcdClient, EtcdError
from ha.http import Client, HttpError
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import CONFIG_MAP, NODE
from ha.kube.taints import UNINITIALIZED, has_taint
from ha.world import Evidence, Host, NotAttestedError, ProcessInfo, Signal, World

__all__ = ["Cluster", "NotReadyError"]

_POLL_S = 0.02
_POLL_SHARE = 0.05
"""Whoever waits for long looks less often: this much of the time waited may be lost."""
_POLL_MAX_S = 0.5
_PROBE = b"ha-ready"
"""The key that is written to see whether a store alone takes a write."""


class NotReadyError(Exception):
    """The cluster did not become ready in time; the message says what was missing."""


class Cluster:
    """The running cluster. `supervise` is its init systems, and runs as long as it does."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world = world
        self.plan = plan
        self._off = set(plan.nodes)

    async def boot(self, node: str) -> ProcessInfo:
        """Power a node on: start its first process."""
        spec = self.plan.nodes[node]
        process = await self.world.boot(node, spec.process, spec.program, spec.config)
        self._off.discard(node)
        return process

    async def boot_all(self) -> None:
        """Power every node on, all at once."""
        async with trio.open_nursery() as nursery:
            for node in self.plan.nodes:
                nursery.start_soon(self.boot, node)

    async def power_off(self, node: str) -> Evidence:
        """Kill everything on a node at once, as a power cut does."""
        self._off.add(node)
        return await self.world.signal(node, "kill")

    async def shut_down(self, node: str) -> Evidence:
        """End everything on a node in order; what does not end in time is killed. Its init system starts nothing any
        more, as that of a machine that is going down.
        """
        self._off.add(node)
        try:
            terminated = await self.world.signal(node, "terminate")
        except NotAttestedError:
            terminated = {"terminated": "not all in time; killed the rest"}
        if await self.world.processes(node):
            return {**terminated, **await self.power_off(node)}
        return terminated

    async def signal(self, node: str, signal: Signal, *, process: str | None = None) -> Evidence:
        """Signal one process, or all of a node's; see `World.signal`."""
        return await self.world.signal(node, signal, process=process)

    async def supervise(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Restart first processes that end on nodes that are on, after the back-off of their timings."""
        exits = self.world.exits()
        task_status.started()
        async with trio.open_nursery() as nursery:
            async for node, exited in exits:
                if exited.name == self.plan.nodes[node].process and node not in self._off:
                    nursery.start_soon(self._restart, node)

    async def _restart(self, node: str) -> None:
        spec = self.plan.nodes[node]
        await trio.sleep(self.plan.topology.timings.container_backoff)
        running = {process.name for process in await self.world.processes(node)}
        if node not in self._off and spec.process not in running:
            with suppress(ValueError):  # it was powered off since, and perhaps on again: it is another boot's now
                await self.world.boot(node, spec.process, spec.program, spec.config)

    async def wait_ready(self, host: Host, *, timeout_s: float) -> None:
        """Until, of all that is on, every etcd member counts and follows a leader, every API server answers /readyz,
        every Node is Ready and the endpoint takes a write; of a store alone, the store itself takes one.

        Members are asked themselves, since with external etcd no API server misses the last one; a write is tried,
        since a Node stays Ready for its grace after the last one that succeeded.

        Raises NotReadyError, which says what was still missing.
        """
        missing, begun_s = ["the cluster did not answer at all"], trio.current_time()
        with trio.move_on_after(timeout_s):
            while True:
                missing = await self._missing(host)
                if not missing:
                    return
                waited_s = trio.current_time() - begun_s
                await trio.sleep(min(max(_POLL_S, waited_s * _POLL_SHARE), _POLL_MAX_S))
        raise NotReadyError(f"not ready after {timeout_s:g} s: " + "; ".join(missing))

    async def _missing(self, host: Host) -> list[str]:
        unready = await self.unready(host, self.plan.nodes.keys() - self._off)
        if unready:
            return unready
        if self.plan.endpoint is None:
            return await self._wrong_with_store(host)
        client = KubeClient(host.net, self.plan.endpoint, user_agent="ha-cluster", timeout_s=1.0)
        try:
            nodes = (await client.list(NODE)).items
            ready = {node["metadata"]["name"] for node in nodes if _is_ready(node)}
            expected = [node for node in self.plan.kubernetes_nodes if node not in self._off]
            waiting = [f"Node {node} is not Ready" for node in expected if node not in ready]
            uninitialized = {node["metadata"]["name"] for node in nodes if has_taint(node, UNINITIALIZED)}
            waiting += [f"Node {node} waits for its cloud" for node in expected if node in uninitialized]
            if not waiting:
                await _write(client)
        except (HttpError, ApiError) as error:
            return [f"the control-plane endpoint {self.plan.endpoint} does not serve: {error}"]
        finally:
            await client.aclose()
        return waiting

    async def _wrong_with_store(self, host: Host) -> list[str]:
        members = [address for node, address in self.plan.members.items() if node not in self._off]
        client = EtcdClient(host.net, members, timeout_s=1.0)
        try:
            await client.put(_PROBE, b"")
            await client.delete_range(_PROBE)
        except EtcdError as error:
            return [f"the store does not serve: {error}"]
        finally:
            await client.aclose()
        return []

    async def unready(self, host: Host, nodes: Collection[str]) -> list[str]:
        """What is wrong with the etcd members and the API servers of some nodes, each asked by itself."""
        wrong = {
            node: await _wrong_with_member(Client(host.net, address))
            for node, address in self.plan.members.items()
            if node in nodes
        }
        unready = [f"the etcd member on {node} {what}" for node, what in wrong.items() if what]
        unready += [
            f"kube-apiserver on {node} is not ready"
            for node, address in self.plan.api_servers.items()
            if node in nodes and not await _answers(Client(host.net, address), "/readyz")
        ]
        return unready


async def _write(client: KubeClient) -> None:
    """Create and delete an object. Raises ApiError, HttpError."""
    made = await client.create(CONFIG_MAP, {"metadata": {"generateName": "ha-ready-"}}, "kube-system")
    await client.delete(CONFIG_MAP, made["metadata"]["name"], "kube-system")


async def _wrong_with_member(client: Client) -> str:
    """Empty: nothing."""
    try:
        status = await member_status(client, timeout_s=1.0)
    finally:
        await client.aclose()
    if status is None:
        return "does not answer"
    return "knows no leader" if status.leader_id in ("", "0") else "is a learner" if status.is_learner else ""


async def _answers(client: Client, target: str) -> bool:
    try:
        return (await client.request("GET", target, timeout_s=1.0)).status == 200
    except HttpError:
        return False
    finally:
        await client.aclose()


def _is_ready(node: dict[str, object]) -> bool:
    status = node.get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
