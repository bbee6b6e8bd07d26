"""A whole cluster in virtual time survives what a highly available one must.

The seed fixes the schedule, so a failure repeats.
"""

from __future__ import annotations

import trio

from ha.kube.conditions import condition_status
from ha.kube.kinds import DEPLOYMENT, POD
from tests.fakes.world import FakeWorld, run_virtual
from tests.unit.controlplane.cluster import deployment
from tests.unit.controlplane.whole import Whole


def test_cluster_comes_up_and_survives_the_loss_of_a_control_plane_node_and_of_a_worker() -> None:
    async def main() -> None:
        async with FakeWorld(seed=7) as world:
            whole = Whole(world)
            await whole.boot(*whole.plan.nodes)
            await whole.until(whole.nodes_ready, 10)
            await whole.client.create(DEPLOYMENT, deployment("web", 4))
            await whole.until(whole.available, 5)

            victim = await whole.holder("kube-controller-manager")
            await world.power_off(victim)
            await whole.until(whole.writes, 5)

            async def taken_over() -> bool:
                return await whole.holder("kube-controller-manager") != victim

            await whole.until(taken_over, 5)
            await world.kill("worker-1")

            async def elsewhere() -> bool:
                pods = (await whole.client.list(POD, "default")).items
                active = [p for p in pods if not p["metadata"].get("deletionTimestamp")]
                return len(active) == 4 and {p["spec"].get("nodeName") for p in active} == {"worker-2"}

            await whole.until(elsewhere, 30)
            await whole.boot(victim, "worker-1")
            await whole.until(whole.nodes_ready, 10)
            assert [log for log in world.logs if log[3] == "crashed"] == []

    run_virtual(main, seed=7)


def test_cold_restart_brings_everything_back() -> None:
    async def main() -> None:
        async with FakeWorld(seed=8) as world:
            whole = Whole(world)
            await whole.boot(*whole.plan.nodes)
            await whole.until(whole.nodes_ready, 10)
            await whole.client.create(DEPLOYMENT, deployment("web", 4))
            await whole.until(whole.available, 5)
            for node in whole.plan.nodes:
                await world.power_off(node)
            await trio.sleep(60)
            await whole.boot(*reversed(whole.plan.nodes))
            await whole.until(whole.writes, 15)

            async def runs_again() -> bool:
                pods = (await whole.client.list(POD, "default")).items
                restarts = [p["status"]["containerStatuses"][0]["restartCount"] for p in pods]
                ready = all(condition_status(p, "Ready") == "True" for p in pods)
                return restarts == [1, 1, 1, 1] and ready and await whole.nodes_ready()

            await whole.until(runs_again, 30)

    run_virtual(main, seed=8)
