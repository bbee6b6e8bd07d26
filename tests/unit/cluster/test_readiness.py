"""When a cluster counts as ready: every part that is on, the etcd members too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import trio

from ha import http
from ha.cluster import Cluster, NotReadyError, Plan, node_names, plan
from ha.http import Request, Response
from ha.spec.load import load, resolve
from ha.spec.model import Topology
from tests.fakes.world import FakeHost, FakeWorld
from tests.unit.chaos.small_world import SmallWorld

_STATUS = b'{"header":{"member_id":"%d","revision":"7"},"leader":"%d","raftTerm":"3"}'


class Bench:
    """The addresses of external-3 in memory: API servers, Nodes and members that answer as they are told to."""

    def __init__(self, world: FakeWorld) -> None:
        topology = load(resolve("external-3"))
        assert isinstance(topology, Topology)
        nodes = list(node_names(topology))
        self.world = world
        self.plan: Plan = plan(topology, {node: world.address(node) for node in nodes}, cluster_token="t")
        self.cluster = Cluster(SmallWorld(nodes), self.plan)
        self.leader = 1
        self.unready: set[str] = set()
        self.write_answer = (200, b'{"metadata":{"name":"ha-ready-x"}}')

    async def start(self) -> None:
        await self.cluster.boot_all()
        for number, (node, address) in enumerate(self.plan.members.items(), start=1):
            await self.serve(node, address.port, partial(self.member, number))
        for node in (*self.plan.api_servers, "load-balancer"):
            await self.serve(node, 6443, self.api_server)

    async def serve(self, node: str, port: int, handle: Callable[[Request], Response]) -> None:
        async def main(host: FakeHost, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            async def answer(request: Request) -> Response:
                return handle(request)

            await http.serve(await host.net.listen(port), answer, task_status=task_status)

        await self.world.start(node, main)

    def member(self, number: int, _request: Request) -> Response:
        return Response(200, _STATUS % (number, self.leader))

    def api_server(self, request: Request) -> Response:
        if request.path == "/readyz":
            return Response(200, b"ok")
        if request.method in ("POST", "DELETE"):
            return Response(*self.write_answer)
        items = ",".join(
            f'{{"metadata":{{"name":"{node}"}},"status":{{"conditions":'
            f'[{{"type":"Ready","status":"{node not in self.unready}"}}]}}}}'
            for node in self.plan.kubernetes_nodes
        )
        return Response(200, f'{{"metadata":{{"resourceVersion":"7"}},"items":[{items}]}}'.encode())

    async def missing(self) -> str:
        with pytest.raises(NotReadyError) as caught:
            await self.cluster.wait_ready(self.world.host("client"), timeout_s=5)
        return str(caught.value)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with FakeWorld(seed=1) as world:
        made = Bench(world)
        await made.start()
        yield made


async def test_a_cluster_of_which_all_answers_is_ready(bench: Bench, autojump_clock: trio.abc.Clock) -> None:
    await bench.cluster.wait_ready(bench.world.host("client"), timeout_s=5)


async def test_a_member_that_stays_away_keeps_a_cluster_from_being_ready(
    bench: Bench, autojump_clock: trio.abc.Clock
) -> None:
    """With external etcd two of three members serve, so no API server misses the third."""
    await bench.world.kill("etcd-2")
    assert "the etcd member on etcd-2 does not answer" in await bench.missing()


async def test_a_member_that_follows_nobody_keeps_a_cluster_from_being_ready(
    bench: Bench, autojump_clock: trio.abc.Clock
) -> None:
    bench.leader = 0
    assert "the etcd member on etcd-1 knows no leader" in await bench.missing()


async def test_a_node_that_is_not_ready_is_named(bench: Bench, autojump_clock: trio.abc.Clock) -> None:
    bench.unready = {"worker-2"}
    assert "Node worker-2 is not Ready" in await bench.missing()


async def test_a_node_that_is_off_is_not_waited_for(bench: Bench, autojump_clock: trio.abc.Clock) -> None:
    await bench.cluster.power_off("etcd-2")
    await bench.world.kill("etcd-2")
    await bench.cluster.wait_ready(bench.world.host("client"), timeout_s=5)


async def test_a_cluster_that_takes_no_writes_is_not_ready(bench: Bench, autojump_clock: trio.abc.Clock) -> None:
    """Nodes stay Ready for their grace after the last write that succeeded."""
    bench.write_answer = (503, b'{"kind":"Status","message":"no leader","reason":"ServiceUnavailable"}')
    assert "does not serve: " in await bench.missing()
