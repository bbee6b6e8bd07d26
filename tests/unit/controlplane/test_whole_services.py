"""A Service of a whole cluster in virtual time: any node carries connections to its pods, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

import ha
from ha import http
from ha.http import HttpError
from ha.kube.kinds import DEPLOYMENT, POD, SERVICE
from ha.world import Address
from tests.fakes.world import FakeWorld, run_virtual
from tests.unit.controlplane.cluster import deployment
from tests.unit.controlplane.whole import Whole

NODE_PORT = 30080
IMAGE = f"ha/serve-hostname:{ha.__version__}"


async def ask(whole: Whole, node: str, port: int = NODE_PORT) -> str:
    """Which pod answers a new connection to a node's port; empty: none."""
    address = Address(whole.world.address(node), port)
    client = http.Client(whole.world.host("user").net, address)
    try:
        return (await client.request("GET", "/", timeout_s=2.0)).body.decode()
    except HttpError:
        return ""
    finally:
        await client.aclose()


async def answers(whole: Whole, node: str) -> set[str]:
    return {await ask(whole, node) for _ in range(40)}


async def active_pods(whole: Whole) -> set[str]:
    pods = (await whole.client.list(POD, "default")).items
    return {p["metadata"]["name"] for p in pods if not p["metadata"].get("deletionTimestamp")}


def serves_all(whole: Whole, *nodes: str) -> Callable[[], Awaitable[bool]]:
    """Every one of these nodes carries to every pod, and to nobody else."""

    async def holds() -> bool:
        pods = await active_pods(whole)
        return all([await answers(whole, node) == pods for node in nodes])

    return holds


async def expose(whole: Whole, **spec: Any) -> None:
    ports = [{"port": 80, "targetPort": 9376, "nodePort": NODE_PORT}]
    body = {"selector": {"app": "web"}, "ports": ports, "type": "NodePort", **spec}
    await whole.client.create(SERVICE, {"metadata": {"name": "web", "namespace": "default"}, "spec": body})


async def booted(world: FakeWorld, **spec: Any) -> Whole:
    whole = Whole(world)
    await whole.boot(*whole.plan.nodes)
    await whole.until(whole.nodes_ready, 10)
    await whole.client.create(DEPLOYMENT, deployment("web", 4, IMAGE, **spec))
    await whole.until(whole.available, 10)
    return whole


def test_a_node_port_reaches_the_pods_through_any_node_and_follows_them() -> None:
    async def main() -> None:
        async with FakeWorld(seed=11) as world:
            whole = await booted(world)
            await expose(whole)
            nodes = whole.plan.kubernetes_nodes
            await whole.until(serves_all(whole, *nodes), 10)
            for replicas in (7, 1, 4):
                await whole.client.patch(DEPLOYMENT, "web", "default", {"spec": {"replicas": replicas}})
                await whole.until(serves_all(whole, *nodes), 10)
                assert len(await active_pods(whole)) == replicas

    run_virtual(main, seed=11)


def test_a_rolling_update_costs_at_most_what_its_pods_were_answering_when_they_ended() -> None:
    """As long as new pods are not counted on before the proxies know them: hence `minReadySeconds`."""

    async def main() -> None:
        async with FakeWorld(seed=12) as world:
            whole = await booted(world, minReadySeconds=1)
            await expose(whole)
            await whole.until(serves_all(whole, "control-plane-1"), 10)
            before, seen = await active_pods(whole), []
            template = {"metadata": {"annotations": {"again": "1"}}}
            await whole.client.patch(DEPLOYMENT, "web", "default", {"spec": {"template": template}})
            with trio.move_on_after(10):
                while True:
                    seen.append(await ask(whole, "control-plane-1"))
                    await trio.sleep(0.005)
            assert await active_pods(whole) == {*seen} - before - {""}
            assert seen.count("") <= len(before)

    run_virtual(main, seed=12)


def test_the_loss_of_a_worker_costs_a_connection_no_more_than_a_second_try() -> None:
    async def main() -> None:
        async with FakeWorld(seed=13) as world:
            whole = await booted(world)
            await expose(whole)
            await whole.until(serves_all(whole, "worker-1", "worker-2"), 10)
            await world.power_off("worker-1")
            for _ in range(100):  # its endpoints are still in the table
                assert await ask(whole, "control-plane-1") != ""
            await whole.until(serves_all(whole, "control-plane-1", "worker-2"), 60)
            assert len(await active_pods(whole)) == 4

    run_virtual(main, seed=13)


def test_a_load_balancer_service_follows_its_nodes_whoever_leads() -> None:
    async def main() -> None:
        async with FakeWorld(seed=15) as world:
            whole = await booted(world)
            await expose(whole, type="LoadBalancer")

            async def is_ingress(*nodes: str) -> bool:
                found = await whole.client.get(SERVICE, "web", "default")
                shown = found["status"]["loadBalancer"].get("ingress") or []
                return [one["ip"] for one in shown] == [world.address(node) for node in nodes]

            async def is_carried_at_its_own_port() -> bool:
                return {await ask(whole, "worker-2", 80) for _ in range(40)} == await active_pods(whole)

            await whole.until(lambda: is_ingress("worker-1", "worker-2"), 5)
            victim = await whole.holder("cloud-controller-manager")
            await world.power_off(victim)
            await world.power_off("worker-1")
            await whole.until(lambda: is_ingress("worker-2"), 20)
            assert await whole.holder("cloud-controller-manager") != victim
            await whole.until(is_carried_at_its_own_port, 30)

    run_virtual(main, seed=15)


def test_the_loss_of_the_whole_control_plane_stops_no_connection() -> None:
    async def main() -> None:
        async with FakeWorld(seed=14) as world:
            whole = await booted(world)
            await expose(whole)
            await whole.until(serves_all(whole, "worker-1"), 10)
            pods = await active_pods(whole)
            for node in [*whole.plan.role("control-plane"), "load-balancer"]:
                await world.power_off(node)
            await trio.sleep(300)
            assert await answers(whole, "worker-1") == await answers(whole, "worker-2") == pods

    run_virtual(main, seed=14)
