"""The client of the API server."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from ha.http import ConnectError, ConnectionLost, Request, RequestTimeout
from ha.kube.client import KubeClient
from ha.kube.errors import ApiError
from ha.kube.kinds import CONFIG_MAP, NODE, POD
from tests.fakes.world import FakeWorld
from tests.unit.kube.fake_api import FakeApi


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_created_object_is_read_updated_patched_and_deleted(
    autojump_clock: MockClock, client: KubeClient
) -> None:
    created = await client.create(CONFIG_MAP, config_map("a", x="1"))
    assert (await client.get(CONFIG_MAP, "a", "default"))["data"] == {"x": "1"}
    updated = await client.update(CONFIG_MAP, {**created, "data": {"x": "2"}})
    assert updated["data"] == {"x": "2"}
    assert (await client.patch(CONFIG_MAP, "a", "default", {"data": {"y": "3"}}))["data"] == {"x": "2", "y": "3"}
    replace = [{"op": "replace", "path": "/data/x", "value": "9"}]
    assert (await client.patch(CONFIG_MAP, "a", "default", replace, type="json"))["data"] == {"x": "9", "y": "3"}
    await client.delete(CONFIG_MAP, "a", "default", uid=created["metadata"]["uid"])
    with pytest.raises(ApiError) as raised:
        await client.get(CONFIG_MAP, "a", "default")
    assert raised.value.status == 404


async def test_update_of_an_old_version_is_a_conflict(autojump_clock: MockClock, client: KubeClient) -> None:
    old = await client.create(CONFIG_MAP, config_map("a"))
    await client.update(CONFIG_MAP, {**old, "data": {"x": "1"}})
    with pytest.raises(ApiError) as raised:
        await client.update(CONFIG_MAP, {**old, "data": {"x": "2"}})
    assert (raised.value.status, raised.value.reason, raised.value.definite) == (409, "Conflict", True)


async def test_list_selects_by_label_and_field(autojump_clock: MockClock, client: KubeClient, api: FakeApi) -> None:
    for name, node, app in (("a", "n1", "x"), ("b", "n2", "x"), ("c", "n1", "y")):
        meta = {"name": name, "namespace": "default", "labels": {"app": app}}
        api.put(POD, {"metadata": meta, "spec": {"nodeName": node}})
    found = await client.list(POD, label_selector="app=x", field_selector="spec.nodeName=n1")
    assert [p["metadata"]["name"] for p in found.items] == ["a"]
    assert found.resource_version == str(api.revision)


async def test_delete_collection_deletes_what_matches(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi
) -> None:
    for name, app in (("a", "x"), ("b", "y")):
        api.put(CONFIG_MAP, {"metadata": {"name": name, "namespace": "default", "labels": {"app": app}}})
    await client.delete_collection(CONFIG_MAP, "default", label_selector="app=x")
    assert [o["metadata"]["name"] for o in api.list(CONFIG_MAP)] == ["b"]


async def test_pod_is_bound_once(autojump_clock: MockClock, client: KubeClient, api: FakeApi) -> None:
    api.put(POD, {"metadata": {"name": "p", "namespace": "default"}, "spec": {}})
    await client.bind("p", "default", "n1")
    with pytest.raises(ApiError) as raised:
        await client.bind("p", "default", "n2")
    assert raised.value.status == 409
    assert api.get(POD, "p", "default")["spec"]["nodeName"] == "n1"


async def test_request_without_an_answer_ends_in_time_and_is_not_definite(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi
) -> None:
    async def hang(_: Request) -> None:
        await trio.sleep_forever()

    api.fault = hang
    began = trio.current_time()
    with pytest.raises(RequestTimeout) as raised:
        await client.get(NODE, "n")
    assert trio.current_time() - began == pytest.approx(2.0, abs=0.1)
    assert not raised.value.definite


async def test_refused_connection_is_definite(autojump_clock: MockClock, client: KubeClient, world: FakeWorld) -> None:
    await world.kill("api")
    with pytest.raises(ConnectError) as raised:
        await client.get(NODE, "n")
    assert raised.value.definite


async def test_watch_yields_what_comes_after_its_version_and_ends_with_a_bookmark(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi
) -> None:
    api.put(NODE, {"metadata": {"name": "before"}})
    async with client.watch(NODE, resource_version=str(api.revision), timeout_s=3.0) as events:
        api.put(NODE, {"metadata": {"name": "n"}})
        api.put(NODE, {"metadata": {"name": "n", "labels": {"x": "y"}}})
        api.remove(NODE, "n")
        seen = [(event.type, event.object["metadata"].get("name")) async for event in events]
    assert seen == [("ADDED", "n"), ("MODIFIED", "n"), ("DELETED", "n"), ("BOOKMARK", None)]


async def test_watch_from_a_forgotten_version_raises_410(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi
) -> None:
    api.put(NODE, {"metadata": {"name": "n"}})
    api.compact()
    with pytest.raises(ApiError) as raised:
        async with client.watch(NODE, resource_version="1", timeout_s=3.0) as events:
            await anext(events)
    assert raised.value.status == 410


async def test_silent_watch_ends_when_its_timeout_is_long_over(
    autojump_clock: MockClock, client: KubeClient, world: FakeWorld, api: FakeApi
) -> None:
    with trio.fail_after(30):
        with pytest.raises(ConnectionLost):  # noqa: PT012  (the watch is what raises)
            async with client.watch(NODE, resource_version=str(api.revision), timeout_s=3.0) as events:
                world.partition(["api"], ["c"])
                await anext(events)


async def test_reset_ends_watches(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi, nursery: trio.Nursery
) -> None:
    async def reset_later() -> None:
        await trio.sleep(1)
        await client.reset()

    began = trio.current_time()
    nursery.start_soon(reset_later)
    with pytest.raises(ConnectionLost):
        async with client.watch(NODE, resource_version=str(api.revision), timeout_s=1000.0) as events:
            await anext(events)
    assert trio.current_time() - began < 10
    assert (await client.list(NODE)).items == []
