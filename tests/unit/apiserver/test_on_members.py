"""The API server on real members: three stacked control planes in one world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from trio.testing import MockClock

from ha.controlplane import apiserver
from ha.etcd import member
from ha.http import Client, HttpError
from ha.world import Address
from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import CONFIGMAPS, Api, configmap
from tests.unit.apiserver.fake_etcd import FakeEtcd

NODES = ("cp-1", "cp-2", "cp-3")


@asynccontextmanager
async def stacked(seed: int = 1) -> AsyncIterator[tuple[FakeWorld, dict[str, Api]]]:
    """A member and an API server on each of three nodes, ready."""
    async with FakeWorld(seed=seed) as world:
        for node in NODES:
            await start(world, node)
        apis = {
            node: Api(Client(world.host("client").net, Address(world.address(node), 6443)), FakeEtcd())
            for node in NODES
        }
        with trio.fail_after(30):
            for api in apis.values():
                await api.ready()
        yield world, apis


async def start(world: FakeWorld, node: str) -> None:
    peers = {n: f"{world.address(n)}:2380" for n in NODES}
    clients = {n: f"{world.address(n)}:2379" for n in NODES}
    etcd = member.Config(name=node, members=peers, client_urls=clients)
    api = apiserver.Config(name=node, etcd=[clients[node]], store_request_timeout_s=2.0)
    await world.start(node, partial(member.serve, config=etcd), process="etcd")
    await world.start(node, partial(apiserver.serve, config=api), process="kube-apiserver")


async def attempt(api: Api, method: str, path: str, body: Any = None) -> int:
    """The status of an answer, or 0 for none."""
    try:
        return (await api.request(method, path, body)).status
    except HttpError:
        return 0


async def test_every_server_reads_what_any_server_acknowledged(autojump_clock: MockClock) -> None:
    async with stacked() as (_, apis):
        for i, api in enumerate(apis.values()):
            made = await api.post(CONFIGMAPS, configmap(f"c-{i}"))
            for other in apis.values():
                assert await other.get(f"{CONFIGMAPS}/c-{i}") == made
                listed = await other.get(CONFIGMAPS)
                assert len(listed["items"]) == i + 1
                known = made["metadata"]["resourceVersion"]
                assert await other.get(f"{CONFIGMAPS}/c-{i}?resourceVersion={known}") == made


async def test_one_of_many_conditional_writers_wins_each_round_on_all_servers(autojump_clock: MockClock) -> None:
    async with stacked() as (_, apis):
        current = await apis["cp-1"].post(CONFIGMAPS, configmap("a", round="0"))
        for turn in range(5):
            body = {**current, "data": {"round": str(turn + 1)}}
            statuses: list[int] = []

            async def write(api: Api, body: Any = body, statuses: list[int] = statuses) -> None:
                statuses.append(await attempt(api, "PUT", f"{CONFIGMAPS}/a", body))

            async with trio.open_nursery() as nursery:
                for api in apis.values():
                    nursery.start_soon(write, api)
            assert sorted(statuses) in ([200, 200, 200], [200, 200, 409], [200, 409, 409])
            current = await apis["cp-2"].get(f"{CONFIGMAPS}/a")
            assert current["data"] == {"round": str(turn + 1)}


async def test_watches_survive_the_death_of_another_node(autojump_clock: MockClock) -> None:
    async with stacked() as (world, apis):
        survivor = apis["cp-2"]
        async with survivor.watch(f"{CONFIGMAPS}?watch=1") as events:
            await survivor.post(CONFIGMAPS, configmap("before"))
            await world.power_off("cp-1")
            with trio.fail_after(20):
                while await attempt(survivor, "POST", CONFIGMAPS, configmap("after")) not in {201, 409}:
                    await trio.sleep(0.2)
                seen = [(await anext(events))["object"]["metadata"]["name"] for _ in range(2)]
        assert seen == ["before", "after"]


async def test_without_quorum_cached_reads_go_on_and_writes_fail_in_time(autojump_clock: MockClock) -> None:
    async with stacked() as (world, apis):
        api = apis["cp-3"]
        await api.post(CONFIGMAPS, configmap("a"))
        await api.get(f"{CONFIGMAPS}/a")
        await world.power_off("cp-1")
        await world.power_off("cp-2")
        began = trio.current_time()
        assert await attempt(api, "POST", CONFIGMAPS, configmap("b")) in {500, 503, 504}
        assert trio.current_time() - began < 2.5
        await trio.sleep(5)
        assert await attempt(api, "GET", f"{CONFIGMAPS}/a?resourceVersion=0") == 200
        assert await attempt(api, "GET", f"{CONFIGMAPS}/a") == 503
        assert await attempt(api, "GET", "/readyz") == 500
        assert await attempt(api, "GET", "/readyz?exclude=etcd") == 200
        await start(world, "cp-1")
        with trio.fail_after(10):
            await api.ready()
        assert await attempt(api, "POST", CONFIGMAPS, configmap("c")) == 201
