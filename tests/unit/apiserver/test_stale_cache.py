"""Nothing is refused on the word of the cache alone: one server whose watch has stalled, one that is current."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trio.testing import MockClock

from ha.etcd.machine import EtcdMachine
from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import CONFIGMAPS, PODS, Api, api_server, configmap, pod


@asynccontextmanager
async def servers(world: FakeWorld) -> AsyncIterator[tuple[Api, Api]]:
    """A current and a stale server of one store."""
    machine = EtcdMachine()
    async with (
        api_server(world, machine=machine, node="cp-1") as current,
        api_server(world, machine=machine, node="cp-2") as stale,
    ):
        yield current, stale


async def stall(api: Api) -> None:
    await api.get(CONFIGMAPS)
    api.etcd.watches_stalled = True


async def test_a_conditional_update_on_the_newest_state_succeeds(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with servers(world) as (current, stale):
        await current.post(CONFIGMAPS, configmap("a", x="0"))
        await stall(stale)
        newest = await current.put(f"{CONFIGMAPS}/a", configmap("a", x="1"))
        assert (await stale.get(f"{CONFIGMAPS}/a?resourceVersion=0"))["data"] == {"x": "0"}
        written = await stale.put(f"{CONFIGMAPS}/a", {**newest, "data": {"x": "2"}})
        assert written["data"] == {"x": "2"}


async def test_an_update_that_changes_only_the_cached_state_back_is_written(
    world: FakeWorld, autojump_clock: MockClock
) -> None:
    async with servers(world) as (current, stale):
        await current.post(CONFIGMAPS, configmap("a", x="0"))
        await stall(stale)
        await current.put(f"{CONFIGMAPS}/a", configmap("a", x="1"))
        await stale.put(f"{CONFIGMAPS}/a", configmap("a", x="0"))
        assert (await current.get(f"{CONFIGMAPS}/a"))["data"] == {"x": "0"}


async def test_a_patch_is_applied_to_the_newest_state(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with servers(world) as (current, stale):
        await current.post(CONFIGMAPS, configmap("a"))
        await stall(stale)
        await current.patch(f"{CONFIGMAPS}/a", {"data": {"x": "1"}})
        patched = await stale.patch(f"{CONFIGMAPS}/a", {"data": {"y": "2"}})
        assert patched["data"] == {"x": "1", "y": "2"}


async def test_what_the_cache_still_has_and_the_store_not_is_404(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with servers(world) as (current, stale):
        await current.post(CONFIGMAPS, configmap("a"))
        await stall(stale)
        await current.delete(f"{CONFIGMAPS}/a")
        await stale.patch(f"{CONFIGMAPS}/a", {"data": {"x": "1"}}, expect=404)
        await stale.delete(f"{CONFIGMAPS}/a", expect=404)


async def test_a_precondition_is_checked_against_the_newest_state(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with servers(world) as (current, stale):
        await current.post(CONFIGMAPS, configmap("a"))
        await stall(stale)
        await current.delete(f"{CONFIGMAPS}/a")
        again = await current.post(CONFIGMAPS, configmap("a"))
        await stale.delete(f"{CONFIGMAPS}/a", {"preconditions": {"uid": again["metadata"]["uid"]}})
        await current.get(f"{CONFIGMAPS}/a", expect=404)


async def test_a_pod_that_was_bound_meanwhile_is_given_its_grace(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with servers(world) as (current, stale):
        await current.post(PODS, pod("p"))
        await stall(stale)
        await current.post(f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {"name": "n-1"}})
        marked = await stale.delete(f"{PODS}/p")
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
        await current.get(f"{PODS}/p")


async def test_a_namespace_that_the_cache_does_not_know_yet_can_be_filled(
    world: FakeWorld, autojump_clock: MockClock
) -> None:
    async with servers(world) as (current, stale):
        await stall(stale)
        await current.post("/api/v1/namespaces", {"metadata": {"name": "new"}})
        await stale.post("/api/v1/namespaces/new/configmaps", configmap("a"))


async def test_a_recent_list_does_not_wait_for_a_cache_that_stands_still_for_ever(
    world: FakeWorld, autojump_clock: MockClock
) -> None:
    async with servers(world) as (current, stale):
        await stall(stale)
        await current.post(CONFIGMAPS, configmap("a"))
        assert [i["metadata"]["name"] for i in (await stale.get(CONFIGMAPS))["items"]] == ["a"]
