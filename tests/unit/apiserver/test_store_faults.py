"""What clients are told when the store does not serve."""

import pytest
import trio
from trio.testing import MockClock

from ha.etcd.machine import EtcdMachine
from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import CONFIGMAPS, Api, api_server, configmap


async def test_without_a_leader_writes_and_recent_reads_are_503_and_cached_reads_go_on(
    api: Api, autojump_clock: MockClock
) -> None:
    await api.post(CONFIGMAPS, configmap("a"))
    api.etcd.unavailable = True
    refused = await api.post(CONFIGMAPS, configmap("b"), expect=503)
    assert (refused["reason"], refused["message"]) == ("ServiceUnavailable", "etcdserver: no leader")
    await api.get(f"{CONFIGMAPS}/a", expect=503)
    await api.get(CONFIGMAPS, expect=503)
    assert (await api.get(f"{CONFIGMAPS}/a?resourceVersion=0"))["metadata"]["name"] == "a"
    assert len((await api.get(f"{CONFIGMAPS}?resourceVersion=0"))["items"]) == 1
    api.etcd.unavailable = False
    await api.post(CONFIGMAPS, configmap("b"))


async def test_a_refused_write_certainly_did_nothing(api: Api, autojump_clock: MockClock) -> None:
    api.etcd.unavailable = True
    await api.post(CONFIGMAPS, configmap("b"), expect=503)
    api.etcd.unavailable = False
    await api.get(f"{CONFIGMAPS}/b", expect=404)


async def test_a_write_whose_answer_is_lost_is_504_and_not_tried_again(api: Api, autojump_clock: MockClock) -> None:
    made = await api.post(CONFIGMAPS, configmap("a", n="0"))
    api.etcd.lose_next_answer = True
    lost = await api.put(f"{CONFIGMAPS}/a", {**made, "data": {"n": "1"}}, expect=504)
    assert lost["reason"] == "Timeout"
    now = await api.get(f"{CONFIGMAPS}/a")
    assert now["data"] == {"n": "1"}
    versions = int(now["metadata"]["resourceVersion"]) - int(made["metadata"]["resourceVersion"])
    assert versions == 1


@pytest.mark.parametrize("verb", ["create", "delete", "patch"])
async def test_every_kind_of_write_says_that_its_outcome_is_unknown(
    verb: str, api: Api, autojump_clock: MockClock
) -> None:
    await api.post(CONFIGMAPS, configmap("a"))
    api.etcd.lose_next_answer = True
    match verb:
        case "create":
            await api.post(CONFIGMAPS, configmap("b"), expect=504)
            await api.get(f"{CONFIGMAPS}/b")
        case "delete":
            await api.delete(f"{CONFIGMAPS}/a", expect=504)
            await api.get(f"{CONFIGMAPS}/a", expect=404)
        case "patch":
            await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "1"}}, expect=504)
            assert (await api.get(f"{CONFIGMAPS}/a"))["data"] == {"x": "1"}


async def test_a_silent_store_is_given_up_after_the_request_timeout(
    world: FakeWorld, autojump_clock: MockClock
) -> None:
    async with api_server(world, store_request_timeout_s=2.0) as api:
        api.etcd.silent = True
        began = trio.current_time()
        await api.post(CONFIGMAPS, configmap("a"), expect=504)
        assert trio.current_time() - began < 2.1
        began = trio.current_time()
        assert (await api.get(f"{CONFIGMAPS}/a", expect=503))["reason"] == "ServiceUnavailable"
        assert trio.current_time() - began < 2.1


async def test_readiness_follows_the_store_both_ways_within_its_window(
    world: FakeWorld, autojump_clock: MockClock
) -> None:
    async with api_server(world, store_probe_period_s=0.2, store_probe_window_s=1.0) as api:
        api.etcd.silent = True
        began = trio.current_time()
        while (await api.request("GET", "/readyz")).status == 200:
            await trio.sleep(0.05)
        assert trio.current_time() - began < 1.2
        assert (await api.request("GET", "/livez")).status == 200
        assert (await api.request("GET", "/readyz?exclude=etcd")).status == 200
        api.etcd.silent = False
        began = trio.current_time()
        await api.ready()
        assert trio.current_time() - began < 1.3


async def test_a_server_without_a_store_is_not_ready_and_says_why(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with api_server(world, unavailable=True) as api:
        await trio.sleep(2)
        response = await api.request("GET", "/readyz")
        assert response.status == 500
        assert b"[-]informer-sync failed: reason withheld" in response.body
        refused = await api.get(f"{CONFIGMAPS}?resourceVersion=0", expect=429)
        assert refused["message"] == "storage is (re)initializing"
        api.etcd.unavailable = False
        with trio.fail_after(2):
            await api.ready()


async def test_a_second_server_finds_what_the_first_one_stored(world: FakeWorld, autojump_clock: MockClock) -> None:
    machine = EtcdMachine()
    async with api_server(world, machine=machine) as first:
        made = await first.post(CONFIGMAPS, configmap("a"))
    async with api_server(world, machine=machine, node="cp-2") as second:
        assert await second.get(f"{CONFIGMAPS}/a?resourceVersion=0") == made
